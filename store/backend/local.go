package backend

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"keepsake/store/durable"
)

// Local keeps objects in a directory of a local or mounted file system. Its
// methods may be called concurrently, except SetOwner and SetOpenFiles, which
// belong before first use.
type Local struct {
	root  string
	disk  *durable.Disk
	owner string // hex; in front of the names of staged files
	pool  pool
	dirs  dirs

	mu   sync.Mutex
	live map[string]bool // staged file names in use by this process
}

// landmarks are what a repository's directory holds at least one of. An empty
// mount point has none.
var landmarks = [...]string{stagingDir, "config", "keys", "snapshots", "data"}

const (
	marker     = "README.txt" // in the staging directory: this directory is ours
	markerText = "keepsake writes new objects of this repository here before they become visible.\n" +
		"Files in this folder are incomplete. Leave them alone while a keepsake is running.\n"
)

// OpenLocal opens the repository directory dir. It only looks, so that a
// repository on a read-only disk can be opened. A directory that is missing or
// holds nothing of a repository is ErrNoRepository. disk may be nil.
func OpenLocal(dir string, disk *durable.Disk) (*Local, error) {
	l, err := newLocal(dir, disk)
	if err != nil {
		return nil, err
	}
	if err := l.present(); err != nil {
		return nil, err
	}
	return l, nil
}

// CreateLocal prepares dir, which is created (0700) if it is missing, to hold a
// repository, and opens it. A directory that CreateLocal has prepared before
// is accepted, whether or not objects were published since, so that an
// interrupted creation can be repeated. Anything else that is not empty is
// ErrNotEmpty; lost+found does not count. disk may be nil.
func CreateLocal(dir string, disk *durable.Disk) (*Local, error) {
	l, err := newLocal(dir, disk)
	if err != nil {
		return nil, err
	}
	if err := l.disk.MkdirAll(l.root, durable.PrivateDir); err != nil {
		return nil, err
	}
	// A killed attempt may have made the directory without syncing it there. A
	// parent that may not be read belongs to somebody else, and is old.
	err = l.disk.SyncDir(filepath.Dir(l.root))
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	ours, err := l.claimed()
	if err != nil {
		return nil, err
	}
	if ours {
		return l, nil
	}
	if err := l.dirs.settle(l, []string{stagingDir}); err != nil {
		return nil, err
	}
	err = l.disk.WriteFile(l.path(stagingDir+"/"+marker), []byte(markerText), durable.PrivateFile)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return l, nil
}

func newLocal(dir string, disk *durable.Disk) (*Local, error) {
	// A later chdir must not move the repository.
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	l := &Local{root: root, disk: disk, live: map[string]bool{}}
	l.pool.limit = defaultOpenFiles
	var owner [16]byte
	rand.Read(owner[:]) // never fails, by crypto/rand's contract
	l.SetOwner(owner)
	return l, nil
}

// claimed reports whether CreateLocal has prepared the directory before, and
// ErrNotEmpty if somebody else's files are in it.
func (l *Local) claimed() (bool, error) {
	if _, err := l.disk.Lstat(l.path(stagingDir + "/" + marker)); err == nil {
		return true, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	notEmpty := func(name string) error {
		return fmt.Errorf("%w: %s contains %q", ErrNotEmpty, l.root, name)
	}
	staging := false
	err := l.disk.ReadDir(l.root, func(e fs.DirEntry) error {
		switch {
		case e.Name() == stagingDir && e.IsDir():
			staging = true
		case e.Name() != "lost+found":
			return notEmpty(e.Name())
		}
		return nil
	})
	if err != nil || !staging {
		return false, err
	}
	// Killed between the directory and its marker, of which a part may be left.
	return false, l.disk.ReadDir(l.path(stagingDir), func(e fs.DirEntry) error {
		if !strings.HasPrefix(e.Name(), marker+".") || !strings.HasSuffix(e.Name(), durable.TempSuffix) {
			return notEmpty(stagingDir + "/" + e.Name())
		}
		return l.disk.Remove(l.path(stagingDir + "/" + e.Name()))
	})
}

// SetOwner names the writer on whose behalf objects are staged; CleanStaged
// removes that writer's leftovers. Without it the owner is random, and a kill
// leaves files that nobody claims.
func (l *Local) SetOwner(owner [16]byte) { l.owner = hex.EncodeToString(owner[:]) }

// SetOpenFiles bounds the descriptors kept open for reading; the default is 64.
// Readers at work may hold some more for the time of one read.
func (l *Local) SetOpenFiles(n int) { l.pool.limit = max(n, 1) }

// Dir returns the repository's directory as an absolute path.
func (l *Local) Dir() string { return l.root }

// Close closes the pooled descriptors, so that the disk can be unmounted. The
// Local stays usable and opens files anew when they are read. Staged objects
// are not touched.
func (l *Local) Close() error { return l.pool.clear() }

// Free returns the bytes that may still be written, and the file system's size.
func (l *Local) Free(ctx context.Context) (free, total uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	// The empty mount point would answer for the wrong disk.
	if err := l.present(); err != nil {
		return 0, 0, err
	}
	return l.disk.Free(l.root)
}

func (l *Local) path(name string) string {
	return filepath.Join(l.root, filepath.FromSlash(name))
}

// present is nil if the directory holds something of a repository.
func (l *Local) present() error {
	for _, name := range landmarks {
		_, err := l.disk.Lstat(l.path(name))
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return err
		}
	}
	return fmt.Errorf("%w: %s (is its disk mounted?)", ErrNoRepository, l.root)
}

// absent decides what err means where it says that something is missing: the
// thing, or the whole repository.
func (l *Local) absent(err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if away := l.present(); away != nil {
		return away
	}
	return err
}
