package tree

import (
	"bytes"
	"fmt"

	"keepsake/crypto"
)

// PageBuilder turns the sorted entries of one directory into pages.
//
// Where a page ends is decided by the names alone, from left to right: after a name that cut chooses, and before an entry that would be
// number MaxPageEntries+1 or exceed MaxPageBytes. Upper levels are cut likewise by the last name of each page, but have at
// least two children unless they are the last of their level, so that each level is at most half as wide as the one below.
// So the same set of entries always gives the same pages, and a change moves cuts only up to the next name that cut chooses.
//
// A builder serves one goroutine. After Finish it is empty and may be used for the next directory.
type PageBuilder struct {
	cut    func(level int, name []byte) bool
	put    func(encoded []byte) (crypto.ChunkID, error)
	levels []pageLevelState
	last   []byte // name of the last entry added
	some   bool
	node   []byte // scratch: one encoded node or child
	page   []byte // scratch: one encoded page
	err    error
}

// pageLevelState is the page of one level that is being filled.
type pageLevelState struct {
	body    []byte // entries, encoded
	count   int
	entries uint64 // directory entries under it
	last    []byte
	written int
	// first is the first page of the level, kept back from the level above until there is a second: a level of one page is the root.
	first Child
}

// NewPageBuilder returns a builder. cut tells whether a page of this level ends after name, for about one name in 64, and
// must depend on nothing else; put stores an encoded page and returns its id. Neither may keep the slice it is given.
func NewPageBuilder(cut func(level int, name []byte) bool, put func(encoded []byte) (crypto.ChunkID, error)) *PageBuilder {
	return &PageBuilder{cut: cut, put: put}
}

// Add appends an entry. Names must ascend strictly in byte order. The builder keeps nothing of n. The first error sticks until Finish.
func (b *PageBuilder) Add(n *Node) error {
	if b.err == nil {
		b.err = b.add(n)
	}
	return b.err
}

func (b *PageBuilder) add(n *Node) error {
	if err := ValidateName(n.Name); err != nil {
		return err
	}
	if b.some && bytes.Compare(b.last, n.Name) >= 0 {
		return fmt.Errorf("%w: %q after %q", ErrOrder, n.Name, b.last)
	}
	var err error
	if b.node, err = n.Append(b.node[:0]); err != nil {
		return fmt.Errorf("%q: %w", n.Name, err)
	}
	b.last, b.some = append(b.last[:0], n.Name...), true
	return b.append(0, b.last, 1)
}

// append adds the entry encoded in b.node to the open page of a level.
func (b *PageBuilder) append(level int, name []byte, entries uint64) error {
	if level == MaxLevels {
		return limitf("more than %d levels of pages", MaxLevels)
	}
	if level == len(b.levels) {
		b.levels = append(b.levels, pageLevelState{})
	}
	l := &b.levels[level]
	if l.count == MaxPageEntries || l.count > 0 && pageHead+len(l.body)+len(b.node) > MaxPageBytes {
		// Flushing may encode a child into b.node.
		entry := b.node
		b.node = nil
		if err := b.flush(level); err != nil {
			return err
		}
		b.node = entry
		l = &b.levels[level]
	}
	l.body = append(l.body, b.node...)
	l.count++
	l.entries += entries
	l.last = append(l.last[:0], name...)
	if (level == 0 || l.count >= 2) && b.cut(level, name) {
		return b.flush(level)
	}
	return nil
}

// pageHead is the most bytes a page has besides its entries: map head, two keys, level, array head.
const pageHead = 1 + 1 + 1 + 1 + 3

// flush writes the open page of a level and hands it to the level above.
func (b *PageBuilder) flush(level int) error {
	c, err := b.write(level)
	if err != nil {
		return err
	}
	l := &b.levels[level]
	l.written++
	if l.written == 1 {
		l.first = c
		return nil
	}
	if l.written == 2 {
		first := l.first
		if err := b.push(level+1, &first); err != nil {
			return err
		}
	}
	return b.push(level+1, &c)
}

func (b *PageBuilder) push(level int, c *Child) error {
	b.node = c.append(b.node[:0])
	return b.append(level, c.Last, c.Entries)
}

// write stores the open page of a level and empties it.
func (b *PageBuilder) write(level int) (Child, error) {
	l := &b.levels[level]
	key, items := uint64(pageLeaves), l.count
	if level > 0 {
		key, items = pageChildren, 3*l.count
	}
	p := appendHead(b.page[:0], majorMap, 2)
	p = append(p, pageLevel, byte(level))
	p = appendUint(p, key)
	p = appendHead(p, majorArray, uint64(items))
	p = append(p, l.body...)
	b.page = p
	id, err := b.put(p)
	if err != nil {
		return Child{}, err
	}
	c := Child{Last: cloneBytes(l.last), Chunk: id, Entries: l.entries}
	l.body, l.count, l.entries = l.body[:0], 0, 0
	return c, nil
}

// Finish writes what is open and returns the root page, one empty page if nothing was added. The builder is empty afterwards,
// whatever the outcome.
func (b *PageBuilder) Finish() (root crypto.ChunkID, err error) {
	defer b.reset()
	if b.err != nil {
		return crypto.ChunkID{}, b.err
	}
	if len(b.levels) == 0 {
		b.levels = append(b.levels, pageLevelState{})
	}
	for level := 0; level < len(b.levels); level++ {
		l := &b.levels[level]
		if l.count > 0 || level == 0 && l.written == 0 {
			if err := b.flush(level); err != nil {
				return crypto.ChunkID{}, err
			}
		}
		if b.levels[level].written == 1 {
			return b.levels[level].first.Chunk, nil
		}
	}
	panic("tree: pages without a root")
}

func (b *PageBuilder) reset() {
	for i := range b.levels {
		l := &b.levels[i]
		*l = pageLevelState{body: l.body[:0], last: l.last[:0]}
	}
	b.last, b.some, b.err = b.last[:0], false, nil
}
