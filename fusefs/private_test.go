package fusefs_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"keepsake/fusefs"
	"keepsake/store/storetest"
)

// People who look at the guarded tree. The numbers exist on no machine.
const (
	owner    = 4001
	friend   = 4002 // named by ACLs
	member   = 4003
	stranger = 4004
	crew     = 4100 // a group named by ACLs
)

// watchers are who looks, and as which groups.
var watchers = []struct {
	name     string
	uid, gid int
	groups   []int
}{
	{"root", 0, 0, nil},
	{"the owner", owner, owner, nil},
	{"the friend", friend, friend, nil},
	{"the friend, in the owning group", friend, owner, nil},
	{"the friend, in the crew", friend, friend, []int{crew}},
	{"a member", member, member, []int{crew}},
	{"a member first of all", member, crew, nil},
	{"a stranger", stranger, stranger, nil},
	{"a stranger in the owning group", stranger, stranger, []int{owner}},
	{"a stranger in both groups", stranger, stranger, []int{crew, owner}},
}

// aclOf encodes an access ACL: permissions of owner, owning group, others and
// the mask, and of the friend and the crew unless they are negative.
func aclOf(user, group, other, mask, theFriend, theCrew int) []byte {
	acl := []byte{2, 0, 0, 0}
	add := func(tag uint16, perm int, id uint32) {
		if perm >= 0 {
			acl = binary.LittleEndian.AppendUint16(acl, tag)
			acl = binary.LittleEndian.AppendUint16(acl, uint16(perm))
			acl = binary.LittleEndian.AppendUint32(acl, id)
		}
	}
	const nobody = 1<<32 - 1
	add(1, user, nobody)
	add(2, theFriend, friend)
	add(4, group, nobody)
	add(8, theCrew, crew)
	add(16, mask, nobody)
	add(32, other, nobody)
	return acl
}

// guarded makes a tree of files and directories that not everybody may use.
func guarded(t *testing.T, dir string) {
	t.Helper()
	type thing struct {
		mode os.FileMode
		gid  int
		acl  []byte
	}
	things := map[string]thing{
		"public": {mode: 0o644}, "own": {mode: 0o600}, "nobody's": {mode: 0}, "group's": {mode: 0o640},
		"crew's": {mode: 0o640, gid: crew}, "not the group's": {mode: 0o604}, "program": {mode: 0o755}, "own program": {mode: 0o700},
		"acl: friend":              {acl: aclOf(6, 0, 0, 4, 4, -1)},
		"acl: friend writes":       {acl: aclOf(6, 0, 0, 6, 6, -1)}, // mode 0660, and the owning group has nothing
		"acl: mask takes all":      {acl: aclOf(6, 6, 0, 0, 6, 6)},
		"acl: mask takes reading":  {acl: aclOf(6, 6, 4, 2, 6, 6)},
		"acl: mask takes the rest": {acl: aclOf(6, 6, 6, 2, 6, 6)},
		"acl: crew":                {acl: aclOf(6, 0, 0, 4, -1, 4)},
		"acl: crew owns":           {acl: aclOf(6, 4, 0, 4, 0, -1), gid: crew},
		"acl: not the friend":      {acl: aclOf(6, 4, 4, 4, 0, -1)},
		"acl: not the crew":        {acl: aclOf(6, 4, 4, 4, -1, 0)},
		"acl: friend, not crew":    {acl: aclOf(6, 0, 4, 4, 4, 0)},
		"acl: programs":            {acl: aclOf(7, 1, 1, 5, 5, 4)},
	}
	for name, it := range things {
		for _, path := range []string{"file " + name, "dir " + name + "/inside"} {
			write(t, filepath.Join(dir, path), []byte("#!/bin/sh\n"))
			if err := errors.Join(os.Chmod(filepath.Join(dir, path), 0o644), unix.Setxattr(filepath.Join(dir, path), "user.mark", []byte("1"), 0)); err != nil {
				t.Fatal(err)
			}
		}
		for _, path := range []string{"file " + name, "dir " + name} {
			path = filepath.Join(dir, path)
			gid := owner
			if it.gid != 0 {
				gid = it.gid
			}
			err := errors.Join(os.Chown(path, owner, gid), unix.Setxattr(path, "user.mark", []byte("1"), 0), unix.Setxattr(path, "trusted.mark", []byte("1"), 0))
			if it.acl != nil {
				err = errors.Join(err, unix.Setxattr(path, "system.posix_acl_access", it.acl, 0))
			} else {
				err = errors.Join(err, os.Chmod(path, it.mode))
			}
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
		}
	}
	// What is closed here is not open under another name.
	if err := os.Link(dir+"/file own", dir+"/dir public/link"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir+"/dir public", 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
}

// lookAround returns what somebody gets from every name in a tree, as a path and
// what was tried; the paths are those of the original.
func lookAround(dir string, paths []string) map[string]string {
	got := map[string]string{}
	for _, rel := range paths {
		path := filepath.Join(dir, rel)
		try := func(what string, f func() (string, error)) {
			said, err := f()
			var no syscall.Errno
			if errors.As(err, &no) {
				said = no.Error()
			}
			got[rel+": "+what] = said
		}
		attribute := func(name string) {
			try(name, func() (string, error) { return getxattr(path, name) })
		}
		try("stat", func() (string, error) {
			info, err := os.Lstat(path)
			if err != nil {
				return "", err
			}
			return info.Mode().String(), nil
		})
		try("read", func() (string, error) {
			b, err := os.ReadFile(path)
			return string(b), err
		})
		try("list", func() (string, error) {
			entries, err := os.ReadDir(path)
			return fmt.Sprint(len(entries)), err
		})
		for _, may := range []uint32{unix.R_OK, unix.X_OK} {
			try(fmt.Sprint("access ", may), func() (string, error) {
				return "yes", unix.Faccessat(unix.AT_FDCWD, path, may, unix.AT_EACCESS)
			})
		}
		attribute("user.mark")
		attribute("trusted.mark")
		attribute("system.posix_acl_access")
		try("names of attributes", func() (string, error) {
			b := make([]byte, 4096)
			n, err := unix.Llistxattr(path, b)
			names := strings.Split(string(b[:max(n, 0)]), "\x00")
			slices.Sort(names)
			return strings.Join(names, " "), err
		})
	}
	return got
}

// TestPrivate has everybody look at everything, on disk and by every way
// through the mount. With the kernel enforcing ACLs both say the same. Without
// it nobody gets more from the mount than from the disk.
func TestPrivate(t *testing.T) {
	needFUSE(t)
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can look with another user's eyes")
	}
	dir := filepath.Join(t.TempDir(), "library")
	guarded(t, dir)
	openUp(t, dir)
	var paths []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path) // below it, as WalkDir says
		paths = append(paths, rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r := storetest.New(t).Open(t)
	back(t, r, dir, "library", nil)
	t.Run("ACLs", func(t *testing.T) {
		m := mount(t, r, func(o *fusefs.Options) { o.AllowOther = true })
		asOnDisk(t, m, dir, paths, func(what, disk, view string) bool { return disk == view })
	})
	t.Run("no ACLs", func(t *testing.T) {
		m := mountBy(t, r, func(o *fusefs.Options) { o.AllowOther = true },
			func(o fusefs.Options) (*fusefs.Mounted, error) { return fusefs.MountWithoutACLs(t.Context(), o) })
		asOnDisk(t, m, dir, paths, func(what, disk, view string) bool {
			denied := view == unix.EACCES.Error()
			// The bits that stat shows are those that were cut down.
			return disk == view || strings.Contains(what, "acl:") && (denied || strings.HasSuffix(what, ": stat"))
		})
	})
}

// asOnDisk compares what everybody gets.
func asOnDisk(t *testing.T, m *mounted, dir string, paths []string, same func(what, disk, view string) bool) {
	openUp(t, m.dir)
	previous := list(t, m.path("previous", "library"))
	latest, err := filepath.EvalSymlinks(m.path("latest", "library"))
	if err != nil {
		t.Fatal(err)
	}
	ways := []string{latest, m.path("previous", "library", previous[0])}
	for _, w := range watchers {
		denied, allowed := 0, 0
		asMember(t, w.uid, w.gid, w.groups, func() {
			was := lookAround(dir, paths)
			for _, way := range ways {
				is := lookAround(way, paths)
				for what, disk := range was {
					if !same(what, disk, is[what]) {
						t.Errorf("%s gets from %s of %s: %.60q, and on disk %.60q", w.name, what, way, is[what], disk)
					}
					if strings.HasSuffix(what, ": read") {
						if is[what] == unix.EACCES.Error() {
							denied++
						} else {
							allowed++
						}
					}
				}
				ownNames(t, way, paths, is)
			}
			versions := readVersions(m.path("versions", "library"), paths)
			if !slices.Contains(versions, "file public") {
				t.Errorf("%s reads no version of what is public", w.name)
			}
			for _, rel := range versions {
				if was[rel+": read"] == unix.EACCES.Error() {
					t.Errorf("%s reads a version of %s, and not the file on disk", w.name, rel)
				}
			}
		})
		if allowed == 0 || (denied == 0) != (w.uid == 0) {
			t.Errorf("%s was denied %d and allowed %d files: this shows nothing", w.name, denied, allowed)
		}
	}
}

// readVersions returns the files of which a version can be read.
func readVersions(dir string, paths []string) (read []string) {
	for _, rel := range paths {
		entries, _ := os.ReadDir(filepath.Join(dir, rel)) // those who may not list it see nothing
		for _, e := range entries {
			if _, err := os.ReadFile(filepath.Join(dir, rel, e.Name())); err == nil {
				read = append(read, rel)
			}
		}
	}
	return read
}

// ownNames asks for the attributes of the view itself, which whoever may not
// read a file may not have either: a digest tells whether it is a known one.
func ownNames(t *testing.T, dir string, paths []string, got map[string]string) {
	for _, rel := range paths {
		for _, name := range []string{"user.keepsake.sha256", "user.keepsake.snapshot"} {
			_, err := getxattr(filepath.Join(dir, rel), name)
			refused := got[rel+": user.mark"] == unix.EACCES.Error()
			if refused != errors.Is(err, unix.EACCES) {
				t.Errorf("%s of %s: %v, and user.mark: %q", name, rel, err, got[rel+": user.mark"])
			}
		}
	}
}

// TestLongACL shows that an ACL that is too long for the kernel to ask for lets
// nobody in but the owner and root.
func TestLongACL(t *testing.T) {
	needFUSE(t)
	dir := filepath.Join(t.TempDir(), "library")
	inMemory(t, dir) // a disk has no room for it
	file := dir + "/file"
	write(t, file, nil)
	acl := aclOf(6, 0, 0, 4, 4, -1)
	for id := range uint32(600) {
		named := binary.LittleEndian.AppendUint32([]byte{2, 0, 4, 0}, friend+1+id)
		acl = slices.Insert(acl, len(acl)-24, named...)
	}
	if err := errors.Join(os.Chown(file, owner, owner), unix.Setxattr(file, "system.posix_acl_access", acl, 0)); err != nil {
		t.Fatal(err)
	}
	openUp(t, dir)
	r := storetest.New(t).Open(t)
	back(t, r, dir, "library", nil)
	m := mount(t, r, func(o *fusefs.Options) { o.AllowOther = true })
	openUp(t, m.dir)
	for _, user := range []int{0, owner, friend, friend + 9000} {
		as(t, user, user, func() {
			_, disk := os.ReadFile(file)
			_, view := os.ReadFile(m.path("latest", "library", "file"))
			if in := user == 0 || user == owner; (view == nil) != in {
				t.Errorf("user %d: %v", user, view)
			}
			if in := user != friend+9000; (disk == nil) != in {
				t.Errorf("on disk, user %d: %v", user, disk)
			}
		})
	}
}
