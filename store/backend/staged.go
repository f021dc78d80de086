package backend

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"keepsake/store/durable"
)

// writeBehind is how many bytes gather before the kernel is asked to start
// writing them, so that the fsync of a pack finds little left to do.
const writeBehind = 8 << 20

// Staged is an object being written, visible to nobody. It holds a descriptor
// until it is published or discarded. It is for one goroutine at a time.
type Staged struct {
	owner    *Local
	name     string
	temp     string // file name in the staging directory
	file     *durable.File
	size     int64
	started  int64 // bytes whose write-back has been asked for
	err      error // the first failed write
	consumed bool
}

// Stage begins an object that Publish will show under name. The caller hands
// it to Publish or calls Discard.
func (l *Local) Stage(ctx context.Context, name string) (*Staged, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := CheckName(name); err != nil {
		return nil, err
	}
	var random [16]byte
	rand.Read(random[:]) // never fails, by crypto/rand's contract
	temp := l.owner + "-" + hex.EncodeToString(random[:])
	l.mu.Lock()
	l.live[temp] = true // before it exists, so that CleanStaged leaves it alone
	l.mu.Unlock()
	file, err := l.createStaged(temp)
	if err != nil {
		l.forget(temp)
		return nil, err
	}
	return &Staged{owner: l, name: name, temp: temp, file: file}, nil
}

func (l *Local) createStaged(temp string) (*durable.File, error) {
	at := l.path(stagingDir + "/" + temp)
	file, err := l.disk.Create(at, durable.PrivateFile)
	if !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	// A copied repository may lack the staging directory; an absent disk lacks
	// everything, and its mount point must stay empty.
	if err := l.present(); err != nil {
		return nil, err
	}
	if _, err := l.ensureDir(stagingDir); err != nil {
		return nil, err
	}
	return l.disk.Create(at, durable.PrivateFile)
}

func (l *Local) forget(temp string) {
	l.mu.Lock()
	delete(l.live, temp)
	l.mu.Unlock()
}

// Name returns the name that the object will have.
func (s *Staged) Name() string { return s.name }

// Size returns the bytes written so far.
func (s *Staged) Size() int64 { return s.size }

// Write appends to the object. After an error the object can only be
// discarded; Publish refuses it.
func (s *Staged) Write(p []byte) (int, error) {
	if s.consumed {
		return 0, fmt.Errorf("%s: %w", s.name, ErrConsumed)
	}
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.file.Write(p)
	s.size += int64(n)
	if err != nil {
		s.err = err
		return n, err
	}
	if s.size-s.started >= writeBehind {
		s.file.StartWriteback(s.started, s.size-s.started)
		s.started = s.size
	}
	return n, nil
}

// Discard drops an object that is not to be published. After Publish or a
// first Discard it does nothing, so that it can be deferred.
func (s *Staged) Discard() error {
	if s.consumed {
		return nil
	}
	s.consumed = true
	defer s.owner.forget(s.temp)
	err := s.file.Close()
	rerr := s.owner.disk.Remove(s.path())
	if errors.Is(rerr, fs.ErrNotExist) {
		rerr = nil
	}
	return errors.Join(err, rerr)
}

func (s *Staged) path() string { return s.owner.path(stagingDir + "/" + s.temp) }

// CleanStaged removes what earlier processes of the same owner staged and
// never published. The caller must be the owner's only process; objects that
// this Local has in the works are left alone, and so are other owners'.
func (l *Local) CleanStaged(ctx context.Context) error {
	err := l.disk.ReadDir(l.path(stagingDir), func(e fs.DirEntry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !strings.HasPrefix(e.Name(), l.owner+"-") {
			return nil
		}
		l.mu.Lock()
		busy := l.live[e.Name()]
		l.mu.Unlock()
		if busy {
			return nil
		}
		err := l.disk.Remove(l.path(path.Join(stagingDir, e.Name())))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return l.present()
	}
	return err
}
