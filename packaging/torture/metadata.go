package torture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

var errUnreadable = errors.New("its owner could not read it either; only root can")

// modes makes files and directories with every kind of permission bits.
func (b *builder) modes() {
	b.dir("modes", 0o755)
	for _, mode := range []uint32{0o4755, 0o2755, 0o6755, 0o1644, 0o7777, 0o4644, 0o400, 0o600, 0o777, 0o640, 0o111, 0o000} {
		rel := fmt.Sprintf("modes/file %04o", mode)
		if mode&0o400 == 0 && os.Geteuid() != 0 {
			b.try(rel, "unreadable file", errUnreadable)
			continue
		}
		b.file(rel, []byte(rel))
		b.chmod(rel, mode)
	}
	for _, mode := range []uint32{0o1777, 0o2775, 0o7777, 0o700, 0o500, 0o000} {
		rel := fmt.Sprintf("modes/directory %04o", mode)
		if mode&0o700 != 0o700 && os.Geteuid() != 0 {
			b.try(rel, "directory that its owner cannot use", errUnreadable)
			continue
		}
		b.dir(rel, 0o700)
		b.file(rel+"/inside", []byte(rel))
		b.chmod(rel, mode)
	}
}

func (b *builder) chmod(rel string, mode uint32) {
	if b.err != nil {
		return
	}
	err := unix.Chmod(b.path(rel), mode)
	var st unix.Stat_t
	if err == nil {
		err = unix.Lstat(b.path(rel), &st)
	}
	if err == nil && st.Mode&0o7777 != mode {
		err = fmt.Errorf("the system keeps %04o", st.Mode&0o7777)
	}
	b.try(rel, fmt.Sprintf("mode %04o", mode), err)
}

// owners gives entries to numbers that have no name on any machine, up to the largest that exists.
func (b *builder) owners() {
	b.dir("owners", 0o755)
	for _, o := range []struct{ uid, gid uint32 }{{54321, 54322}, {0, 54322}, {54321, 0}, {65534, 65534}, {1 << 31, 1<<31 + 1}, {1<<32 - 2, 1<<32 - 2}} {
		rel := fmt.Sprintf("owners/%d %d", o.uid, o.gid)
		b.file(rel, []byte(rel))
		b.chown(rel, o.uid, o.gid)
	}
	b.dir("owners/directory", 0o2770)
	b.chown("owners/directory", 54321, 54322)
	b.chmod("owners/directory", 0o2770)
	b.symlink("nowhere", "owners/symlink")
	b.chown("owners/symlink", 54321, 54322)
	// Changing the owner takes these bits away, so whoever restores must set them afterwards.
	b.file("owners/setuid", []byte("setuid"))
	b.chown("owners/setuid", 54321, 54322)
	b.chmod("owners/setuid", 0o6755)
}

func (b *builder) chown(rel string, uid, gid uint32) {
	if b.err != nil {
		return
	}
	b.try(rel, fmt.Sprintf("owner %d:%d", uid, gid), unix.Lchown(b.path(rel), int(uid), int(gid)))
}

// special makes what is no file, no directory and no symlink. Nothing may ever open these.
func (b *builder) special() {
	b.dir("special", 0o755)
	b.node("special/fifo", unix.S_IFIFO|0o620, 0, "FIFO")
	b.node("special/socket", unix.S_IFSOCK|0o755, 0, "socket")
	b.node("special/null", unix.S_IFCHR|0o666, unix.Mkdev(1, 3), "character device")
	b.node("special/loop", unix.S_IFBLK|0o660, unix.Mkdev(7, 200), "block device")
	b.node("special/large minor", unix.S_IFBLK|0o600, unix.Mkdev(259, 1_000_003), "block device")
	b.node("special/large major", unix.S_IFCHR|0o600, unix.Mkdev(4001, 300), "character device")
}

func (b *builder) node(rel string, mode uint32, device uint64, what string) {
	if b.err != nil {
		return
	}
	err := unix.Mknod(b.path(rel), mode, int(device))
	if err == nil {
		err = unix.Chmod(b.path(rel), mode&0o7777)
	}
	if b.try(rel, what, err) {
		b.made(rel, nil)
	}
}

// xattrs makes entries with extended attributes of every name space that the caller may write.
func (b *builder) xattrs() {
	b.dir("xattrs", 0o755)
	b.file("xattrs/user", []byte("a file"))
	b.setXattr("xattrs/user", "user.empty", nil)
	b.setXattr("xattrs/user", "user.text", []byte("value"))
	b.setXattr("xattrs/user", "user.binary", []byte{0, 0xff, '\n', 0})
	b.setXattr("xattrs/user", "user.name \xff\n\u00e9", []byte("a hard name"))
	b.setXattr("xattrs/user", "user.com.apple.FinderInfo", make([]byte, 32))
	b.file("xattrs/many", nil)
	for i := range 40 {
		b.setXattr("xattrs/many", fmt.Sprintf("user.number %02d", i), fmt.Append(nil, i))
	}
	b.file("xattrs/long name", nil)
	b.setXattr("xattrs/long name", "user."+strings.Repeat("n", 250), []byte("255 bytes of name"))
	b.dir("xattrs/directory", 0o755)
	b.setXattr("xattrs/directory", "user.on a directory", []byte("value"))
	b.setXattr(".", "user.on the root", []byte("value"))
	// The kernel allows 64 KiB for a value; ext4 about 4,000 bytes for all of an inode.
	for _, n := range []int{2000, 3900, 5000, 16 * kib, 64 * kib} {
		rel := fmt.Sprintf("xattrs/value of %d", n)
		b.file(rel, nil)
		b.setXattr(rel, "user.large", noise(rel, n))
	}
	b.file("xattrs/same large value", nil)
	b.setXattr("xattrs/same large value", "user.large", noise("xattrs/value of 3900", 3900))

	b.setXattr("xattrs/user", "trusted.keepsake", []byte("root's own"))
	b.symlink("nowhere", "xattrs/symlink")
	b.setXattr("xattrs/symlink", "trusted.keepsake", []byte("on the link itself"))
	b.file("xattrs/capability", []byte("#!/bin/true\n"))
	b.chmod("xattrs/capability", 0o755)
	// Version 2 of the kernel's vfs_cap_data: CAP_NET_RAW, permitted and effective.
	b.setXattr("xattrs/capability", "security.capability", []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
}

func (b *builder) setXattr(rel, name string, value []byte) {
	if b.err != nil {
		return
	}
	err := unix.Lsetxattr(b.path(rel), name, value, 0)
	b.try(rel, fmt.Sprintf("extended attribute %q of %d bytes", name, len(value)), err)
}

// Tags of POSIX ACL entries, as the kernel's posix_acl_xattr.h has them.
const (
	aclUserObj  = 0x01
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclGroup    = 0x08
	aclMask     = 0x10
	aclOther    = 0x20
	aclNoID     = 1<<32 - 1
)

// aclEntry is one entry of an ACL, in the order that the kernel demands: by tag, then by id.
type aclEntry struct {
	tag, permissions uint16
	id               uint32
}

// encodeACL returns the value of a system.posix_acl_* attribute.
func encodeACL(entries []aclEntry) []byte {
	value := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range entries {
		value = binary.LittleEndian.AppendUint16(value, e.tag)
		value = binary.LittleEndian.AppendUint16(value, e.permissions)
		value = binary.LittleEndian.AppendUint32(value, e.id)
	}
	return value
}

// acls makes access and default ACLs, with users that exist nowhere.
func (b *builder) acls() {
	b.dir("acls", 0o755)
	access := encodeACL([]aclEntry{
		{aclUserObj, 7, aclNoID}, {aclUser, 5, 54321}, {aclUser, 0, 54329}, {aclGroupObj, 4, aclNoID},
		{aclGroup, 6, 54322}, {aclMask, 5, aclNoID}, {aclOther, 0, aclNoID},
	})
	inherited := encodeACL([]aclEntry{
		{aclUserObj, 7, aclNoID}, {aclUser, 7, 54321}, {aclGroupObj, 5, aclNoID}, {aclMask, 7, aclNoID}, {aclOther, 1, aclNoID},
	})
	minimal := encodeACL([]aclEntry{{aclUserObj, 7, aclNoID}, {aclGroupObj, 5, aclNoID}, {aclOther, 0, aclNoID}})

	b.file("acls/access", []byte("a file with an ACL"))
	b.setXattr("acls/access", "system.posix_acl_access", access)
	b.dir("acls/both", 0o755)
	b.setXattr("acls/both", "system.posix_acl_access", access)
	b.setXattr("acls/both", "system.posix_acl_default", inherited)
	b.dir("acls/default alone", 0o755)
	b.setXattr("acls/default alone", "system.posix_acl_default", minimal)
	// What is made below a default ACL inherits it: a restore that sets it too early leaves traces.
	b.dir("acls/heirs", 0o755)
	b.file("acls/heirs/older than the ACL", nil)
	b.setXattr("acls/heirs", "system.posix_acl_default", inherited)
	b.file("acls/heirs/heir", nil)
	b.dir("acls/heirs/inner", 0o750)
	b.file("acls/heirs/inner/heir", nil)
}

// extremeTimes makes entries at the ends of what clocks can hold.
func (b *builder) extremeTimes() {
	b.dir("times", 0o755)
	utc := func(year int, month time.Month, day, hour, minute, second, nanosecond int) time.Time {
		return time.Date(year, month, day, hour, minute, second, nanosecond, time.UTC)
	}
	for _, t := range []time.Time{
		utc(1901, 12, 13, 20, 45, 52, 0), // the first second of 32 bits
		utc(1901, 12, 13, 20, 45, 53, 1),
		utc(1958, 7, 1, 12, 0, 0, 999_999_999),
		utc(1969, 12, 31, 23, 59, 58, 999_999_999),
		utc(1969, 12, 31, 23, 59, 59, 0), // -1, which some calls use for an error
		utc(1970, 1, 1, 0, 0, 0, 0),
		utc(1970, 1, 1, 0, 0, 0, 1),
		utc(2001, 9, 9, 1, 46, 40, 123_456_789),
		utc(2038, 1, 19, 3, 14, 7, 999_999_999), // the last second of 32 bits
		utc(2038, 1, 19, 3, 14, 8, 0),
		utc(2106, 2, 7, 6, 28, 16, 5), // one past 32 bits without a sign
		utc(2262, 4, 12, 0, 0, 0, 0),  // one past 64 bits of nanoseconds
		utc(2446, 5, 10, 22, 38, 55, 0),
	} {
		rel := "times/" + t.Format("2006-01-02T15:04:05.999999999")
		b.file(rel, []byte(rel))
		b.times[rel] = t
	}
	b.dir("times/directory", 0o755)
	b.file("times/directory/file", nil)
	b.times["times/directory"] = utc(1969, 7, 20, 20, 17, 40, 3)
	b.symlink("nowhere", "times/symlink")
	b.times["times/symlink"] = utc(2039, 1, 1, 0, 0, 0, 7)
}
