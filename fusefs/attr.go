package fusefs

import (
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// forever is how long the kernel may keep what cannot change.
const forever = 24 * time.Hour

// blockSize is what stat(2) calls the preferred size; blocks are counted in units of 512 bytes.
const blockSize = 4096

// attr is what stat(2) says of a node: what is kept of it for as long as the
// kernel knows it.
type attr struct {
	mode         uint32 // type and permissions
	uid, gid     uint32
	links        uint32
	rdev         uint32 // as FUSE has it
	size         uint64
	blocks       uint64
	mtime, ctime tree.Time
	btime        tree.Time // zero if it is not known
	xattrs       bool      // there are extended attributes
}

// attrOf takes a node apart. acls says that the kernel enforces ACLs.
func attrOf(n *tree.Node, acls bool) attr {
	a := attr{
		mode: typeBits(n.Type) | n.Mode&0o7777, uid: n.UID, gid: n.GID,
		links: max(n.Links, 1), mtime: n.MTime, ctime: n.CTime, btime: n.BTime, xattrs: len(n.Xattrs) > 0,
	}
	switch n.Type {
	case tree.File:
		a.size, a.blocks = n.Size, blocks(n)
	case tree.Symlink:
		a.size = uint64(len(n.Target))
	case tree.CharDevice, tree.BlockDevice:
		a.rdev = encodeDevice(n.Rdev)
	case tree.Dir:
		a.size, a.blocks = blockSize, blockSize/512
		// Two means "no subdirectories" to programs that save themselves looking.
		if a.links == 2 && n.Below.Dirs > 0 {
			a.links = 1
		}
	}
	if a.ctime.IsZero() {
		a.ctime = a.mtime
	}
	if acls {
		a.mode = enforceable(a.mode, n.Xattrs)
	} else {
		a.mode = masked(a.mode, n.Xattrs)
	}
	return a
}

func typeBits(t tree.Type) uint32 {
	switch t {
	case tree.Dir:
		return unix.S_IFDIR
	case tree.Symlink:
		return unix.S_IFLNK
	case tree.Fifo:
		return unix.S_IFIFO
	case tree.Socket:
		return unix.S_IFSOCK
	case tree.CharDevice:
		return unix.S_IFCHR
	case tree.BlockDevice:
		return unix.S_IFBLK
	}
	return unix.S_IFREG
}

// encodeDevice is the kernel's new_encode_dev.
func encodeDevice(d tree.Rdev) uint32 {
	return d.Minor&0xff | d.Major<<8 | d.Minor&^0xff<<12
}

// blocks counts what is not a hole, each stretch of data in whole blocks of
// the file. A content list in chunks of its own is not read for that: its node
// says how much of it are holes.
func blocks(n *tree.Node) uint64 {
	const perBlock = blockSize / 512
	if n.List != nil {
		return (n.Size - n.Holes + blockSize - 1) / blockSize * perBlock
	}
	var count, end, offset uint64 // end: of the last block that was counted
	for _, e := range n.Content {
		if !e.Hole {
			first := max(offset/blockSize, end)
			last := (offset + e.Length + blockSize - 1) / blockSize
			if last > first {
				count += last - first
				end = last
			}
		}
		offset += e.Length
	}
	return count * perBlock
}

func (a *attr) fill(out *fuse.Attr, ino uint64) {
	out.Ino = ino
	out.Mode = a.mode
	out.Nlink = a.links
	out.Owner = fuse.Owner{Uid: a.uid, Gid: a.gid}
	out.Rdev = a.rdev
	out.Size, out.Blocks, out.Blksize = a.size, a.blocks, blockSize
	out.Mtime, out.Mtimensec = uint64(a.mtime.Sec), a.mtime.Nsec
	out.Atime, out.Atimensec = out.Mtime, out.Mtimensec
	out.Ctime, out.Ctimensec = uint64(a.ctime.Sec), a.ctime.Nsec
}

// statx is fill and the time of birth, which stat(2) has no room for.
func (a *attr) statx(out *fuse.Statx, ino uint64) {
	out.Mask = unix.STATX_BASIC_STATS
	out.Ino, out.Mode, out.Nlink = ino, uint16(a.mode), a.links
	out.Uid, out.Gid = a.uid, a.gid
	out.RdevMajor, out.RdevMinor = unix.Major(uint64(a.rdevLinux())), unix.Minor(uint64(a.rdevLinux()))
	out.Size, out.Blocks, out.Blksize = a.size, a.blocks, blockSize
	out.Mtime = fuse.SxTime{Sec: uint64(a.mtime.Sec), Nsec: a.mtime.Nsec}
	out.Atime = out.Mtime
	out.Ctime = fuse.SxTime{Sec: uint64(a.ctime.Sec), Nsec: a.ctime.Nsec}
	if !a.btime.IsZero() {
		out.Mask |= unix.STATX_BTIME
		out.Btime = fuse.SxTime{Sec: uint64(a.btime.Sec), Nsec: a.btime.Nsec}
	}
}

func (a *attr) rdevLinux() uint64 {
	return unix.Mkdev(a.rdev>>8&0xfff, a.rdev&0xff|a.rdev>>12&^0xff)
}
