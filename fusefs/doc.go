// Package fusefs shows every snapshot of a repository as a folder, read-only,
// through FUSE.
//
//	MOUNT/README.txt                                 what this is
//	MOUNT/latest/<source>                            a relative symlink into snapshots/
//	MOUNT/snapshots/<source>/<time>/…                the snapshot's tree
//	MOUNT/previous/<source>/@GMT-<time>/…            the same tree, for Samba's shadow_copy2
//
// # Vocabulary
//
// A list is a directory that grows as snapshots are taken: the root, latest,
// snapshots, previous and the directories of each source in them. Everything
// below a snapshot's folder is an entry: it never changes. A run is a piece of
// a directory's listing that is kept decoded.
//
// # Names
//
// What the folders of lists are called, and which there are, is the business of
// package catalogue.
//
// # Invariants
//
//   - A byte that is handed out was authenticated by the store. Damage fails
//     the whole request with EIO, never with fewer bytes, and is logged once
//     for each file and pack.
//   - An inode number and its generation are 128 bits of one hash over the
//     snapshot and the path, or the group of hard links. A lookup that meets a
//     live node of the same numbers compares the two; if they are not the same
//     node it is refused. The trees in snapshots/ and previous/ have numbers of
//     their own, since a directory must have one place.
//   - What is inside a snapshot is cached by the kernel for a day. Lists are
//     read again at most once a second, and at once by Refresh.
//   - Every operation answers within Options.Patience, whatever the repository
//     does; one that was interrupted, a second later at most. While it hangs,
//     what is asked for next waits for less, and the lists show what they had.
//   - A panic fails the operation that it happens in, with EIO and one line in
//     the log. A repository that is away is logged once in ten minutes.
//   - Nothing can be written. The mount is ro, nosuid and nodev, and every
//     operation that would change something answers EROFS by itself.
//   - Permissions are the kernel's business (default_permissions), ACLs
//     included; on a kernel without ACLs for FUSE the permission bits are cut
//     down to what the ACL gives to everybody whom they apply to.
//   - A directory page is read once for a listing with attributes. Nodes are
//     forgotten when the kernel forgets them, and beyond a bound the kernel is
//     asked to.
//
// # What a mount cannot say
//
// The access time is the modification time; the change time is that of the
// captured file. The blocks of a file are those of its data: a file system may
// add some for its own records, and a file captured by a version that did not
// count the holes of a long content list shows as full. A directory has 4,096
// bytes. Link counts are those of the captured file, and at least 1. Inode and
// device numbers are the view's own. The file system shows itself as full, as
// large as the newest snapshots of all sources. Maps of extents (FIEMAP) and
// the flags of chattr are not there; SEEK_DATA and SEEK_HOLE are. Attributes
// user.keepsake.sha256 and user.keepsake.snapshot are answered by name and
// never listed. Sockets, FIFOs and devices are shown and lead nowhere.
//
// # Refusals
//
// Mount refuses a directory that is not empty or where something else is
// mounted, and heals the mount that a killed process left behind; see package
// mountpoint.
package fusefs
