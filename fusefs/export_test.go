package fusefs

import (
	"context"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// MountColliding is Mount, and every path, group of links and version gets one of
// n inode numbers with the same generation.
func MountColliding(ctx context.Context, o Options, n uint64) (*Mounted, error) {
	o = o.withDefaults()
	v := newView(ctx, o)
	v.hash = func(b []byte) number {
		if b[0] != ofPath && b[0] != ofLinks && b[0] != ofVersion {
			return realHash(b)
		}
		return number{ino: 1000 + realHash(b).ino%n, gen: 7}
	}
	return v.mount(ctx, o)
}

// MountWithoutACLs is Mount on a kernel that does not enforce ACLs.
func MountWithoutACLs(ctx context.Context, o Options) (*Mounted, error) {
	o = o.withDefaults()
	v := newView(ctx, o)
	v.acls = false
	return v.mount(ctx, o)
}

// MountCollidingInos is MountColliding, but generations differ.
func MountCollidingInos(ctx context.Context, o Options, n uint64) (*Mounted, error) {
	o = o.withDefaults()
	v := newView(ctx, o)
	v.hash = func(b []byte) number {
		no := realHash(b)
		if b[0] == ofPath || b[0] == ofLinks || b[0] == ofVersion {
			no.ino = 1000 + no.ino%n
		}
		return no
	}
	return v.mount(ctx, o)
}

// MountOver is Mount with something between the kernel and the view.
func MountOver(ctx context.Context, o Options, over func(fuse.RawFileSystem) fuse.RawFileSystem) (*Mounted, error) {
	o = o.withDefaults()
	v := newView(ctx, o)
	v.over = over
	return v.mount(ctx, o)
}

// Live is the number of nodes that the view keeps for the kernel.
func (m *Mounted) Live() int { return m.v.table.len() }

// TrimByName makes the view forget as it does on a kernel that cannot prune.
func (m *Mounted) TrimByName() { m.v.trimmer.byName.Store(true) }

// RunNodes is the number of decoded nodes that are kept.
func (m *Mounted) RunNodes() int {
	m.v.runs.mu.Lock()
	defer m.v.runs.mu.Unlock()
	return m.v.runs.nodes
}

// Within runs within with a view that waits so long.
func Within(request context.Context, patience time.Duration, op func(context.Context) (int, error)) (int, error) {
	v := newView(context.Background(), Options{Patience: patience}.withDefaults())
	defer v.end()
	return within(v, request, op)
}

// Withins returns what runs within with one view again and again.
func Withins(t interface{ Cleanup(func()) }) func(op func(context.Context) (int, error)) (int, error) {
	v := newView(context.Background(), Options{}.withDefaults())
	t.Cleanup(v.end)
	return func(op func(context.Context) (int, error)) (int, error) { return within(v, context.Background(), op) }
}

// MaxStuck is how many operations may hang that nobody waits for.
const MaxStuck = maxStuck

// The errors of operations that did not end.
var (
	ErrTooSlow     = errTooSlow
	ErrInterrupted = errInterrupted
)

// Errno is the errno that an error becomes.
var Errno = errno

// Masked is the mode that a kernel without ACLs is told.
var Masked = masked

// Extension is the extension that the versions of a name have.
var Extension = extension

// PastCost is what is known of merged directories, in its units.
func PastCost(m *Mounted) int {
	m.v.pasts.mu.Lock()
	defer m.v.pasts.mu.Unlock()
	return m.v.pasts.cost
}

// LimitPasts bounds what is known of merged directories, in its units.
func LimitPasts(m *Mounted, limit int) {
	m.v.pasts.mu.Lock()
	defer m.v.pasts.mu.Unlock()
	m.v.pasts.limit = limit
}
