package bench_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/fusefs/reference"
)

// patience bounds what takes seconds.
const patience = 5 * time.Minute

// program is something that keeps a library and shows it.
type program interface {
	name() string
	// keep makes a repository and backs the library up, if it has not yet.
	keep(b testing.TB, l *library)
	// stored is where it keeps the library.
	stored(l *library) string
	// mount shows the library until unmount.
	mount(b testing.TB, l *library) *mounted
}

// mounted is a library as a program shows it.
type mounted struct {
	root    string // of the library
	process *os.Process
	point   string
	single  bool          // one file stands for all videos, and there is nothing else
	done    chan struct{} // closed when the process has ended
}

// serve starts a program that mounts at point, and waits for it.
func serve(b testing.TB, c *exec.Cmd, point, root string, shown string) *mounted {
	b.Helper()
	must(b, os.MkdirAll(point, 0o755))
	said := &strings.Builder{}
	c.Stdout, c.Stderr = said, said
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	must(b, c.Start())
	m := &mounted{root: root, process: c.Process, point: point, done: make(chan struct{})}
	go func() {
		_ = c.Wait() // what it said is shown if it ends too soon
		close(m.done)
	}()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(root, shown)); err == nil {
			break
		}
		select {
		case <-m.done:
			b.Fatalf("%s ended before it showed anything:\n%s", c.Path, said)
		default:
		}
		if time.Since(began) > patience {
			m.unmount(b)
			b.Fatalf("%s has shown nothing for %v", c.Path, patience)
		}
	}
	// Links on the way are nobody's cost.
	if real, err := filepath.EvalSymlinks(root); err == nil {
		m.root = real
	}
	return m
}

func (m *mounted) unmount(b testing.TB) {
	b.Helper()
	if m.process == nil {
		return
	}
	must(b, m.process.Signal(os.Interrupt))
	select {
	case <-m.done:
	case <-time.After(patience):
		_ = m.process.Kill() // it hangs
		<-m.done
	}
	if err := unix.Unmount(m.point, unix.MNT_DETACH); err == nil {
		b.Errorf("%s was left mounted", m.point)
	}
}

// keepsake is the program that this repository builds.
type keepsake struct{ exe, dir string }

func (k *keepsake) name() string { return "keepsake" }

func (k *keepsake) stored(*library) string { return filepath.Join(k.dir, "home-keepsake") }

func (k *keepsake) command(args ...string) *exec.Cmd {
	c := exec.Command(k.exe, args...)
	c.Env = []string{"HOME=" + k.stored(nil), "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	return c
}

func (k *keepsake) keep(b testing.TB, l *library) {
	b.Helper()
	must(b, os.RemoveAll(k.stored(nil)))
	run(b, k.command("init", "-q"))
	run(b, k.command("backup", "-q", "--source", "library", l.dir))
}

func (k *keepsake) mount(b testing.TB, l *library) *mounted {
	point := filepath.Join(k.dir, "mnt-keepsake")
	args := append([]string{"mount", point}, strings.Fields(options.mount)...)
	return serve(b, k.command(args...), point, filepath.Join(point, "latest/library"), "video")
}

// restic is Debian's, or whatever is in the path.
type restic struct{ exe, dir string }

func (r *restic) name() string { return "restic" }

func (r *restic) stored(*library) string { return filepath.Join(r.dir, "repository-restic") }

func (r *restic) command(args ...string) *exec.Cmd {
	c := exec.Command(r.exe, args...)
	c.Env = []string{
		"HOME=" + filepath.Join(r.dir, "home-restic"), "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(),
		"RESTIC_REPOSITORY=" + r.stored(nil), "RESTIC_PASSWORD=bench",
	}
	return c
}

func (r *restic) keep(b testing.TB, l *library) {
	b.Helper()
	for _, dir := range []string{filepath.Join(r.dir, "home-restic"), r.stored(nil)} {
		must(b, os.RemoveAll(dir))
	}
	run(b, r.command("init"))
	run(b, r.command("backup", "-q", l.dir))
}

func (r *restic) mount(b testing.TB, l *library) *mounted {
	point := filepath.Join(r.dir, "mnt-restic")
	return serve(b, r.command("mount", point), point, filepath.Join(point, "snapshots/latest", l.dir), "video")
}

// zeros is the reference server.
type zeros struct{ dir string }

func (z *zeros) name() string                  { return "reference" }
func (z *zeros) keep(b testing.TB, l *library) {}
func (z *zeros) stored(l *library) string      { return l.dir }

func (z *zeros) mount(b testing.TB, l *library) *mounted {
	point := filepath.Join(z.dir, "mnt-reference")
	exe, err := os.Executable()
	must(b, err)
	c := exec.Command(exe)
	c.Env = append(os.Environ(), fmt.Sprintf("%s=%s/%d", serveReference, point, int64(l.clip)*1e6))
	m := serve(b, c, point, point, reference.File)
	m.single = true
	return m
}

// files is the library itself.
type files struct{}

func (files) name() string                            { return "files" }
func (files) keep(testing.TB, *library)               {}
func (files) stored(l *library) string                { return l.dir }
func (files) mount(_ testing.TB, l *library) *mounted { return &mounted{root: l.dir} }

// warm has the kernel keep all that lies below a directory, as far as there is
// memory: what is measured is a program and not the disk, nor who was the last
// to write.
func warm(b testing.TB, dir string) {
	b.Helper()
	buf := make([]byte, 1<<20)
	must(b, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, buf)
		return errors.Join(err, f.Close())
	}))
}

func run(b testing.TB, c *exec.Cmd) {
	b.Helper()
	if out, err := c.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", strings.Join(c.Args, " "), err, out)
	}
}

// place is what a run needs, and where.
type place struct {
	dir      string
	library  *library
	keepsake *keepsake
}

// newPlace builds the program and makes the library.
func newPlace(b testing.TB, l library) *place {
	b.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		b.Skip("not run: FUSE is missing here:", err)
	}
	must(b, f.Close())
	dir := b.TempDir()
	p := &place{dir: dir, library: &l}
	p.library.dir = filepath.Join(dir, l.name())
	if options.dir != "" {
		real, err := filepath.Abs(options.dir)
		must(b, errors.Join(err, os.MkdirAll(real, 0o755)))
		p.library.dir = filepath.Join(real, l.name())
	}
	p.keepsake = &keepsake{filepath.Join(dir, "keepsake"), dir}
	run(b, exec.Command("go", "build", "-o", p.keepsake.exe, "keepsake/cmd/keepsake"))
	p.library.make(b)
	return p
}
