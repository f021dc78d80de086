package fusefs

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"keepsake/crypto"
	"keepsake/store"
	"keepsake/store/tree"
)

// snapshots is what the view asks about them.
type snapshots interface {
	// Briefs returns all of them, oldest first, and those that cannot be read as damage.
	Briefs(ctx context.Context) ([]*store.Brief, []error, error)
	Manifest(ctx context.Context, id store.SnapshotID) (store.Snapshot, error)
}

// repository is what the view reads; *store.Repository is one.
type repository interface {
	snapshots
	Entries(ctx context.Context, dir *tree.Node) iter.Seq2[*tree.Node, error]
	Lookup(ctx context.Context, dir *tree.Node, name []byte) (*tree.Node, error)
	OpenFile(n *tree.Node) (*store.File, error)
	Xattrs(ctx context.Context, n *tree.Node) ([]tree.Xattr, error)
	pages
}

// pages is what the history of directories is read from.
type pages interface {
	Page(ctx context.Context, id crypto.ChunkID) ([]byte, error)
}

var _ repository = (*store.Repository)(nil)

// view is what all nodes of one mount share.
type view struct {
	repo  repository
	log   *slog.Logger
	now   func() time.Time
	hash  hash
	table *table
	runs  *runs
	pasts *pasts
	ahead *ahead

	trimmer trimmer

	born     time.Time // when it was mounted
	patience time.Duration
	acls     bool // the kernel enforces them; it is asked to if this is so before mounting
	uid, gid uint32

	// life ends when the view is unmounted. What is read for the kernel runs
	// under it and not under the request, whose memory go-fuse uses again.
	life   context.Context
	end    context.CancelFunc
	gate   gate
	stuck  stuck
	lists  lists
	damage damage

	// over, if it is set, stands between the kernel and the view. Tests plant
	// defects with it.
	over func(fuse.RawFileSystem) fuse.RawFileSystem
}

// interruptGrace is how long an interrupted operation goes on, since nearly
// all end in less: programs take an EINTR on a file badly, and Go's runtime
// interrupts threads all the time.
const interruptGrace = time.Second

// within runs one operation of the repository on behalf of a request and
// returns when it ends, when patience is over, when the request was
// interrupted a while ago, or when the view is unmounted. An operation that is
// abandoned goes on, and what it returns is dropped.
func within[T any](v *view, request context.Context, op func(ctx context.Context) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if v.life.Err() != nil || !v.gate.enter() {
		return none, errUnmounted
	}
	if v.stuck.full() {
		v.gate.leave()
		return none, errTooSlow
	}
	done := make(chan result, 1)
	var abandoned abandoned
	go func() {
		defer v.gate.leave()
		var r result
		r.err = v.sound(func() (err error) {
			r.value, err = op(v.life)
			return err
		})
		abandoned.ended(&v.stuck)
		done <- r
	}()
	defer abandoned.left(&v.stuck)
	patience := v.stuck.patience(v.patience)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	interrupt, late := request.Done(), errTooSlow
	for {
		select {
		case r := <-done:
			v.stuck.hangs.Store(false)
			return r.value, r.err
		case <-interrupt:
			interrupt, late = nil, errInterrupted
			timer.Reset(min(interruptGrace, patience))
		case <-timer.C:
			if late == errTooSlow {
				v.stuck.hangs.Store(true)
			}
			return none, late
		case <-v.life.Done():
			return none, errUnmounted
		}
	}
}
