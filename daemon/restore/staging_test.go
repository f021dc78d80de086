package restore_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/daemon/restore"
	"keepsake/store/tree"
)

// TestLinkCountAttackWorks is the negative control of TestSwappedTemporaries: a
// writer that makes a FIFO, opens it by name and takes a link count of one for
// proof changes what lies outside.
func TestLinkCountAttackWorks(t *testing.T) {
	base := t.TempDir()
	out, check := outside(t, base)
	temporary, mine := filepath.Join(base, "temporary"), filepath.Join(base, "mine")
	var over atomic.Bool
	var work sync.WaitGroup
	work.Go(func() {
		for !over.Load() {
			_ = os.Link(out+"/fifo", mine)
			_ = os.Rename(mine, temporary)
			_ = os.Remove(temporary)
		}
	})
	defer work.Wait()
	defer over.Store(true)
	naive := func() {
		_ = unix.Mkfifo(temporary, 0o600)
		fd, err := unix.Open(temporary, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return
		}
		defer unix.Close(fd)
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Nlink == 1 && st.Mode&unix.S_IFMT == unix.S_IFIFO {
			_ = unix.Fchmodat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), 0o604, 0)
		}
	}
	for began := time.Now(); time.Since(began) < time.Minute; {
		if naive(); check() != nil {
			return
		}
	}
	t.Error("the naive writer did not escape: the attack proves nothing")
}

// TestSwappedStaging restores as root into the directory of another user, who
// puts directories of his own in the place of the private ones.
func TestSwappedStaging(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can play two users")
	}
	const user = 65534
	f := newForge(t)
	var children []*tree.Node
	for i := range 40 {
		for _, n := range []*tree.Node{symlink(fmt.Sprint("link", i), "evil"), node(fmt.Sprint("fifo", i), tree.Fifo)} {
			n.Mode, n.UID = 0o4777, 54321
			children = append(children, n)
		}
	}
	root := f.dir("", children...)
	root.UID, root.Mode = user, 0o755
	s := f.snapshot(root)
	// The directories of package testing are not open to others.
	base, err := os.MkdirTemp("", "restore-staging")
	must(t, err)
	defer os.RemoveAll(base)
	must(t, os.Chmod(base, 0o711))
	target := filepath.Join(base, "target")
	must(t, os.Mkdir(target, 0o755))
	must(t, os.Chown(target, user, user))
	out, _ := outside(t, base)
	// What he may link to is his, but that is no reason to make it 54321's.
	for _, name := range []string{"/fifo", "/link"} {
		must(t, os.Lchown(out+name, user, user))
	}
	var over atomic.Bool
	var taken, reached atomic.Int64
	var work sync.WaitGroup
	work.Go(func() {
		runtime.LockOSThread() // and never unlock: the thread ends with its user
		if unix.Setfsgid(user) != nil || unix.Setfsuid(user) != nil {
			return
		}
		for !over.Load() {
			entries, _ := os.ReadDir(target)
			for _, e := range entries {
				place := filepath.Join(target, e.Name())
				if !strings.HasPrefix(e.Name(), ".keepsake-restore-") {
					continue
				}
				if unix.Rename(place, target+"/aside") == nil && unix.Mkdir(place, 0o700) == nil {
					taken.Add(1)
				}
				inner := filepath.Join(place, e.Name())
				for _, victim := range []string{"/fifo", "/link"} {
					_ = unix.Unlink(inner)
					_ = unix.Unlink(target + "/aside/" + e.Name())
					if unix.Link(out+victim, target+"/aside/"+e.Name()) == nil {
						reached.Add(1)
					}
					_ = unix.Link(out+victim, inner)
				}
				_ = unix.Unlink(inner)
				_ = unix.Rmdir(place)
				_ = unix.Rmdir(target + "/aside")
			}
		}
	})
	defer work.Wait()
	defer over.Store(true)
	var lost, bare int64
	for i := range rounds() / 50 {
		must(t, os.Lchown(target, user, user))
		res, err := attempt(t, f.r, s, target, func(o *restore.Options) { o.Overwrite = restore.Always })
		must(t, err)
		lost += res.LostCount
		for _, k := range res.NotKept {
			bare += k.Count
		}
		for name, mode := range map[string]uint32{"/fifo": 0o640, "/link": 0o777} {
			var st unix.Stat_t
			must(t, unix.Lstat(out+name, &st))
			if st.Uid != user || st.Mode&0o7777 != mode || st.Mtim.Sec == longAgo.Sec {
				t.Fatalf("round %d: %s is now %o %d %v", i, name, st.Mode, st.Uid, st.Mtim)
			}
		}
	}
	t.Logf("%d private directories taken away, %d entries lost, %d without metadata", taken.Load(), lost, bare)
	if taken.Load() == 0 {
		t.Error("the attack never hit")
	}
	if n := reached.Load(); n > 0 {
		t.Errorf("he entered private directories %d times", n)
	}
}

// TestUnchangedAmongOthers: where others can make and remove names, the link
// count of an open file is no proof that it has no name outside. There, a file
// is replaced where elsewhere its metadata is set.
func TestUnchangedAmongOthers(t *testing.T) {
	f := newForge(t)
	known := func(n *tree.Node) *tree.Node {
		sum := sha256.Sum256(n.Name) // which is also the content
		n.SHA256 = &sum
		return n
	}
	s := f.snapshot(f.dir("", f.dir("d", known(f.file("right", "right")), known(f.file("time", "time")))))
	for _, c := range []struct {
		mode    os.FileMode
		inPlace bool
	}{{0o755, true}, {0o777, false}, {0o775, false}} {
		target := t.TempDir()
		whole(t, restored(t, f.r, s, target, nil))
		must(t, os.Chmod(target+"/d", c.mode))
		touch(t, target+"/d/time", time.Unix(5, 5))
		before, right := inode(t, target+"/d/time"), inode(t, target+"/d/right")
		whole(t, restored(t, f.r, s, target, func(o *restore.Options) { o.Overwrite = restore.IfChanged }))
		if same := inode(t, target+"/d/time") == before; same != c.inPlace {
			t.Errorf("%o: changed in place: %v", c.mode, same)
		}
		if inode(t, target+"/d/right") != right {
			t.Errorf("%o: what was right is written anew", c.mode)
		}
		info, err := os.Lstat(target + "/d/time")
		must(t, err)
		if tree.TimeOf(info.ModTime()) != longAgo {
			t.Errorf("%o: the time is %v", c.mode, info.ModTime())
		}
	}
}

func inode(t testing.TB, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	return st.Ino
}
