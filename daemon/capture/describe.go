package capture

import (
	"context"
	"encoding/binary"
	"os/user"
	"strconv"
	"sync"
	"unicode/utf8"

	"keepsake/store/tree"
)

// describe makes the node of what stands under a name in a directory, content
// apart; an empty name means the descriptor itself. Attributes are read again
// only if the change time moved: changing one moves it, unless it was changed
// right after they were read.
func (p *pass) describe(ctx context.Context, dir int, name string, s stat, fs mounted, previous *tree.Node) (*tree.Node, error) {
	n := &tree.Node{
		Name:  []byte(name),
		Type:  s.typ,
		Mode:  s.mode,
		UID:   s.uid,
		GID:   s.gid,
		User:  p.owners.user(s.uid),
		Group: p.owners.group(s.gid),
		MTime: s.mtime,
		CTime: s.ctime,
		BTime: s.btime,
		Size:  s.size,
		FS:    fs.ordinal,
		Links: s.links,
		Rdev:  s.rdev,
	}
	if fs.stable {
		n.Inode = s.inode
	}
	if s.typ != tree.Dir && s.links > 1 {
		n.LinkGroup = p.linkGroup(s, fs)
	}
	if previous != nil && previous.Flags == 0 && sameInode(n, previous) && previous.CTime == n.CTime && fs.exact && p.attrsKnown(previous) {
		n.Xattrs = previous.Xattrs
		return n, nil
	}
	var err error
	n.Xattrs, err = p.xattrs(ctx, dir, name)
	return n, err
}

func sameInode(a, b *tree.Node) bool {
	return a.Type == b.Type && a.FS == b.FS && a.Inode == b.Inode && a.Inode != 0
}

// linkGroup numbers the names of one inode alike, in this run and in the next:
// equal nodes make equal pages.
func (p *pass) linkGroup(s stat, fs mounted) uint64 {
	var b [12]byte
	binary.BigEndian.PutUint32(b[:], fs.ordinal)
	binary.BigEndian.PutUint64(b[4:], s.inode)
	return max(1, p.groups.Sum64(b[:]))
}

// owners remembers the names of users and groups.
type owners struct {
	mu            sync.Mutex
	users, groups map[uint32]string
}

func newOwners() *owners {
	return &owners{users: map[uint32]string{}, groups: map[uint32]string{}}
}

func (o *owners) user(id uint32) string {
	return o.name(o.users, id, func(id string) (string, error) {
		u, err := user.LookupId(id)
		if err != nil {
			return "", err
		}
		return u.Username, nil
	})
}

func (o *owners) group(id uint32) string {
	return o.name(o.groups, id, func(id string) (string, error) {
		g, err := user.LookupGroupId(id)
		if err != nil {
			return "", err
		}
		return g.Name, nil
	})
}

// name looks a name up once. An id without a name has an empty one: the number
// is kept anyway.
func (o *owners) name(known map[uint32]string, id uint32, look func(string) (string, error)) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	name, ok := known[id]
	if !ok {
		if found, err := look(strconv.FormatUint(uint64(id), 10)); err == nil && utf8.ValidString(found) && len(found) <= tree.MaxOwner {
			name = found
		}
		known[id] = name
	}
	return name
}
