package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"keepsake/crypto"
	"keepsake/store/pack"
	"keepsake/store/tree"
)

// xattrs reads the extended attributes, ACLs among them, of a name in a
// directory; an empty name means the descriptor itself. A file system without
// attributes has none. A value that cannot be read is an error: a backup that
// silently loses an ACL would open a door on restore.
func (p *pass) xattrs(ctx context.Context, dir int, name string) ([]tree.Xattr, error) {
	a := p.attrsOf(dir, name)
	names, err := readAttr(a.list)
	if err == unix.ENOTSUP || err == unix.ENOSYS {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("attributes: %w", a.explain(err))
	}
	var all []tree.Xattr
	for n := range bytes.SplitSeq(bytes.TrimSuffix(names, []byte{0}), []byte{0}) {
		if len(n) == 0 {
			continue
		}
		attr := string(n)
		value, err := readAttr(func(buf []byte) (int, error) { return a.get(attr, buf) })
		if err == unix.ENODATA || err == unix.ENOTSUP || err == unix.EPERM && strings.HasPrefix(attr, "trusted.") {
			continue // removed meanwhile, or listed but not ours to read
		}
		if err != nil {
			return nil, fmt.Errorf("attribute %s: %w", attr, a.explain(err))
		}
		x, err := p.keepAttr(ctx, n, value)
		if err != nil {
			return nil, err
		}
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b tree.Xattr) int { return bytes.Compare(a.Name, b.Name) })
	return all, nil
}

// attrs are the calls for the attributes of one name, or open file.
type attrs struct {
	list func(buf []byte) (int, error)
	get  func(attr string, buf []byte) (int, error)
	// explain tells a file that is not there from another ENOENT.
	explain func(err error) error
}

var (
	errNoProc = errors.New("/proc is not mounted, so the attributes cannot be read")
	errNoOpen = errors.New("the file system denies that the open file is there")
)

// attrsOf needs /proc only for what is never opened: the calls for symlinks
// and devices take paths. Through the descriptor's own link no component but
// the last can be swapped, and that one is not followed.
func (p *pass) attrsOf(dir int, name string) attrs {
	if name == "" {
		return attrs{
			list:    func(buf []byte) (int, error) { return unix.Flistxattr(dir, buf) },
			get:     func(attr string, buf []byte) (int, error) { return unix.Fgetxattr(dir, attr, buf) },
			explain: func(err error) error { return instead(err, errNoOpen) },
		}
	}
	self := fmt.Sprintf("%s/%d", p.links, dir)
	path := self + "/" + name
	return attrs{
		list: func(buf []byte) (int, error) { return unix.Llistxattr(path, buf) },
		get:  func(attr string, buf []byte) (int, error) { return unix.Lgetxattr(path, attr, buf) },
		explain: func(err error) error {
			if unix.Access(self, unix.F_OK) != nil {
				return instead(err, errNoProc)
			}
			return err
		},
	}
}

func instead(err, of error) error {
	if err == unix.ENOENT {
		return of
	}
	return err
}

// keepAttr stores a value that is too long for the node as a chunk.
func (p *pass) keepAttr(ctx context.Context, name, value []byte) (tree.Xattr, error) {
	x := tree.Xattr{Name: bytes.Clone(name), Value: value}
	if len(value) <= tree.MaxXattrInline {
		return x, nil
	}
	if p.options.DryRun {
		x.Value, x.Large = nil, tree.ExtentList{{Length: uint64(len(value)), Chunk: crypto.ChunkID{1}}}
		return x, nil
	}
	id, _, err := p.writer.Put(ctx, pack.Blob, value)
	if err != nil {
		return x, stored(err)
	}
	x.Value, x.Large = nil, tree.ExtentList{{Length: uint64(len(value)), Chunk: id}}
	return x, nil
}

// readAttr calls read with a growing buffer until the value fits.
func readAttr(read func([]byte) (int, error)) ([]byte, error) {
	buf := make([]byte, 256)
	for {
		var n int
		err := retry(func() (err error) {
			n, err = read(buf)
			return err
		})
		switch {
		case err == unix.ERANGE && len(buf) < 1<<20:
			buf = make([]byte, len(buf)*8)
		case err != nil:
			return nil, err
		default:
			return buf[:n], nil
		}
	}
}
