package restore

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// ACLs are attributes, as far as the kernel's interface goes.
const (
	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"
)

// attributes sets the extended attributes of an entry. On one that was there
// before, ACLs and user attributes that the snapshot does not have are removed;
// those of other name spaces belong to the system. If the access ACL could not
// be set it is returned.
func (r *run) attributes(h handle, attrs []tree.Xattr, path string) (lostACL []byte, err error) {
	if h.fresh && h.inherits {
		if err := r.refused("absence of an inherited ACL", path, h.removeAttr(aclAccess)); err != nil {
			return nil, err
		}
	}
	if !h.fresh {
		if err := r.pruneAttrs(h, attrs, path); err != nil {
			return nil, err
		}
	}
	for _, x := range attrs {
		name := string(x.Name)
		if !h.fresh && h.hasValue(name, x.Value) {
			continue
		}
		err := h.setAttr(name, x.Value)
		if err == nil {
			continue
		}
		// ext4 says ENOSPC to values over some 4 KB: no reason to end the run.
		if failing(err) && err != unix.ENOSPC && err != unix.EDQUOT {
			return nil, target("setting "+kindOf(name), err)
		}
		r.tally.missing(kindOf(name), because(err), path)
		if name == aclAccess {
			lostACL = x.Value
		}
	}
	return lostACL, nil
}

// kindOf names an attribute in the summary: single ones would be too many.
func kindOf(name string) string {
	if name == aclAccess || name == aclDefault {
		return "access control list"
	}
	space, _, _ := strings.Cut(name, ".")
	return space + ".* attributes"
}

func (r *run) pruneAttrs(h handle, attrs []tree.Xattr, path string) error {
	names, err := h.listAttrs()
	if err != nil {
		return nil // where there are none, there is nothing to remove
	}
	for _, name := range names {
		if !isOurs(name) || hasName(attrs, name) {
			continue
		}
		if err := r.refused("removal of "+kindOf(name), path, h.removeAttr(name)); err != nil {
			return err
		}
	}
	return nil
}

func hasName(attrs []tree.Xattr, name string) bool {
	for _, x := range attrs {
		if string(x.Name) == name {
			return true
		}
	}
	return false
}

func (h handle) setAttr(name string, value []byte) error {
	return again(func() error {
		if h.path {
			return unix.Setxattr(procPath(h.fd), name, value, 0)
		}
		return unix.Fsetxattr(h.fd, name, value, 0)
	})
}

// removeAttr succeeds if the attribute is not there.
func (h handle) removeAttr(name string) error {
	err := again(func() error {
		if h.path {
			return unix.Removexattr(procPath(h.fd), name)
		}
		return unix.Fremovexattr(h.fd, name)
	})
	if err == unix.ENODATA || err == unix.ENOTSUP {
		return nil
	}
	return err
}

// hasValue reports whether an attribute has this value already: setting it
// would move the change time, and the next backup would look at the file again.
func (h handle) hasValue(name string, value []byte) bool {
	buf := make([]byte, len(value)+1)
	n, err := unix.Fgetxattr(h.fd, name, buf)
	return err == nil && bytes.Equal(buf[:n], value)
}

func (h handle) listAttrs() ([]string, error) {
	buf := make([]byte, 64<<10) // the kernel's limit
	n, err := unix.Flistxattr(h.fd, buf)
	if err != nil || n == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00"), nil
}

// sameAttrs reports whether an entry has these attributes, and no others of
// those that attributes would remove.
func (h handle) sameAttrs(attrs []tree.Xattr) bool {
	for _, x := range attrs {
		if !h.hasValue(string(x.Name), x.Value) {
			return false
		}
	}
	names, err := h.listAttrs()
	return err != nil || !slices.ContainsFunc(names, func(name string) bool { return isOurs(name) && !hasName(attrs, name) })
}

// isOurs reports whether an attribute that the snapshot does not have is to be
// removed.
func isOurs(name string) bool {
	return strings.HasPrefix(name, "user.") || name == aclAccess || name == aclDefault
}

// hasAttr reports whether an open directory has an attribute.
func hasAttr(fd int, name string) bool {
	_, err := unix.Fgetxattr(fd, name, nil)
	return err == nil
}

// stripACLs takes from a directory just made what it inherited, before anything
// inherits from it in turn.
func stripACLs(fd int) error {
	for _, name := range [...]string{aclDefault, aclAccess} {
		if err := (handle{fd: fd}).removeAttr(name); err != nil && failing(err) {
			return target("removing an inherited ACL", err)
		}
	}
	return nil
}

// withoutACL returns a mode for an entry whose ACL could not be set. With an
// ACL the group bits are its mask, which may allow more than the group had:
// the group gets what its own entry said.
func withoutACL(mode uint32, acl []byte) uint32 {
	const (
		header, entry       = 4, 8
		groupObj, aclMask   = 0x04, 0x10
		groupBits, allowAll = 0o070, 7
	)
	group, mask := uint32(0), uint32(allowAll)
	for at := header; at+entry <= len(acl); at += entry {
		permissions := uint32(binary.LittleEndian.Uint16(acl[at+2:])) & allowAll
		switch binary.LittleEndian.Uint16(acl[at:]) {
		case groupObj:
			group = permissions
		case aclMask:
			mask = permissions
		}
	}
	return mode&^groupBits | (group&mask)<<3
}
