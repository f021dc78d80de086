package tree

import "math"

// ParseNode parses a node that stands alone, such as the root of a snapshot. The node shares no memory with b.
func ParseNode(b []byte) (*Node, error) {
	if len(b) > MaxNode {
		return nil, limitf("node of %d bytes", len(b))
	}
	r := nodeReader{reader: reader{b: cloneBytes(b)}}
	n := new(Node)
	r.node(n)
	if err := r.end(); err != nil {
		return nil, err
	}
	return n, nil
}

// nodeReader reads nodes. Neighbours mostly have the same owner, so their names are kept from one node to the next.
type nodeReader struct {
	reader
	user, group string
}

// node reads one node and validates it. Its byte slices alias the reader's bytes.
func (r *nodeReader) node(n *Node) {
	start := r.off
	pairs := r.count(majorMap, nodeLastKey+1+MaxExtraFields)
	var last uint64
	for i := 0; i < pairs && r.err == nil; i++ {
		k := r.key(last, i == 0)
		last = k
		if k <= nodeInode {
			r.identity(n, k)
		} else {
			r.content(n, k)
		}
	}
	if r.err != nil {
		return
	}
	if r.off-start > MaxNode {
		r.fail(limitf("node of %d bytes", r.off-start))
		return
	}
	if err := n.Validate(); err != nil {
		r.fail(err)
	}
}

func (r *nodeReader) identity(n *Node, k uint64) {
	switch k {
	case nodeName:
		n.Name = r.filled(MaxName)
	case nodeUser:
		r.user = r.owner(r.user)
		n.User = r.user
	case nodeType:
		n.Type = Type(r.nonzero(math.MaxUint8))
	case nodeGroup:
		r.group = r.owner(r.group)
		n.Group = r.group
	case nodeMode:
		n.Mode = uint32(r.nonzero(0o7777))
	case nodeCTime:
		n.CTime = r.time()
	case nodeUID:
		n.UID = uint32(r.nonzero(math.MaxUint32))
	case nodeBTime:
		n.BTime = r.time()
	case nodeGID:
		n.GID = uint32(r.nonzero(math.MaxUint32))
	case nodeCaptured:
		n.Captured = r.time()
	case nodeMTime:
		n.MTime = r.time()
	case nodeFS:
		n.FS = uint32(r.nonzero(math.MaxUint32))
	case nodeSize:
		n.Size = r.nonzero(MaxSize)
	case nodeInode:
		n.Inode = r.nonzero(math.MaxUint64)
	}
}

func (r *nodeReader) content(n *Node, k uint64) {
	switch k {
	case nodeContent:
		n.Content = r.extents(MaxInline)
	case nodeLinks:
		n.Links = uint32(r.nonzero(math.MaxUint32))
	case nodeList:
		r.array(3)
		n.List = &ListRef{Chunk: r.chunk(), Entries: r.uint(math.MaxUint64), Bytes: r.uint(MaxSize)}
	case nodeLinkGroup:
		n.LinkGroup = r.nonzero(math.MaxUint64)
	case nodePages:
		n.Pages = r.chunk()
	case nodeSHA256:
		n.SHA256 = r.fixed32()
	case nodeTarget:
		n.Target = r.filled(MaxTarget)
	case nodeFlags:
		n.Flags = Flags(r.nonzero(math.MaxUint32))
	case nodeRdev:
		r.array(2)
		n.Rdev = Rdev{Major: uint32(r.uint(math.MaxUint32)), Minor: uint32(r.uint(math.MaxUint32))}
		if r.err == nil && n.Rdev == (Rdev{}) {
			r.failf("a zero that should be left out")
		}
	case nodeDigests:
		n.Digests = r.digests()
	case nodeXattrs:
		n.Xattrs = r.xattrs()
	case nodeBundle:
		n.Bundle = r.nonzero(math.MaxUint64)
	case nodeEntries:
		n.Entries = r.nonzero(math.MaxUint64)
	case nodeBelow:
		n.Below = r.totals()
	case nodeHoles:
		n.Holes = r.nonzero(MaxSize)
	default:
		n.Extra = r.extra(n.Extra, k)
	}
}

func (r *nodeReader) owner(last string) string {
	v := r.text(MaxOwner)
	if r.err == nil && len(v) == 0 {
		r.failf("an empty name that should be left out")
	}
	if string(v) == last {
		return last
	}
	return string(v)
}

func (r *reader) filled(limit int) []byte {
	v := r.bytes(limit)
	if r.err == nil && len(v) == 0 {
		r.failf("an empty string that should be left out")
	}
	return v
}

// UnmarshalCBOR is the inverse of MarshalCBOR.
func (t *Time) UnmarshalCBOR(b []byte) error {
	r := reader{b: b}
	v := r.anyTime()
	if err := r.end(); err != nil {
		return err
	}
	*t = v
	return nil
}

func (r *reader) anyTime() Time {
	r.array(2)
	return Time{Sec: r.int(), Nsec: uint32(r.uint(1e9 - 1))}
}

func (r *reader) time() Time {
	t := r.anyTime()
	if r.err == nil && t.IsZero() {
		r.failf("a zero time that should be left out")
	}
	return t
}

func (r *reader) totals() Totals {
	r.array(5)
	var t Totals
	for _, v := range [...]*uint64{&t.Files, &t.Dirs, &t.Others, &t.Bytes, &t.Flagged} {
		*v = r.uint(math.MaxUint64)
	}
	if r.err == nil && t == (Totals{}) {
		r.failf("zero totals that should be left out")
	}
	return t
}

func (r *reader) digests() []Digest {
	pairs := r.count(majorMap, MaxDigests)
	if r.err == nil && pairs == 0 {
		r.failf("an empty map that should be left out")
	}
	ds := make([]Digest, 0, pairs)
	for i := 0; i < pairs && r.err == nil; i++ {
		ds = append(ds, Digest{Algorithm: r.uint(math.MaxUint64), Sum: r.bytes(MaxDigest)})
	}
	return ds
}

func (r *reader) xattrs() []Xattr {
	items := r.count(majorArray, 2*MaxXattrs)
	if r.err == nil && (items == 0 || items%2 != 0) {
		r.failf("%d names and values", items)
	}
	if r.err != nil {
		return nil
	}
	xs := make([]Xattr, 0, items/2)
	for i := 0; i < items && r.err == nil; i += 2 {
		x := Xattr{Name: r.bytes(MaxName)}
		if r.more() && r.b[r.off]>>5 == majorArray {
			x.Large = r.extents(MaxInline)
		} else {
			x.Value = r.bytes(MaxXattrInline)
		}
		xs = append(xs, x)
	}
	return xs
}
