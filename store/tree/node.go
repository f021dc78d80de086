package tree

import (
	"io/fs"
	"time"

	"keepsake/crypto"
)

// Time is a point in time as file systems keep it: seconds since 1970 UTC and nanoseconds below 1e9. The zero Time, 1970 itself,
// stands for "not known" in optional fields, as it does on the file systems that report it.
type Time struct {
	Sec  int64
	Nsec uint32
}

// TimeOf converts a time.Time.
func TimeOf(t time.Time) Time {
	if t.IsZero() {
		return Time{}
	}
	return Time{Sec: t.Unix(), Nsec: uint32(t.Nanosecond())}
}

// Time converts to a time.Time in UTC.
func (t Time) Time() time.Time { return time.Unix(t.Sec, int64(t.Nsec)).UTC() }

// IsZero reports whether t is the zero Time.
func (t Time) IsZero() bool { return t.Sec == 0 && t.Nsec == 0 }

// Compare orders times: -1, 0, +1.
func (t Time) Compare(u Time) int {
	switch {
	case t.Sec < u.Sec || t.Sec == u.Sec && t.Nsec < u.Nsec:
		return -1
	case t == u:
		return 0
	}
	return 1
}

func (t Time) validate(what string) error {
	if t.Nsec >= 1e9 {
		return invalidf("%s has %d nanoseconds", what, t.Nsec)
	}
	return nil
}

// Type is the type of a node.
type Type uint8

// The types of nodes. Their numbers are part of the format.
const (
	File        Type = 1
	Dir         Type = 2
	Symlink     Type = 3
	Fifo        Type = 4
	Socket      Type = 5
	CharDevice  Type = 6
	BlockDevice Type = 7
)

// String returns a word for people.
func (t Type) String() string {
	names := [...]string{"unknown", "file", "directory", "symlink", "fifo", "socket", "character device", "block device"}
	if int(t) >= len(names) {
		t = 0
	}
	return names[t]
}

// Flags say what was doubtful when a node was captured. Bits that this version does not know are preserved.
type Flags uint32

// The known flags.
const (
	// KeptPrevious: the file was in flux and this is the version of an earlier snapshot.
	KeptPrevious Flags = 1 << 0
	// Torn: the file changed while it was read, so its content may never have existed as such; or a command printed it that did
	// not fail, but printed much less than before.
	Torn Flags = 1 << 1
	// Racy: mtime or ctime was too close to the read to trust; read it again next time.
	Racy Flags = 1 << 2
	// SuspectRot: the content changed though size and times did not.
	SuspectRot Flags = 1 << 3
)

// Rdev is the device that a device node names.
type Rdev struct{ Major, Minor uint32 }

// Xattr is an extended attribute or ACL. Either Value holds its value (at most MaxXattrInline bytes, possibly none), or Large
// says in which blob chunks a longer value lies.
type Xattr struct {
	Name  []byte
	Value []byte
	Large ExtentList
}

// Extent is a piece of a file: Length bytes which are the plaintext of Chunk, or zeros if it is a Hole. A chunk has 1 to
// MaxChunk bytes.
type Extent struct {
	Length uint64
	Chunk  crypto.ChunkID
	Hole   bool
}

// ListRef names a content list that is stored in chunks of its own: its root, the number of its entries (more than
// MaxInline) and the bytes they cover.
type ListRef struct {
	Chunk   crypto.ChunkID
	Entries uint64
	Bytes   uint64
}

// Totals sum up everything below a directory at any depth, so that a subtree taken over by reference need not be read to be counted.
type Totals struct {
	Files, Dirs, Others uint64
	Bytes               uint64 // of files, holes included
	Flagged             uint64 // nodes with any Flags
}

// Node is one entry of a directory, or the root of a snapshot, which has no name.
//
// Nodes that come from a parser share memory with each other; they may be kept and read for ever, but whoever keeps a few of many uses
// Clone. Byte slices in them must not be changed.
type Node struct {
	Name []byte // raw bytes as the file system has them; empty for the root of a snapshot
	Type Type
	Mode uint32 // permission, set-id and sticky bits: 07777

	UID, GID    uint32
	User, Group string // names at the time of the capture, UTF-8; may be empty

	MTime    Time
	CTime    Time
	BTime    Time // optional
	Captured Time // optional: when the content was last read

	Size  uint64 // of files, in bytes; 0 for all other types
	FS    uint32 // ordinal of the file system in Snapshot.Filesystems
	Inode uint64 // where it is stable, else 0
	Links uint32 // link count on the source
	// LinkGroup is equal for all names of one file within a snapshot; 0 if it has one name only.
	LinkGroup uint64

	Target []byte // of symlinks
	Rdev   Rdev   // of devices
	Xattrs []Xattr

	// Content or List hold a file's content; neither if Size is 0.
	Content ExtentList
	List    *ListRef
	// Holes is how many bytes of List are holes, so that nobody needs to read it to know how much room the file takes. It
	// serves to show that alone. 0 may also mean that it is not known.
	Holes uint64

	// Pages is the root page of a directory, Entries the number of its direct entries.
	Pages   crypto.ChunkID
	Entries uint64
	Below   Totals

	SHA256  *[32]byte // of the whole file, holes as zeros; nil if not known
	Digests []Digest  // further digests of the whole file, by ascending algorithm
	// Bundle is equal for files of one directory that belong together (a raw file, its sidecar, its preview); 0 for none.
	Bundle uint64
	Flags  Flags

	Extra Extra // fields of newer versions, preserved
}

// Digest is a further digest of a file: of which algorithm, by the number it has in the multicodec table.
type Digest struct {
	Algorithm uint64
	Sum       []byte
}

// IsDir reports whether n is a directory.
func (n *Node) IsDir() bool { return n.Type == Dir }

// FileMode returns type and permissions as package fs has them.
func (n *Node) FileMode() fs.FileMode {
	m := fs.FileMode(n.Mode & 0o777)
	for _, bit := range [...]struct {
		raw  uint32
		mode fs.FileMode
	}{{0o4000, fs.ModeSetuid}, {0o2000, fs.ModeSetgid}, {0o1000, fs.ModeSticky}} {
		if n.Mode&bit.raw != 0 {
			m |= bit.mode
		}
	}
	switch n.Type {
	case Dir:
		m |= fs.ModeDir
	case Symlink:
		m |= fs.ModeSymlink
	case Fifo:
		m |= fs.ModeNamedPipe
	case Socket:
		m |= fs.ModeSocket
	case CharDevice:
		m |= fs.ModeDevice | fs.ModeCharDevice
	case BlockDevice:
		m |= fs.ModeDevice
	}
	return m
}

// Add counts the child n, and all below it if it is a directory. It fails if a sum overflows.
func (t *Totals) Add(n *Node) error {
	sum := *t
	ok := true
	add := func(to *uint64, v uint64) {
		if *to+v < v {
			ok = false
		}
		*to += v
	}
	switch n.Type {
	case File:
		add(&sum.Files, 1)
		add(&sum.Bytes, n.Size)
	case Dir:
		add(&sum.Dirs, 1)
	default:
		add(&sum.Others, 1)
	}
	if n.Flags != 0 {
		add(&sum.Flagged, 1)
	}
	add(&sum.Files, n.Below.Files)
	add(&sum.Dirs, n.Below.Dirs)
	add(&sum.Others, n.Below.Others)
	add(&sum.Bytes, n.Below.Bytes)
	add(&sum.Flagged, n.Below.Flagged)
	if !ok {
		return invalidf("totals overflow")
	}
	*t = sum
	return nil
}

// Clone returns a copy that shares no memory with n.
func (n *Node) Clone() *Node {
	c := *n
	c.Name = cloneBytes(n.Name)
	c.Target = cloneBytes(n.Target)
	c.Content = append(ExtentList(nil), n.Content...)
	c.Xattrs = append([]Xattr(nil), n.Xattrs...)
	for i := range c.Xattrs {
		x := &c.Xattrs[i]
		x.Name, x.Value = cloneBytes(x.Name), cloneBytes(x.Value)
		x.Large = append(ExtentList(nil), x.Large...)
	}
	c.Digests = append([]Digest(nil), n.Digests...)
	for i := range c.Digests {
		c.Digests[i].Sum = cloneBytes(c.Digests[i].Sum)
	}
	c.Extra = append(Extra(nil), n.Extra...)
	for i := range c.Extra {
		c.Extra[i].Value = cloneBytes(c.Extra[i].Value)
	}
	if n.SHA256 != nil {
		sum := *n.SHA256
		c.SHA256 = &sum
	}
	if n.List != nil {
		ref := *n.List
		c.List = &ref
	}
	return &c
}

// cloneBytes keeps nil and empty apart as append does not: both become nil, as a parser would have them.
func cloneBytes(b []byte) []byte { return append([]byte(nil), b...) }
