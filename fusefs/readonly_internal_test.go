package fusefs

import (
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// TestEveryNodeRefusesToChange calls what the kernel's own ro flag hides.
func TestEveryNodeRefusesToChange(t *testing.T) {
	nodes := map[string]fs.InodeEmbedder{
		"list": &list{}, "note": &note{}, "pointer": &pointer{},
		"dir": &dir{}, "file": &file{}, "symlink": &symlink{}, "special": &special{},
	}
	operations := map[string]func(n any) (ok bool, errno syscall.Errno){
		"setattr": op(func(n fs.NodeSetattrer) syscall.Errno {
			return n.Setattr(t.Context(), nil, &fuse.SetAttrIn{}, &fuse.AttrOut{})
		}),
		"create": op(func(n fs.NodeCreater) syscall.Errno {
			_, _, _, no := n.Create(t.Context(), "x", 0, 0, &fuse.EntryOut{})
			return no
		}),
		"tmpfile": op(func(n fs.NodeTmpfiler) syscall.Errno {
			_, _, _, no := n.Tmpfile(t.Context(), 0, 0, &fuse.EntryOut{})
			return no
		}),
		"mkdir": op(func(n fs.NodeMkdirer) syscall.Errno {
			_, no := n.Mkdir(t.Context(), "x", 0, &fuse.EntryOut{})
			return no
		}),
		"mknod": op(func(n fs.NodeMknoder) syscall.Errno {
			_, no := n.Mknod(t.Context(), "x", 0, 0, &fuse.EntryOut{})
			return no
		}),
		"symlink": op(func(n fs.NodeSymlinker) syscall.Errno {
			_, no := n.Symlink(t.Context(), "x", "y", &fuse.EntryOut{})
			return no
		}),
		"link": op(func(n fs.NodeLinker) syscall.Errno {
			_, no := n.Link(t.Context(), &file{}, "x", &fuse.EntryOut{})
			return no
		}),
		"rename":      op(func(n fs.NodeRenamer) syscall.Errno { return n.Rename(t.Context(), "x", &dir{}, "y", 0) }),
		"unlink":      op(func(n fs.NodeUnlinker) syscall.Errno { return n.Unlink(t.Context(), "x") }),
		"rmdir":       op(func(n fs.NodeRmdirer) syscall.Errno { return n.Rmdir(t.Context(), "x") }),
		"setxattr":    op(func(n fs.NodeSetxattrer) syscall.Errno { return n.Setxattr(t.Context(), "user.x", nil, 0) }),
		"removexattr": op(func(n fs.NodeRemovexattrer) syscall.Errno { return n.Removexattr(t.Context(), "user.x") }),
		"fallocate":   op(func(n fs.NodeAllocater) syscall.Errno { return n.Allocate(t.Context(), nil, 0, 1, 0) }),
		"write": op(func(n fs.NodeWriter) syscall.Errno {
			_, no := n.Write(t.Context(), nil, []byte("x"), 0)
			return no
		}),
		"writev": op(func(n fs.NodeWritever) syscall.Errno {
			_, no := n.Writev(t.Context(), nil, [][]byte{[]byte("x")}, 0)
			return no
		}),
		"ioctl": op(func(n fs.NodeIoctler) syscall.Errno {
			_, no := n.Ioctl(t.Context(), nil, setFlags, 0, nil, nil)
			return no
		}),
		"copy_file_range": op(func(n fs.NodeCopyFileRanger) syscall.Errno {
			_, no := n.CopyFileRange(t.Context(), nil, 0, nil, nil, 0, 1, 0)
			return no
		}),
	}
	for name, n := range nodes {
		for what, call := range operations {
			if ok, no := call(n); !ok || no != syscall.EROFS {
				t.Errorf("%s of a %s: implemented %v, %v", what, name, ok, no)
			}
		}
	}
	for _, flags := range []uint32{syscall.O_WRONLY, syscall.O_RDWR, syscall.O_RDONLY | syscall.O_TRUNC} {
		if _, _, no := (&file{}).Open(t.Context(), flags); no != syscall.EROFS {
			t.Errorf("open of a file with %#x: %v", flags, no)
		}
		if _, _, no := (&note{}).Open(t.Context(), flags); no != syscall.EROFS {
			t.Errorf("open of README.txt with %#x: %v", flags, no)
		}
		if _, _, no := (&dir{}).OpendirHandle(t.Context(), flags); no != syscall.EROFS {
			t.Errorf("opendir with %#x: %v", flags, no)
		}
	}
}

func op[T any](call func(T) syscall.Errno) func(any) (bool, syscall.Errno) {
	return func(n any) (bool, syscall.Errno) {
		i, ok := n.(T)
		if !ok {
			return false, 0
		}
		return true, call(i)
	}
}
