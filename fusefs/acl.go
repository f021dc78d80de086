package fusefs

import (
	"encoding/binary"

	"keepsake/store/tree"
)

// An access ACL as the kernel hands it out: a version, then entries of a tag,
// permissions and an id, all little-endian.
const (
	xattrACL   = "system.posix_acl_access"
	aclVersion = 2
	aclUser    = 0x02
	aclGroup   = 0x08
	aclOwning  = 0x04 // the owning group
	aclMask    = 0x10
	aclEntry   = 8
)

// masked cuts a mode down for a kernel that does not enforce ACLs: nobody gets
// more than the ACL gives to any whom the same permission bits apply to. Named
// users and groups may have to do with less than they were given.
func masked(mode uint32, xattrs []tree.Xattr) uint32 {
	for _, x := range xattrs {
		if string(x.Name) != xattrACL {
			continue
		}
		if !usable(x) {
			return ownersAlone(mode)
		}
		group, named, mask, other := uint32(7), uint32(7), uint32(7), mode&7
		names := false
		for b := x.Value[4:]; len(b) >= aclEntry; b = b[aclEntry:] {
			perm := uint32(binary.LittleEndian.Uint16(b[2:])) & 7
			switch binary.LittleEndian.Uint16(b) {
			case aclMask:
				mask = perm
			case aclOwning:
				group &= perm
			case aclUser, aclGroup:
				named &= perm
				names = true
			}
		}
		// Whoever is named may be in the owning group, or count as one of the others.
		group &= named & mask
		if names {
			other &= named & mask
		}
		return mode&^0o077 | (group&(mode>>3))<<3 | other
	}
	return mode
}

// enforceable is the mode for a kernel that enforces ACLs. One that it cannot
// take would make it refuse everybody but the owner, root as well; without any
// bits of the group it does not ask for it.
func enforceable(mode uint32, xattrs []tree.Xattr) uint32 {
	for _, x := range xattrs {
		if string(x.Name) == xattrACL && !usable(x) {
			return ownersAlone(mode)
		}
	}
	return mode
}

// usable reports whether an ACL is one that this program understands and that
// fits into a page, which is all that the kernel takes from FUSE.
func usable(acl tree.Xattr) bool {
	return len(acl.Large) == 0 && len(acl.Value) >= 4 && binary.LittleEndian.Uint32(acl.Value) == aclVersion
}

func ownersAlone(mode uint32) uint32 { return mode &^ 0o077 }
