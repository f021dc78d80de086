package store

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"keepsake/crypto"
	"keepsake/store/index"
	"keepsake/store/object"
	"keepsake/store/pack"
	"keepsake/store/tree"
)

// Keys, Index and Fetch show tests what lies under a Repository.
func (r *Repository) Keys() *crypto.Keyring { return r.keys }
func (r *Repository) Index() *index.DB      { return r.index }

// PutRecord seals and publishes an object that no verb writes yet.
func (r *Repository) PutRecord(ctx context.Context, kind object.Kind, plain []byte) (string, error) {
	prefix := map[object.Kind]string{object.Snapshot: prefixSnapshots, object.Ledger: prefixLedger, object.Condemned: prefixCondemned}[kind]
	id, err := r.putSealed(ctx, kind, prefix, plain)
	return sealedName(prefix, id), err
}

// PutEpoch publishes an epoch record, as a rotation will.
func (r *Repository) PutEpoch(ctx context.Context, e *crypto.EpochRecord) error {
	b, err := e.MarshalBinary()
	if err != nil {
		return err
	}
	return putTwins(ctx, r.objects, epochName(e.Epoch), object.Frame(object.Epoch, b))
}

// PackName is the name of a pack's object.
func PackName(kind object.Kind, id pack.ID) string { return packName(kind, id) }

// SnapshotName is the name of a manifest's object.
func SnapshotName(id SnapshotID) string { return sealedName(prefixSnapshots, id) }

// Unverified makes the repository hand out stored bytes where a block does not
// open, as a reader without authentication would.
func (r *Repository) Unverified() {
	r.openers = openers{wrap: func(o *pack.Opener) opener { return careless{o} }}
}

type careless struct{ o *pack.Opener }

func (c careless) OpenBlock(dst []byte, e pack.Entry, i int, stored []byte) ([]byte, error) {
	out, err := c.o.OpenBlock(dst, e, i, stored)
	if err != nil {
		_, n, _, _ := e.Block(i)
		return append(dst, stored[:min(n, len(stored))]...), nil
	}
	return out, nil
}

func (c careless) OpenChunk(dst []byte, e pack.Entry, stored []byte) ([]byte, error) {
	out, err := c.o.OpenChunk(dst, e, stored)
	if err != nil {
		return append(dst, stored[:min(int(e.Plain), len(stored))]...), nil
	}
	return out, nil
}

// FormatPaths writes affected paths, one to a line.
func FormatPaths(paths []AffectedPath) (out string) {
	for _, p := range paths {
		out += fmt.Sprintf("%s %q below=%v\n", p.Snapshot.Short(), p.Path, p.Below)
	}
	return out
}

// Node is what tests build trees from.
type Node = tree.Node

// FoldEntry is a ledger entry with its id.
type FoldEntry struct {
	ID    [32]byte
	Entry *tree.LedgerEntry
}

// Fold takes entries in, in this order, and shows what became of the snapshots
// whose ids are 0, 1, 2, ….
func Fold(entries []FoldEntry, snapshots int) (out string) {
	l := newLedger()
	for _, e := range entries {
		l.fold(e.ID, e.Entry)
	}
	for n := range snapshots {
		id := SnapshotID{byte(n)}
		_, pinned := l.Pinned(id, time.Time{})
		words, tagged := l.tagsOf(id)
		out += fmt.Sprintf("%d forgotten=%v pinned=%v tags=%v %v\n", n, l.Forgotten(id), pinned, words, tagged)
	}
	return out
}

// SpoilReused overwrites memory of blocks when the last user has let go of it,
// and counts how often that happened.
func (r *Repository) SpoilReused(count *atomic.Int64) {
	r.cache.memory.reused = func(b []byte) {
		count.Add(1)
		for i := range b {
			b[i] = 0xDB
		}
	}
}

// Misplace makes the file remember a place for its last chunk where that chunk
// does not lie any more.
func (f *File) Misplace() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.place.Pack.ID[0] ^= 1
}
