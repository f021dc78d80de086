package fusefs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
)

// symlink is a symlink inside a snapshot.
type symlink struct {
	entry
	target string
}

var (
	_ fs.NodeReadlinker  = (*symlink)(nil)
	_ fs.NodeOnForgetter = (*symlink)(nil)
	_ fs.NodeOnForgetter = (*special)(nil)
)

func (s *symlink) OnForget() { s.v.table.forget(s.no, s) }

func (s *symlink) Readlink(context.Context) ([]byte, syscall.Errno) { return []byte(s.target), 0 }

// special is a FIFO, a socket or a device inside a snapshot. It can be looked
// at; what opens it is the kernel, and devices it does not open at all (nodev).
type special struct{ entry }

func (s *special) OnForget() { s.v.table.forget(s.no, s) }
