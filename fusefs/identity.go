package fusefs

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"github.com/hanwen/go-fuse/v2/fs"

	"keepsake/store"
	"keepsake/store/tree"
)

// number is an inode number and its generation.
type number struct{ ino, gen uint64 }

// hash is how numbers are made; tests put in one that collides.
type hash func(b []byte) number

// realHash takes 128 bits of SHA-256. Whoever wants two nodes to meet has to
// find a collision of that among names in one snapshot.
func realHash(b []byte) number {
	sum := sha256.Sum256(b)
	n := number{binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])}
	// 0 stands for none, 1 is the root, and go-fuse keeps the last for itself.
	if n.ino <= rootIno || n.ino == ^uint64(0) {
		n.ino = ^n.ino ^ 0x5555
	}
	return n
}

const rootIno = 1

// What numbers are made of begins with one of these bytes, so that nothing of
// one kind is ever hashed like something of another.
const (
	ofPath byte = iota + 1
	ofSnapshot
	ofLinks
	ofList
	ofLatest
	ofPrevious
	ofMerged
	ofVersion
)

func (h hash) path(parent number, name string) number {
	b := make([]byte, 0, 17+len(name))
	b = append(b, ofPath)
	b = binary.BigEndian.AppendUint64(b, parent.ino)
	b = binary.BigEndian.AppendUint64(b, parent.gen)
	return h(append(b, name...))
}

func (h hash) snapshot(id store.SnapshotID) number {
	return h(append([]byte{ofSnapshot}, id[:]...))
}

// previous is the number of the folder that a snapshot has for Samba. What lies
// in it has numbers of its own too, but for files with several names.
func (h hash) previous(id store.SnapshotID) number {
	return h(append([]byte{ofPrevious}, id[:]...))
}

// merged is the number of the merged directory of a source's root. What lies in
// it has a number by its path, but for versions.
func (h hash) merged(source [16]byte) number {
	return h(append([]byte{ofMerged}, source[:]...))
}

// version is the number of what a snapshot had first of all that a merged
// directory stands for.
func (h hash) version(id store.SnapshotID, merged number) number {
	b := append(make([]byte, 0, 64), ofVersion)
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint64(b, merged.ino)
	return h(binary.BigEndian.AppendUint64(b, merged.gen))
}

// links is the number of a file with several names in one snapshot. What they
// must have in common goes in, so that a manifest that calls different files
// links of each other does not make one appear as the other.
func (h hash) links(id store.SnapshotID, n *tree.Node) number {
	b := append(make([]byte, 0, 256), ofLinks)
	b = append(b, id[:]...)
	for _, v := range [...]uint64{n.LinkGroup, n.Size, uint64(n.Type), uint64(n.Mode), uint64(n.UID), uint64(n.GID), uint64(n.MTime.Sec), uint64(n.MTime.Nsec)} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	b = append(b, n.Target...)
	for _, e := range n.Content {
		b = binary.BigEndian.AppendUint64(b, e.Length)
		b = append(b, e.Chunk[:]...)
	}
	if n.List != nil {
		b = append(b, n.List.Chunk[:]...)
	}
	return h(b)
}

func (h hash) list(kind byte, name string) number {
	return h(append([]byte{ofList, kind}, name...))
}

func (h hash) latest(source [16]byte, target string) number {
	return h(append(append([]byte{ofLatest}, source[:]...), target...))
}

// member is a node with a number.
type member interface {
	fs.InodeEmbedder
	// same reports whether another node of the same number is this one.
	same(member) bool
}

// table knows the live nodes by their numbers. go-fuse would take any node of
// the same numbers for the same node; the table refuses instead. One gap is
// left: a node that is forgotten and looked up at the same moment may live on
// unknown to the table, until it is looked up again. It takes a collision of
// 128 bits in that very moment to go unnoticed.
type table struct {
	mu   sync.Mutex
	live map[number]member
}

func newTable() *table { return &table{live: map[number]member{}} }

// adopt returns the inode for m: that of the live node which is the same, or
// else a new one.
func (t *table) adopt(ctx context.Context, parent *fs.Inode, id number, mode uint32, m member) (*fs.Inode, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old, ok := t.live[id]; ok {
		if !old.same(m) {
			return nil, errCollision
		}
		return old.EmbeddedInode(), nil
	}
	t.live[id] = m
	return parent.NewInode(ctx, m, fs.StableAttr{Mode: mode, Ino: id.ino, Gen: id.gen}), nil
}

// find returns the live node of a number, or nil.
func (t *table) find(id number) member {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.live[id]
}

// keep puts a node that was found by its name back, should it have been forgotten meanwhile.
func (t *table) keep(id number, m member) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live[id] == nil {
		t.live[id] = m
	}
}

func (t *table) forget(id number, m member) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live[id] == m {
		delete(t.live, id)
	}
}

func (t *table) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.live)
}
