package tree

// The keys of a node. Even keys must be understood; odd ones may be ignored and are preserved. Every known key is at most
// nodeLastKey, so that unknown odd keys always follow the known ones.
const (
	nodeName      = 0
	nodeUser      = 1
	nodeType      = 2
	nodeGroup     = 3
	nodeMode      = 4
	nodeCTime     = 5
	nodeUID       = 6
	nodeBTime     = 7
	nodeGID       = 8
	nodeCaptured  = 9
	nodeMTime     = 10
	nodeFS        = 11
	nodeSize      = 12
	nodeInode     = 13
	nodeContent   = 14
	nodeLinks     = 15
	nodeList      = 16
	nodeLinkGroup = 17
	nodePages     = 18
	nodeSHA256    = 19
	nodeTarget    = 20
	nodeFlags     = 21
	nodeRdev      = 22
	nodeDigests   = 23
	nodeXattrs    = 24
	nodeBundle    = 25
	nodeEntries   = 27
	nodeBelow     = 29
	nodeHoles     = 31
	nodeLastKey   = 31
)

// Marshal encodes n, having validated it.
func (n *Node) Marshal() ([]byte, error) { return n.Append(nil) }

// Append validates n and appends its encoding to b. After an error b is what it was.
func (n *Node) Append(b []byte) ([]byte, error) {
	if err := n.Validate(); err != nil {
		return b, err
	}
	start := len(b)
	w := nodeWriter{b: append(b, 0)}
	w.identity(n)
	w.content(n)
	if w.pairs += len(n.Extra); len(n.Extra) > 0 {
		w.b = n.Extra.append(w.b)
	}
	if w.pairs >= 24 {
		// The head takes two bytes: rare enough to make room for it afterwards.
		w.b = append(w.b, 0)
		copy(w.b[start+2:], w.b[start+1:])
		w.b[start], w.b[start+1] = majorMap<<5|24, byte(w.pairs)
	} else {
		w.b[start] = majorMap<<5 | byte(w.pairs)
	}
	if len(w.b)-start > MaxNode {
		return b[:start], limitf("node of %d bytes", len(w.b)-start)
	}
	return w.b, nil
}

// MarshalCBOR is Marshal, for records that hold a node.
func (n Node) MarshalCBOR() ([]byte, error) { return n.Marshal() }

// UnmarshalCBOR is ParseNode, for records that hold a node.
func (n *Node) UnmarshalCBOR(b []byte) error {
	p, err := ParseNode(b)
	if err != nil {
		return err
	}
	*n = *p
	return nil
}

// nodeWriter appends the pairs of one node, leaving out what is zero.
type nodeWriter struct {
	b     []byte
	pairs int
}

func (w *nodeWriter) key(k uint64) {
	w.b = appendUint(w.b, k)
	w.pairs++
}

func (w *nodeWriter) uint(k, v uint64) {
	if v != 0 {
		w.key(k)
		w.b = appendUint(w.b, v)
	}
}

func (w *nodeWriter) bytes(k uint64, v []byte) {
	if len(v) > 0 {
		w.key(k)
		w.b = appendBytes(w.b, v)
	}
}

func (w *nodeWriter) text(k uint64, v string) {
	if v != "" {
		w.key(k)
		w.b = appendText(w.b, v)
	}
}

func (w *nodeWriter) time(k uint64, t Time) {
	if !t.IsZero() {
		w.key(k)
		w.b = t.append(w.b)
	}
}

// identity writes keys 0 to 13.
func (w *nodeWriter) identity(n *Node) {
	w.bytes(nodeName, n.Name)
	w.text(nodeUser, n.User)
	w.uint(nodeType, uint64(n.Type))
	w.text(nodeGroup, n.Group)
	w.uint(nodeMode, uint64(n.Mode))
	w.time(nodeCTime, n.CTime)
	w.uint(nodeUID, uint64(n.UID))
	w.time(nodeBTime, n.BTime)
	w.uint(nodeGID, uint64(n.GID))
	w.time(nodeCaptured, n.Captured)
	w.time(nodeMTime, n.MTime)
	w.uint(nodeFS, uint64(n.FS))
	w.uint(nodeSize, n.Size)
	w.uint(nodeInode, n.Inode)
}

// content writes keys 14 to 31.
func (w *nodeWriter) content(n *Node) {
	if len(n.Content) > 0 {
		w.key(nodeContent)
		w.b = n.Content.append(w.b)
	}
	w.uint(nodeLinks, uint64(n.Links))
	if l := n.List; l != nil {
		w.key(nodeList)
		w.b = appendHead(w.b, majorArray, 3)
		w.b = appendBytes(w.b, l.Chunk[:])
		w.b = appendUint(w.b, l.Entries)
		w.b = appendUint(w.b, l.Bytes)
	}
	w.uint(nodeLinkGroup, n.LinkGroup)
	if n.Type == Dir {
		w.bytes(nodePages, n.Pages[:])
	}
	if n.SHA256 != nil {
		w.bytes(nodeSHA256, n.SHA256[:])
	}
	w.bytes(nodeTarget, n.Target)
	w.uint(nodeFlags, uint64(n.Flags))
	if n.Rdev != (Rdev{}) {
		w.key(nodeRdev)
		w.b = appendHead(w.b, majorArray, 2)
		w.b = appendUint(w.b, uint64(n.Rdev.Major))
		w.b = appendUint(w.b, uint64(n.Rdev.Minor))
	}
	if len(n.Digests) > 0 {
		w.key(nodeDigests)
		w.b = appendHead(w.b, majorMap, uint64(len(n.Digests)))
		for _, d := range n.Digests {
			w.b = appendBytes(appendUint(w.b, d.Algorithm), d.Sum)
		}
	}
	if len(n.Xattrs) > 0 {
		w.key(nodeXattrs)
		w.b = appendXattrs(w.b, n.Xattrs)
	}
	w.uint(nodeBundle, n.Bundle)
	w.uint(nodeEntries, n.Entries)
	if t := n.Below; t != (Totals{}) {
		w.key(nodeBelow)
		w.b = appendHead(w.b, majorArray, 5)
		for _, v := range [...]uint64{t.Files, t.Dirs, t.Others, t.Bytes, t.Flagged} {
			w.b = appendUint(w.b, v)
		}
	}
	w.uint(nodeHoles, n.Holes)
}

// Attributes are one flat array: name, value, name, value…; a value in chunks is an array of extents.
func appendXattrs(b []byte, xs []Xattr) []byte {
	b = appendHead(b, majorArray, 2*uint64(len(xs)))
	for i := range xs {
		b = appendBytes(b, xs[i].Name)
		if len(xs[i].Large) > 0 {
			b = xs[i].Large.append(b)
		} else {
			b = appendBytes(b, xs[i].Value)
		}
	}
	return b
}

func (t Time) append(b []byte) []byte {
	b = appendHead(b, majorArray, 2)
	b = appendInt(b, t.Sec)
	return appendUint(b, uint64(t.Nsec))
}

// MarshalCBOR encodes t for records, as an array of seconds and nanoseconds.
func (t Time) MarshalCBOR() ([]byte, error) { return t.append(nil), nil }
