package fusefs

import (
	"context"
	"encoding/hex"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"keepsake/store/tree"
)

// Attributes that are answered by name and never listed: programs that copy
// all attributes must not write them into what they restore.
const (
	xattrSHA256   = "user.keepsake.sha256"
	xattrSnapshot = "user.keepsake.snapshot"
)

// noAttribute is what Linux calls ENOATTR.
const noAttribute = syscall.ENODATA

func (e *entry) Getxattr(ctx context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	switch name {
	case xattrSnapshot:
		return give(dest, []byte(e.snap.String()))
	case xattrSHA256:
		return e.sha256(ctx, dest)
	}
	if !e.attr.xattrs {
		return 0, noAttribute
	}
	n, err := e.whole(ctx)
	if err != nil {
		return 0, e.fail(err)
	}
	for _, x := range n.Xattrs {
		if string(x.Name) != name {
			continue
		}
		if len(x.Large) == 0 {
			return give(dest, x.Value)
		}
		one := &tree.Node{Xattrs: []tree.Xattr{x}}
		all, err := within(e.v, ctx, func(ctx context.Context) ([]tree.Xattr, error) { return e.v.repo.Xattrs(ctx, one) })
		if err != nil {
			return 0, e.fail(err)
		}
		return give(dest, all[0].Value)
	}
	return 0, noAttribute
}

func (e *entry) sha256(ctx context.Context, dest []byte) (uint32, syscall.Errno) {
	if e.attr.mode&syscall.S_IFMT != syscall.S_IFREG {
		return 0, noAttribute
	}
	n, err := e.whole(ctx)
	switch {
	case err != nil:
		return 0, e.fail(err)
	case n.SHA256 == nil:
		return 0, noAttribute
	}
	return give(dest, hex.AppendEncode(nil, n.SHA256[:]))
}

// whole returns the node of any entry, the root of a snapshot included.
func (e *entry) whole(ctx context.Context) (*tree.Node, error) {
	if d, ok := e.Operations().(*dir); ok && d.root != nil {
		return d.root, nil
	}
	return e.node(ctx)
}

// Listxattr lists what the captured file had. Names that only root may see are
// left out for others, as the kernel does on disk.
func (e *entry) Listxattr(ctx context.Context, dest []byte) (uint32, syscall.Errno) {
	if !e.attr.xattrs {
		return 0, 0
	}
	n, err := e.whole(ctx)
	if err != nil {
		return 0, e.fail(err)
	}
	caller, ok := fuse.FromContext(ctx)
	var list []byte
	for _, x := range n.Xattrs {
		if strings.HasPrefix(string(x.Name), "trusted.") && ok && caller.Uid != 0 {
			continue
		}
		list = append(append(list, x.Name...), 0)
	}
	return give(dest, list)
}

// give copies a value into what the caller has room for, or says how much it takes.
func give(dest, value []byte) (uint32, syscall.Errno) {
	if len(dest) < len(value) {
		return uint32(len(value)), syscall.ERANGE
	}
	return uint32(copy(dest, value)), 0
}
