package fusefs

import (
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
)

const (
	// defaultNodes is how many nodes are kept alive, at well under 1 KiB each.
	// The kernel alone would keep as many as its own memory has room for, which
	// is more than a NAS has for us.
	defaultNodes = 20_000
	// trimPause is how long the kernel is given to forget, between two rounds.
	trimPause = 20 * time.Millisecond
	// pruneBatch is how many nodes one notification names.
	pruneBatch = 512
)

// trimmer asks the kernel to forget nodes when there are too many.
type trimmer struct {
	limit   int
	running atomic.Bool
	byName  atomic.Bool // the kernel does not know how to prune; old ones do not
}

// adopted is called after a node was looked up.
func (v *view) adopted() {
	if v.table.len() > v.trimmer.limit && v.trimmer.running.CompareAndSwap(false, true) {
		go v.trim()
	}
}

// trim asks the kernel to forget so many nodes that three quarters of the
// limit are left. Which ones is left to chance: the kernel says nothing of how
// it uses them, and one that is forgotten too early costs one lookup.
func (v *view) trim() {
	defer v.trimmer.running.Store(false)
	victims := v.table.pick(v.table.len() - v.trimmer.limit/4*3)
	if !v.trimmer.byName.Load() {
		v.prune(victims)
	}
	if v.trimmer.byName.Load() {
		v.expire(victims)
	}
	time.Sleep(trimPause)
}

// prune lets the kernel drop what nobody uses at the moment.
func (v *view) prune(victims []member) {
	batch := make([]*fs.Inode, 0, pruneBatch)
	for i, m := range victims {
		batch = append(batch, m.EmbeddedInode())
		if len(batch) < pruneBatch && i < len(victims)-1 {
			continue
		}
		if m.EmbeddedInode().NotifyPrune(batch) == syscall.ENOSYS {
			v.trimmer.byName.Store(true)
			return
		}
		batch = batch[:0]
	}
}

// expire makes names invalid one by one. A directory stays, since a process
// that works in it would be told that it is gone; so does a file that is open.
// Those that hold the versions of one file are as many as files and must go,
// but not while somebody lists one or uses what is in it.
func (v *view) expire(victims []member) {
	for _, m := range victims {
		switch m := m.(type) {
		case *dir:
			continue
		case *file:
			if m.open.Load() > 0 {
				continue
			}
		case *merged:
			if !m.flat || m.open.Load() > 0 || len(m.Children()) > 0 {
				continue
			}
		}
		if name, parent := m.EmbeddedInode().Parent(); parent != nil {
			_ = parent.NotifyEntry(name) // that it is forgotten already is as good
		}
	}
}

// pick returns up to n nodes that are not lists, at random.
func (t *table) pick(n int) []member {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []member
	for _, m := range t.live { // begins anywhere
		if len(all) >= n {
			break
		}
		switch o := m.(type) {
		case inside:
			all = append(all, m)
		case *merged:
			if o.place.path != "" {
				all = append(all, m)
			}
		}
	}
	return all
}
