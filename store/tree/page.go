package tree

import (
	"bytes"
	"fmt"
	"math"

	"keepsake/crypto"
)

// Page is a piece of one directory's sorted entries: nodes at level 0, pages of the level below at all others.
type Page struct {
	Level    int
	Nodes    []Node  // level 0; empty only in the one page of an empty directory
	Children []Child // levels above 0; never empty
	Extra    Extra
}

// Child names a page of the level below.
type Child struct {
	Last    []byte // name of the last entry under it
	Chunk   crypto.ChunkID
	Entries uint64 // directory entries under it
}

// The keys of a page and of a list chunk. 1 and 3 are never given out, so that unknown odd keys always follow the known ones.
const (
	pageLevel    = 0
	pageLeaves   = 2
	pageChildren = 4
	pageLastKey  = 4
)

// DecodePage parses a page and validates all of it: names valid and strictly ascending, counts within their limits. The page shares
// no memory with b; its nodes share memory with each other.
func DecodePage(b []byte) (*Page, error) {
	if len(b) > maxPage {
		return nil, limitf("page of %d bytes", len(b))
	}
	r := nodeReader{reader: reader{b: cloneBytes(b)}}
	p := new(Page)
	pairs := r.count(majorMap, pageLastKey+1+MaxExtraFields)
	var last uint64
	seen := 0
	for i := 0; i < pairs && r.err == nil; i++ {
		k := r.key(last, i == 0)
		last = k
		switch k {
		case pageLevel:
			p.Level = int(r.uint(MaxLevels - 1))
			seen |= 1
		case pageLeaves:
			p.Nodes = r.nodes()
			seen |= 2
		case pageChildren:
			p.Children = r.children()
			seen |= 4
		case 1, 3:
			r.failf("key %d is never given out", k)
		default:
			p.Extra = r.extra(p.Extra, k)
		}
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	if want := 1 | shape(p.Level); seen != want {
		return nil, structuref("a page of level %d with other fields", p.Level)
	}
	return p, nil
}

// shape returns the bit of the field that a page or list chunk of this level has.
func shape(level int) int {
	if level == 0 {
		return 2
	}
	return 4
}

// Marshal encodes p, having validated it as DecodePage does. PageBuilder does without, as it never has a whole page of nodes.
func (p *Page) Marshal() ([]byte, error) {
	b := appendHead(nil, majorMap, uint64(2+len(p.Extra)))
	b = appendUint(b, pageLevel)
	b = appendUint(b, uint64(p.Level))
	var err error
	if p.Level == 0 {
		b = appendUint(b, pageLeaves)
		b = appendHead(b, majorArray, uint64(len(p.Nodes)))
		for i := range p.Nodes {
			if b, err = p.Nodes[i].Append(b); err != nil {
				return nil, err
			}
		}
	} else {
		b = appendUint(b, pageChildren)
		b = appendHead(b, majorArray, 3*uint64(len(p.Children)))
		for i := range p.Children {
			b = p.Children[i].append(b)
		}
	}
	b = p.Extra.append(b)
	if _, err := DecodePage(b); err != nil {
		return nil, err
	}
	return b, nil
}

func (c *Child) append(b []byte) []byte {
	b = appendBytes(b, c.Last)
	b = appendBytes(b, c.Chunk[:])
	return appendUint(b, c.Entries)
}

func (r *nodeReader) nodes() []Node {
	n := r.count(majorArray, MaxPageEntries)
	nodes := make([]Node, n)
	for i := 0; i < n && r.err == nil; i++ {
		r.node(&nodes[i])
		if r.err != nil {
			break
		}
		if len(nodes[i].Name) == 0 {
			r.fail(fmt.Errorf("%w: empty", ErrName))
		} else if i > 0 && bytes.Compare(nodes[i-1].Name, nodes[i].Name) >= 0 {
			r.fail(fmt.Errorf("%w: %q after %q", ErrOrder, nodes[i].Name, nodes[i-1].Name))
		}
	}
	return nodes
}

func (r *reader) children() []Child {
	items := r.count(majorArray, 3*MaxPageEntries)
	if r.err == nil && (items == 0 || items%3 != 0) {
		r.failf("%d items of children", items)
	}
	if r.err != nil {
		return nil
	}
	cs := make([]Child, 0, items/3)
	var sum uint64
	for i := 0; i < items && r.err == nil; i += 3 {
		c := Child{Last: r.bytes(MaxName), Chunk: r.chunk(), Entries: r.nonzero(math.MaxInt64)}
		if r.err != nil {
			return nil
		}
		if err := ValidateName(c.Last); err != nil {
			r.fail(err)
		} else if len(cs) > 0 && bytes.Compare(cs[len(cs)-1].Last, c.Last) >= 0 {
			r.fail(fmt.Errorf("%w: %q after %q", ErrOrder, c.Last, cs[len(cs)-1].Last))
		}
		if sum += c.Entries; sum > math.MaxInt64 {
			r.fail(limitf("entries overflow"))
		}
		cs = append(cs, c)
	}
	return cs
}

// entries counts the directory entries under the page.
func (p *Page) entries() uint64 {
	if p.Level == 0 {
		return uint64(len(p.Nodes))
	}
	var sum uint64
	for i := range p.Children {
		sum += p.Children[i].Entries
	}
	return sum
}

// first and last return the smallest and largest name that the page itself holds.
func (p *Page) first() []byte {
	if p.Level == 0 {
		return p.Nodes[0].Name
	}
	return p.Children[0].Last
}

func (p *Page) last() []byte {
	if p.Level == 0 {
		return p.Nodes[len(p.Nodes)-1].Name
	}
	return p.Children[len(p.Children)-1].Last
}
