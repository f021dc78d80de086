package fusefs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"keepsake/fusefs"
)

// TestVersionsArePrivate has another user look at what was private once, is
// private now, or belonged to somebody else.
func TestVersionsArePrivate(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can look with another user's eyes")
	}
	l := newTimed(t)
	const alice, bob = 4001, 4002
	type had struct {
		mode os.FileMode
		uid  int
	}
	dirs := map[string][2]had{
		"was private": {{0o700, alice}, {0o755, alice}},
		"is private":  {{0o755, alice}, {0o700, alice}},
		"public":      {{0o755, alice}, {0o755, alice}},
		"now of bob":  {{0o700, alice}, {0o700, bob}},
		"was of bob":  {{0o700, bob}, {0o700, alice}},
		"of bob":      {{0o700, bob}, {0o700, bob}},
		"not listed":  {{0o711, alice}, {0o711, alice}},
	}
	for i := range 2 {
		for name, h := range dirs {
			l.write(name+"/sub/file", fmt.Sprint(name, i))
			l.write(name+"/secret", fmt.Sprint(name, i))
			err := errors.Join(
				os.Chown(l.dir+"/"+name, h[i].uid, h[i].uid), os.Chmod(l.dir+"/"+name, h[i].mode),
				os.Chown(l.dir+"/"+name+"/secret", alice, alice), os.Chmod(l.dir+"/"+name+"/secret", 0o600),
			)
			if err != nil {
				t.Fatal(err)
			}
		}
		l.take()
	}
	m := mount(t, l.r, func(o *fusefs.Options) { o.AllowOther = true })
	openUp(t, m.dir)
	root := m.path("versions", "library")
	open := map[int][]string{alice: {"is private", "not listed", "public", "was private"}, bob: {"of bob", "public"}}
	for user, want := range open {
		var got []string
		as(t, user, user, func() {
			for name := range dirs {
				if enters(t, root+"/"+name, user, user == bob) {
					got = append(got, name)
				}
			}
		})
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("user %d enters %q, want %q", user, got, want)
		}
	}
}

// enters reports whether a merged directory lets a user list it. The versions of
// a file in it are listed by the same users, and the secret by its owner alone.
func enters(t *testing.T, dir string, user int, stranger bool) bool {
	t.Helper()
	_, err := os.ReadDir(dir)
	_, below := os.ReadDir(dir + "/sub/file")
	secrets, versions := os.ReadDir(dir + "/secret")
	if (err == nil) != (below == nil) && filepath.Base(dir) != "not listed" || (err == nil) != (versions == nil) {
		t.Errorf("%s lets %d in (%v), below it (%v), in the versions of a file (%v)", dir, user, err, below, versions)
	}
	if err != nil && !errors.Is(err, unix.EACCES) {
		t.Errorf("%d enters %s: %v", user, dir, err)
	}
	for _, s := range secrets {
		_, err := os.ReadFile(dir + "/secret/" + s.Name())
		if errors.Is(err, unix.EACCES) != stranger {
			t.Errorf("%d reads the secret of %s: %v", user, dir, err)
		}
	}
	return err == nil
}

// TestVersionsRootIsPrivate has a source whose own directory was private once.
func TestVersionsRootIsPrivate(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can look with another user's eyes")
	}
	l := newTimed(t)
	const bob = 4002
	for i, mode := range []os.FileMode{0o700, 0o755} {
		l.write("x", fmt.Sprint(i))
		if err := os.Chmod(l.dir, mode); err != nil {
			t.Fatal(err)
		}
		l.take()
	}
	m := mount(t, l.r, func(o *fusefs.Options) { o.AllowOther = true })
	openUp(t, m.dir)
	as(t, bob, bob, func() {
		if _, err := os.ReadDir(m.path("versions", "library")); !errors.Is(err, unix.EACCES) {
			t.Errorf("another user gets in: %v", err)
		}
		if _, err := os.ReadDir(m.path("latest", "library") + "/"); err != nil {
			t.Errorf("today's directory is public: %v", err)
		}
	})
}

// TestVersionsMaskACLs captures directories, one of them the source's own, whose
// ACL shuts somebody out.
func TestVersionsMaskACLs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can look with another user's eyes")
	}
	l := newTimed(t)
	const bob = 4002
	l.write("d/file", "text")
	acl := []byte{2, 0, 0, 0,
		1, 0, 7, 0, 255, 255, 255, 255, // owner rwx
		2, 0, 0, 0, bob & 0xff, bob >> 8, 0, 0, // bob ---
		4, 0, 5, 0, 255, 255, 255, 255, // owning group r-x
		16, 0, 7, 0, 255, 255, 255, 255, // mask rwx
		32, 0, 5, 0, 255, 255, 255, 255} // others r-x
	for _, dir := range []string{"d", "."} {
		if err := unix.Setxattr(l.dir+"/"+dir, "system.posix_acl_access", acl, 0); err != nil {
			t.Skipf("not run: no ACLs here: %v", err)
		}
		l.take()
		m := mount(t, l.r, func(o *fusefs.Options) { o.AllowOther = true })
		openUp(t, m.dir)
		as(t, bob, bob, func() {
			if _, err := os.ReadDir(m.path("versions", "library", dir)); !errors.Is(err, unix.EACCES) {
				t.Errorf("who was shut out of %s gets in: %v", dir, err)
			}
		})
	}
}
