package tree

import (
	"math"

	"keepsake/crypto"
)

// List is a chunk of a content list: extents at level 0, list chunks of the level below at all others.
type List struct {
	Level    int
	Extents  ExtentList  // level 0; never empty
	Children []ListChild // levels above 0; never empty
	Extra    Extra
}

// ListChild names a list chunk of the level below: the entries under it and the bytes of the file that they cover.
type ListChild = ListRef

// DecodeList parses a list chunk and validates all of it. The list shares no memory with b.
func DecodeList(b []byte) (*List, error) {
	if len(b) > maxListChunk {
		return nil, limitf("list chunk of %d bytes", len(b))
	}
	r := reader{b: b}
	l := new(List)
	pairs := r.count(majorMap, pageLastKey+1+MaxExtraFields)
	var last uint64
	seen := 0
	for i := 0; i < pairs && r.err == nil; i++ {
		k := r.key(last, i == 0)
		last = k
		switch k {
		case pageLevel:
			l.Level = int(r.uint(MaxLevels - 1))
			seen |= 1
		case pageLeaves:
			l.Extents = r.extents(MaxListEntries)
			seen |= 2
		case pageChildren:
			l.Children = r.listChildren()
			seen |= 4
		case 1, 3:
			r.failf("key %d is never given out", k)
		default:
			l.Extra = r.extra(l.Extra, k)
		}
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	if want := 1 | shape(l.Level); seen != want {
		return nil, structuref("a list chunk of level %d with other fields", l.Level)
	}
	for i := range l.Extra {
		l.Extra[i].Value = cloneBytes(l.Extra[i].Value)
	}
	if _, err := l.ref(); err != nil {
		return nil, err
	}
	return l, nil
}

// Marshal encodes l, having validated it as DecodeList does.
func (l *List) Marshal() ([]byte, error) {
	b := appendHead(nil, majorMap, uint64(2+len(l.Extra)))
	b = append(b, pageLevel)
	b = appendUint(b, uint64(l.Level))
	if l.Level == 0 {
		b = l.Extents.append(append(b, pageLeaves))
	} else {
		b = appendListChildren(append(b, pageChildren), l.Children)
	}
	b = l.Extra.append(b)
	if _, err := DecodeList(b); err != nil {
		return nil, err
	}
	return b, nil
}

// Children are one flat array: chunk, entries, bytes, chunk, entries, bytes…
func appendListChildren(b []byte, cs []ListChild) []byte {
	b = appendHead(b, majorArray, 3*uint64(len(cs)))
	for i := range cs {
		b = appendBytes(b, cs[i].Chunk[:])
		b = appendUint(b, cs[i].Entries)
		b = appendUint(b, cs[i].Bytes)
	}
	return b
}

func (r *reader) listChildren() []ListChild {
	items := r.count(majorArray, 3*MaxListEntries)
	if r.err == nil && (items == 0 || items%3 != 0) {
		r.failf("%d items of children", items)
	}
	if r.err != nil {
		return nil
	}
	cs := make([]ListChild, 0, items/3)
	for i := 0; i < items && r.err == nil; i += 3 {
		cs = append(cs, ListChild{Chunk: r.chunk(), Entries: r.nonzero(math.MaxInt64), Bytes: r.nonzero(MaxSize)})
	}
	return cs
}

// ref sums up entries and bytes under l; the chunk of the result is not set.
func (l *List) ref() (ListRef, error) {
	if l.Level == 0 {
		sum, err := l.Extents.Sum()
		return ListRef{Entries: uint64(len(l.Extents)), Bytes: sum}, err
	}
	var sum ListRef
	for i := range l.Children {
		// No number exceeds MaxInt64, so the sums do not wrap before they are refused.
		sum.Entries += l.Children[i].Entries
		sum.Bytes += l.Children[i].Bytes
		if sum.Entries > math.MaxInt64 || sum.Bytes > MaxSize {
			return ListRef{}, limitf("a list sums up to %d entries, %d bytes", sum.Entries, sum.Bytes)
		}
	}
	return sum, nil
}

// ListBuilder turns the extents of one file into the content of its node: a short one into a list within the node, a longer one into a
// tree of list chunks. List chunks end after an extent whose chunk id cut chooses, but have at least MinListEntries entries
// unless they are the last of their level, and at most MaxListEntries. So an insertion rewrites the list chunks around it
// and the way to the root.
//
// A builder serves one goroutine. After Finish it is empty and may be used for the next file.
type ListBuilder struct {
	cut    func(level int, chunk crypto.ChunkID) bool
	put    func(encoded []byte) (crypto.ChunkID, error)
	inline ExtentList // the first entries, until there are more than MaxInline
	total  ListRef
	levels []listLevel
	buf    []byte
	err    error
}

type listLevel struct {
	extents  ExtentList  // level 0
	children []ListChild // levels above
	written  int
	first    ListChild // as in PageBuilder
}

// NewListBuilder returns a builder. cut tells whether a list chunk of this level ends after the entry that names chunk, for about one chunk in
// 256, and must depend on nothing else; put stores an encoded list chunk and returns its id, and may not keep the slice.
func NewListBuilder(cut func(level int, chunk crypto.ChunkID) bool, put func(encoded []byte) (crypto.ChunkID, error)) *ListBuilder {
	return &ListBuilder{cut: cut, put: put}
}

// Add appends an extent. The first error sticks until Finish.
func (b *ListBuilder) Add(e Extent) error {
	if b.err == nil {
		b.err = b.add(e)
	}
	return b.err
}

func (b *ListBuilder) add(e Extent) error {
	if err := e.validate(); err != nil {
		return err
	}
	b.total.Entries++
	if b.total.Bytes += e.Length; b.total.Bytes > MaxSize {
		return limitf("a file of more than %d bytes", uint64(MaxSize))
	}
	if b.total.Entries <= MaxInline {
		b.inline = append(b.inline, e)
		return nil
	}
	if b.total.Entries == MaxInline+1 {
		for _, early := range b.inline {
			if err := b.extent(early); err != nil {
				return err
			}
		}
	}
	return b.extent(e)
}

func (b *ListBuilder) level(level int) (*listLevel, error) {
	if level == MaxLevels {
		return nil, limitf("more than %d levels of list chunks", MaxLevels)
	}
	if level == len(b.levels) {
		b.levels = append(b.levels, listLevel{})
	}
	return &b.levels[level], nil
}

func (b *ListBuilder) extent(e Extent) error {
	l, err := b.level(0)
	if err != nil {
		return err
	}
	l.extents = append(l.extents, e)
	n := len(l.extents)
	if n == MaxListEntries || n >= MinListEntries && !e.Hole && b.cut(0, e.Chunk) {
		return b.flush(0)
	}
	return nil
}

func (b *ListBuilder) child(level int, c ListChild) error {
	l, err := b.level(level)
	if err != nil {
		return err
	}
	l.children = append(l.children, c)
	n := len(l.children)
	if n == MaxListEntries || n >= MinListEntries && b.cut(level, c.Chunk) {
		return b.flush(level)
	}
	return nil
}

// flush writes the open chunk of a level and hands it to the level above, once the level has more than one.
func (b *ListBuilder) flush(level int) error {
	l := &b.levels[level]
	chunk := List{Level: level, Extents: l.extents, Children: l.children}
	c, err := chunk.ref()
	if err != nil {
		return err
	}
	p := append(appendHead(b.buf[:0], majorMap, 2), pageLevel, byte(level))
	if level == 0 {
		p = l.extents.append(append(p, pageLeaves))
	} else {
		p = appendListChildren(append(p, pageChildren), l.children)
	}
	b.buf = p
	if c.Chunk, err = b.put(p); err != nil {
		return err
	}
	l.extents, l.children = l.extents[:0], l.children[:0]
	l.written++
	if l.written == 1 {
		l.first = c
		return nil
	}
	if l.written == 2 {
		if err := b.child(level+1, l.first); err != nil {
			return err
		}
	}
	return b.child(level+1, c)
}

// Finish writes what is open and returns what belongs into the node: its Content, or else its List, or neither for an empty file.
// The builder is empty afterwards, whatever the outcome.
func (b *ListBuilder) Finish() (content ExtentList, list *ListRef, err error) {
	defer b.reset()
	if b.err != nil {
		return nil, nil, b.err
	}
	if len(b.levels) == 0 {
		return append(content, b.inline...), nil, nil
	}
	for level := 0; level < len(b.levels); level++ {
		l := &b.levels[level]
		if len(l.extents)+len(l.children) > 0 {
			if err := b.flush(level); err != nil {
				return nil, nil, err
			}
		}
		if b.levels[level].written == 1 {
			root := b.levels[level].first
			return nil, &root, nil
		}
	}
	panic("tree: list chunks without a root")
}

func (b *ListBuilder) reset() {
	b.inline, b.total, b.levels, b.err = b.inline[:0], ListRef{}, b.levels[:0], nil
}
