package torture_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/packaging/torture"
)

// plant makes a tree with one entry of each kind, all dated alike.
func plant(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	in := func(rel string) string { return filepath.Join(dir, rel) }
	must(t, os.MkdirAll(in("directory/empty"), 0o755))
	must(t, os.WriteFile(in("file"), bytes.Repeat([]byte("0123456789abcdef"), 3<<16), 0o644)) // 3 MiB
	must(t, os.WriteFile(in("directory/other"), []byte("other"), 0o644))
	must(t, os.Link(in("directory/other"), in("directory/same")))
	must(t, os.WriteFile(in("twin"), []byte("other"), 0o644))
	must(t, os.Symlink("file", in("link")))
	must(t, unix.Mkfifo(in("fifo"), 0o600))
	must(t, os.WriteFile(in("sparse"), nil, 0o644))
	must(t, os.Truncate(in("sparse"), 1<<20))
	date(t, dir)
	return dir
}

// date gives every entry the same modification time, so that a difference is what a test made it.
func date(t *testing.T, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return setTime(name, time.Unix(1_700_000_000, 123_456_789))
	}))
}

func setTime(name string, at time.Time) error {
	ts := unix.NsecToTimespec(at.UnixNano())
	return unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestCompareFinds changes one thing in the second tree and wants exactly that reported, in both directions.
func TestCompareFinds(t *testing.T) {
	patch := func(name string, at int64, data string) error {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteAt([]byte(data), at)
		return err
	}
	tests := []struct {
		name    string
		change  func(dir string) error
		want    string // the only difference
		undated bool   // the change is one of times
		root    bool   // only root can make the change
		options torture.CompareOptions
	}{
		{name: "nothing", change: func(string) error { return nil }},
		{name: "missing file", change: func(d string) error { return os.Remove(d + "/twin") }, want: `"twin": is missing`},
		{name: "missing directory", change: func(d string) error { return os.Remove(d + "/directory/empty") }, want: `"directory/empty": is missing`},
		{name: "extra file", change: func(d string) error { return os.WriteFile(d+"/a\n", nil, 0o644) }, want: `"a\n": should not be there`},
		{name: "extra name that begins another", change: func(d string) error { return os.WriteFile(d+"/fil", nil, 0o644) }, want: `"fil": should not be there`},
		{name: "type", change: func(d string) error { return replace(d+"/twin", func(n string) error { return os.Mkdir(n, 0o644) }) }, want: `"twin": type ---------- became d---------`},
		{name: "followed symlink", change: func(d string) error {
			return replace(d+"/link", func(n string) error { return os.WriteFile(n, nil, 0o644) })
		}, want: `"link": type L--------- became ----------`},
		{name: "first byte", change: func(d string) error { return patch(d+"/file", 0, "X") }, want: `"file": contents differ from byte 0 of 3145728 on`},
		{name: "byte in the second block", change: func(d string) error { return patch(d+"/file", 1<<20+77, "X") }, want: `"file": contents differ from byte 1048653 of 3145728 on`},
		{name: "last byte", change: func(d string) error { return patch(d+"/file", 3<<20-1, "X") }, want: `"file": contents differ from byte 3145727 of 3145728 on`},
		{name: "longer", change: func(d string) error { return patch(d+"/file", 3<<20, "X") }, want: `"file": size 3145728 became 3145729`},
		{name: "shorter", change: func(d string) error { return os.Truncate(d+"/file", 5) }, want: `"file": size 3145728 became 5`},
		{name: "data in a hole", change: func(d string) error { return patch(d+"/sparse", 700_000, "X") }, want: `"sparse": contents differ from byte 700000 of 1048576 on`},
		{name: "filled hole, unasked", change: fillHole},
		{name: "filled hole", change: fillHole, want: `"sparse": data at [] became data at [{0 1048576}]`, options: torture.CompareOptions{Holes: true}},
		{name: "mode", change: func(d string) error { return os.Chmod(d+"/twin", 0o640) }, want: `"twin": mode 0644 became 0640`},
		{name: "setuid", change: func(d string) error { return unix.Chmod(d+"/twin", 0o4644) }, want: `"twin": mode 0644 became 4644`},
		{name: "mode of a directory", change: func(d string) error { return unix.Chmod(d+"/directory", 0o1755) }, want: `"directory": mode 0755 became 1755`},
		{name: "mode of the root", change: func(d string) error { return os.Chmod(d, 0o700) }, want: `".": mode 0755 became 0700`},
		{name: "mode of a FIFO", change: func(d string) error { return os.Chmod(d+"/fifo", 0o644) }, want: `"fifo": mode 0600 became 0644`},
		{name: "owner", change: func(d string) error { return os.Lchown(d+"/link", 12345, -1) }, want: `"link": owner 0 became 12345`, root: true},
		{name: "group", change: func(d string) error { return os.Lchown(d+"/twin", -1, 12345) }, want: `"twin": group 0 became 12345`, root: true},
		{name: "nanosecond", undated: true, change: func(d string) error { return setTime(d+"/twin", time.Unix(1_700_000_000, 123_456_788)) },
			want: `"twin": modification time 2023-11-14T22:13:20.123456789Z became 2023-11-14T22:13:20.123456788Z`},
		{name: "time of a symlink", undated: true, change: func(d string) error { return setTime(d+"/link", time.Unix(-1, 0)) },
			want: `"link": modification time 2023-11-14T22:13:20.123456789Z became 1969-12-31T23:59:59Z`},
		{name: "time of the root", undated: true, change: func(d string) error { return setTime(d, time.Unix(0, 0)) },
			want: `".": modification time 2023-11-14T22:13:20.123456789Z became 1970-01-01T00:00:00Z`},
		{name: "target", change: func(d string) error { return replace(d+"/link", func(n string) error { return os.Symlink("twin", n) }) }, want: `"link": target "file" became "twin"`},
		{name: "severed hard link", change: func(d string) error {
			return replace(d+"/directory/same", func(n string) error { return os.WriteFile(n, []byte("other"), 0o644) })
		}, want: `"directory/same": hard link to "directory/other" became one to ""`},
		{name: "hard link too many", change: func(d string) error {
			return replace(d+"/twin", func(n string) error { return os.Link(d+"/directory/other", n) })
		}, want: `"twin": hard link to "" became one to "directory/other"`},
		{name: "device number", root: true, change: func(d string) error {
			return replace(d+"/fifo", func(n string) error { return unix.Mknod(n, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))) })
		}, want: `"fifo": type p--------- became Dc---------`},
		{name: "attribute", change: func(d string) error { return unix.Lsetxattr(d+"/twin", "user.a", []byte("1"), 0) }, want: `"twin": extended attribute "user.a" should not be there`},
		{name: "attribute of a directory", change: func(d string) error { return unix.Lsetxattr(d+"/directory", "user.a", nil, 0) }, want: `"directory": extended attribute "user.a" should not be there`},
		{name: "attribute of a symlink", root: true, change: func(d string) error { return unix.Lsetxattr(d+"/link", "trusted.a", nil, 0) }, want: `"link": extended attribute "trusted.a" should not be there`},
		{name: "skipped", change: func(d string) error { return os.Remove(d + "/twin") }, options: torture.CompareOptions{Skip: func(rel string) bool { return rel == "twin" }}},
		{name: "skipped directory", change: func(d string) error { return patch(d+"/directory/other", 0, "X") }, options: torture.CompareOptions{Skip: func(rel string) bool { return rel == "directory" }}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root && os.Geteuid() != 0 {
				t.Skip("not run: only root can make this difference")
			}
			a, b := plant(t), plant(t)
			must(t, tt.change(b))
			if !tt.undated {
				date(t, b)
			}
			var want []string
			if tt.want != "" {
				want = []string{tt.want}
			}
			if got := torture.Compare(a, b, tt.options); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if back := torture.Compare(b, a, tt.options); len(back) != len(want) {
				t.Errorf("the other way round: got %q", back)
			}
		})
	}
}

func replace(name string, with func(string) error) error {
	if err := os.RemoveAll(name); err != nil {
		return err
	}
	return with(name)
}

func fillHole(dir string) error {
	return os.WriteFile(dir+"/sparse", make([]byte, 1<<20), 0o644)
}

// TestCompareFindsValues covers differences between two values that neither tree lacks.
func TestCompareFindsValues(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can make devices")
	}
	a, b := plant(t), plant(t)
	acl := []byte("\x02\x00\x00\x00\x01\x00\x06\x00\xff\xff\xff\xff\x02\x00\x04\x00\x39\x30\x00\x00\x04\x00\x04\x00\xff\xff\xff\xff\x10\x00\x04\x00\xff\xff\xff\xff\x20\x00\x04\x00\xff\xff\xff\xff")
	for i, dir := range []string{a, b} {
		must(t, unix.Mknod(dir+"/device", unix.S_IFBLK|0o600, int(unix.Mkdev(7, uint32(300+i)))))
		must(t, unix.Lsetxattr(dir+"/twin", "user.a", fmt.Append(nil, "value ", i), 0))
		acl[14] = byte(4 + i) // the named user's permissions
		must(t, unix.Lsetxattr(dir+"/file", "system.posix_acl_access", acl, 0))
		date(t, dir)
	}
	want := []string{
		`"device": device 0x10072c became 0x10072d`,
		`"file": extended attribute "system.posix_acl_access" `,
		`"twin": extended attribute "user.a" "value 0" became "value 1"`,
	}
	got := torture.Compare(a, b, torture.CompareOptions{})
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCompareReportsWhatCannotBeRead(t *testing.T) {
	a := plant(t)
	for _, b := range []string{filepath.Join(t.TempDir(), "absent"), filepath.Join(a, "file")} {
		if got := torture.Compare(a, b, torture.CompareOptions{}); len(got) != 1 {
			t.Errorf("compared with %s: got %q", b, got)
		}
	}
}

func TestCompareIsBounded(t *testing.T) {
	a, b := plant(t), plant(t)
	for i := range 300 {
		must(t, os.WriteFile(fmt.Sprintf("%s/extra %d", b, i), nil, 0o644))
	}
	date(t, b)
	got := torture.Compare(a, b, torture.CompareOptions{})
	if len(got) != 201 || got[200] != "and 100 more differences" {
		t.Errorf("got %d lines, the last of them %q", len(got), got[len(got)-1])
	}
}
