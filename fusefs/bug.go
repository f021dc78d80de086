package fusefs

import (
	"fmt"
	"runtime/debug"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// bug is the error of an operation that panicked.
type bug struct{ value any }

func (b *bug) Error() string { return fmt.Sprintf("fusefs: panic: %v", b.value) }

// bug logs a panic, with where it happened, and makes an error of it. It is
// called while the panic unwinds.
func (v *view) bug(p any) error {
	b := &bug{p}
	if known, _ := v.damage.note("", b.Error()); !known {
		v.log.Error("a bug in keepsake made an operation of the mounted view fail", "panic", p, "stack", string(debug.Stack()))
	}
	return b
}

// sound runs what has nobody to answer to, in a goroutine of its own, so that a
// panic there does not end the whole program.
func (v *view) sound(op func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = v.bug(p)
		}
	}()
	return op()
}

// panicked is told by go-fuse of panics in operations that are answered without
// a goroutine of their own.
func (v *view) panicked(p any) fuse.Status {
	_ = v.bug(p) // which logs it
	return fuse.EIO
}
