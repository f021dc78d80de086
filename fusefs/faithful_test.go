package fusefs_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"keepsake/fusefs"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

func getxattr(path, name string) (string, error) {
	buf := make([]byte, 1<<16)
	n, err := unix.Lgetxattr(path, name, buf)
	return string(buf[:max(n, 0)]), err
}

func TestOwnAttributes(t *testing.T) {
	m, files, s, _, _ := view(t, nil)
	root := m.path("latest", "library") + "/"
	sum := sha256.Sum256(files["photos/a.jpg"])
	for _, test := range []struct {
		path, name, want string
		err              error
	}{
		{"photos/a.jpg", "user.keepsake.sha256", hex.EncodeToString(sum[:]), nil},
		{"photos/a.jpg", "user.keepsake.snapshot", s.ID.String(), nil},
		{"photos", "user.keepsake.snapshot", s.ID.String(), nil},
		{"", "user.keepsake.snapshot", s.ID.String(), nil},
		{"photos", "user.keepsake.sha256", "", unix.ENODATA},
		{"photos/a.jpg", "user.none", "", unix.ENODATA},
		{"photos/a.jpg", "security.capability", "", unix.ENODATA},
	} {
		got, err := getxattr(root+test.path, test.name)
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s of %q is %q: %v", test.name, test.path, got, err)
		}
	}
	if n, err := unix.Llistxattr(root+"photos/a.jpg", nil); n != 0 || err != nil {
		t.Errorf("attributes of %d bytes are listed: %v", n, err)
	}
	if _, err := unix.Lgetxattr(root+"photos/a.jpg", "user.keepsake.sha256", make([]byte, 10)); !errors.Is(err, unix.ERANGE) {
		t.Errorf("too little room: %v", err)
	}
}

// TestStat compares what stat, statx and lseek say with what the disk says.
func TestStat(t *testing.T) {
	needFUSE(t)
	dir := filepath.Join(t.TempDir(), "library")
	write(t, dir+"/plain", random(1, 100_000))
	if err := os.Link(dir+"/plain", dir+"/other name"); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(dir + "/sparse")
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{0, 8 << 20, 20 << 20} {
		if _, err := f.WriteAt(random(2, 64<<10), off); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Truncate(32<<20), f.Close()); err != nil {
		t.Fatal(err)
	}
	r := storetest.New(t).Open(t)
	back(t, r, dir, "library", nil)
	root := mount(t, r, nil).path("latest", "library")
	for _, name := range []string{".", "plain", "other name", "sparse"} {
		var was, is unix.Statx_t
		mask := unix.STATX_BASIC_STATS | unix.STATX_BTIME
		if err := unix.Statx(unix.AT_FDCWD, dir+"/"+name, 0, mask, &was); err != nil {
			t.Fatal(err)
		}
		if err := unix.Statx(unix.AT_FDCWD, root+"/"+name, 0, mask, &is); err != nil {
			t.Fatal(err)
		}
		type said struct {
			Mode                uint16
			UID, GID, Links     uint32
			Size, Blocks        uint64
			Mtime, Ctime, Btime unix.StatxTimestamp
		}
		say := func(s *unix.Statx_t) said {
			return said{s.Mode, s.Uid, s.Gid, s.Nlink, s.Size, s.Blocks, s.Mtime, s.Ctime, s.Btime}
		}
		if is.Mask&unix.STATX_BTIME == 0 {
			was.Btime, is.Btime = unix.StatxTimestamp{}, unix.StatxTimestamp{}
			t.Logf("%s: this kernel does not ask FUSE for the time of birth", name)
		}
		if say(&was) != say(&is) {
			t.Errorf("%s: %+v became %+v", name, say(&was), say(&is))
		}
	}
	a, errA := os.Stat(root + "/plain")
	b, errB := os.Stat(root + "/other name")
	if err := errors.Join(errA, errB); err != nil || !os.SameFile(a, b) {
		t.Errorf("hard links are two files: %v", err)
	}
}

// openUp makes the way to a mount point passable for everybody.
func openUp(t *testing.T, dir string) {
	t.Helper()
	for dir = filepath.Dir(dir); dir != "/"; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&0o001 == 0 {
			if err := os.Chmod(dir, info.Mode()|0o011); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestMaskedMode(t *testing.T) {
	entry := func(tag, perm byte) []byte { return []byte{tag, 0, perm, 0, 1, 0, 0, 0} }
	acl := func(entries ...[]byte) []tree.Xattr {
		return []tree.Xattr{{Name: []byte("system.posix_acl_access"), Value: append([]byte{2, 0, 0, 0}, bytes.Join(entries, nil)...)}}
	}
	for name, test := range map[string]struct {
		mode   uint32
		xattrs []tree.Xattr
		want   uint32
	}{
		"no ACL":                               {0o664, nil, 0o664},
		"another attribute":                    {0o664, []tree.Xattr{{Name: []byte("user.x")}}, 0o664},
		"owning group has less":                {0o664, acl(entry(1, 6), entry(4, 0), entry(0x10, 6), entry(0x20, 4)), 0o604},
		"mask has less":                        {0o644, acl(entry(1, 6), entry(4, 6), entry(0x10, 4), entry(0x20, 4)), 0o644},
		"a named user is shut out":             {0o644, acl(entry(1, 6), entry(2, 0), entry(4, 4), entry(0x10, 4), entry(0x20, 4)), 0o600},
		"the mask has less than a named group": {0o626, acl(entry(1, 6), entry(4, 6), entry(8, 6), entry(0x10, 2), entry(0x20, 6)), 0o622},
		"a mask for nobody":                    {0o646, acl(entry(1, 6), entry(4, 6), entry(0x10, 4), entry(0x20, 6)), 0o646},
		"not understood":                       {0o4775, []tree.Xattr{{Name: []byte("system.posix_acl_access"), Value: []byte{9, 0, 0, 0}}}, 0o4700},
	} {
		if got := fusefs.Masked(test.mode, test.xattrs); got != test.want {
			t.Errorf("%s: %o, want %o", name, got, test.want)
		}
	}
}

// as runs what looks as another user, in a thread that ends with it.
func as(t *testing.T, uid, gid int, look func()) {
	t.Helper()
	asMember(t, uid, gid, nil, look)
}

// asMember is as, with further groups.
func asMember(t *testing.T, uid, gid int, groups []int, look func()) {
	t.Helper()
	list := make([]uint32, 1, 1+len(groups)) // one more, to have an address
	for _, g := range groups {
		list = append(list, uint32(g))
	}
	list = append(list[1:], list[0])
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this
		_, _, no := syscall.RawSyscall(syscall.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&list[0])), 0)
		if no == 0 {
			_, _, no = syscall.RawSyscall(syscall.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid))
		}
		if no == 0 {
			_, _, no = syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
		}
		if no != 0 {
			done <- no
			return
		}
		look()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatalf("becoming user %d: %v", uid, err)
	}
}
