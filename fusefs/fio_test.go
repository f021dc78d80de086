package fusefs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"keepsake/store/storetest"
)

// fioJobs are the ways in which fio reads, all at once.
var fioJobs = []struct{ engine, rw, direct string }{
	{"psync", "read", "0"},
	{"psync", "randread", "0"},
	{"mmap", "read", "0"},
	{"mmap", "randread", "0"},
	{"libaio", "read", "1"},
	{"libaio", "randread", "1"},
	{"io_uring", "read", "0"},
	{"io_uring", "randread", "1"},
}

// fioBlock is the one size of reads: that of the writes, by which fio numbers what it writes.
const fioBlock = "--bs=32k"

// fioKinds are what fio writes: every block says what it is, within bytes that
// cannot be compressed, and by bytes that can.
var fioKinds = map[string][]string{
	"checksums": {"--verify=crc32c", "--verify_interval=4096"},
	"offsets":   {"--verify=pattern", "--verify_pattern=%o", "--verify_interval=4096"},
}

// fio runs it over one file, by all jobs that work on this machine.
func fio(file, size string, kind []string, jobs []int) (string, error) {
	args := append([]string{"--readonly", "--filename=" + file, "--size=" + size, "--verify_fatal=1", "--verify_state_save=0", "--iodepth=8", fioBlock}, kind...)
	for _, i := range jobs {
		j := fioJobs[i]
		args = append(args, fmt.Sprintf("--name=%s-%s", j.engine, j.rw), "--ioengine="+j.engine, "--rw="+j.rw, "--direct="+j.direct)
	}
	out, err := exec.Command("fio", args...).CombinedOutput()
	return string(out), err
}

// fioAble lists the jobs that the kernel, or a container, allows.
func fioAble(t *testing.T, file, size string, kind []string) (able []int) {
	t.Helper()
	all := make([]int, len(fioJobs))
	for i := range all {
		all[i] = i
	}
	if _, err := fio(file, size, kind, all); err == nil {
		return all
	}
	for i, j := range fioJobs {
		if out, err := fio(file, size, kind, []int{i}); err != nil {
			t.Logf("not run: %s does not work on this machine: %v: %s", j.engine, err, strings.TrimSpace(out[:min(len(out), 300)]))
			continue
		}
		able = append(able, i)
	}
	return able
}

// TestFio writes files with fio, backs them up, and lets fio verify them in the view.
func TestFio(t *testing.T) {
	needFUSE(t)
	t.Parallel()
	if _, err := exec.LookPath("fio"); err != nil {
		t.Skip("not run: fio is not installed, so nothing was verified by it:", err)
	}
	size := "4m"
	if long {
		size = "256m"
	}
	dir := filepath.Join(t.TempDir(), "library")
	must(t, os.Mkdir(dir, 0o755))
	var jobs []int
	for kind, args := range fioKinds {
		file := filepath.Join(dir, kind)
		out, err := exec.Command("fio", append(args, "--name=write", "--filename="+file, "--rw=write", fioBlock, "--size="+size, "--do_verify=0", "--verify_state_save=0")...).CombinedOutput()
		if err != nil {
			t.Fatalf("fio cannot write: %v\n%s", err, out)
		}
		content, err := os.ReadFile(file)
		must(t, err)
		content[len(content)/3]++
		write(t, file+" damaged", content)
		if jobs == nil {
			jobs = fioAble(t, file, size, args)
		}
	}
	if len(jobs) < 4 {
		t.Fatalf("of the ways of fio only %d work on the disk", len(jobs))
	}
	place := storetest.New(t)
	place.Cache = 1 << 20
	r := place.Open(t)
	back(t, r, dir, "library", nil)
	m := mount(t, r, nil)
	for kind, args := range fioKinds {
		file := m.path("latest", "library", kind)
		if out, err := fio(file, size, args, jobs); err != nil {
			t.Errorf("%s: %v\n%s", kind, err, out)
		}
		if out, err := fio(file+" damaged", size, args, jobs[:1]); err == nil || !strings.Contains(out, "verify") {
			t.Errorf("%s: fio does not notice damage: %v\n%s", kind, err, out)
		}
	}
}
