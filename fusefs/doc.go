// Package fusefs shows every snapshot of a repository as a folder, read-only,
// through FUSE.
//
//	MOUNT/README.txt                                 what this is
//	MOUNT/latest/<source>                            a relative symlink into snapshots/
//	MOUNT/snapshots/<source>/<time>/…                the snapshot's tree
//	MOUNT/previous/<source>/@GMT-<time>/…            the same tree, for Samba's shadow_copy2
//	MOUNT/versions/<source>/<path>/<time>.<ext>      the distinct versions of one file
//
// # Vocabulary
//
// A list is a directory that grows as snapshots are taken: the root, latest,
// snapshots, previous and the directories of each source in them. Everything
// below a snapshot's folder is an entry: it never changes. A run is a piece of
// a directory's listing that is kept decoded. A merged directory is one below
// versions/: what a path of a source was in all of its snapshots together. The
// versions in it are entries, too.
//
// # Names
//
// What the folders of lists are called, and which there are, is the business of
// package catalogue.
//
// A version is called as the snapshot that had it first, and keeps the last
// extension of its file. Where a path was a file and a directory, both are in
// one merged directory; a name that was in the directory stays as it is, and a
// version that would be called the same gets digits of its snapshot's id.
//
// # versions/
//
// What is a version of what is the business of package history. A merged
// directory holds every name that ever was, deleted ones included, and is read
// again when a snapshot appears, of which only what is new is read. A limited
// number of names is kept for all merged directories together.
//
// A merged directory gives nobody more than each of the states that the
// directory was in did: its permissions are those that all of them had, cut
// down where owners have changed, and to what ACLs left. The merged directory
// of a file has those of the one it is in. A version has the rights that the
// file had in its snapshot.
//
// Where a damaged page may hide something, a listing shows what can be read
// and ends with EIO, and a name that is not found is EIO as well.
//
// # Reading
//
// What the store has in memory is answered by the goroutine that the request
// came in, and the kernel copies it from there. All else is read in a goroutine
// of its own, which the request waits for as long as it has patience. Two
// requests in order have the store decrypt what comes next, up to a window for
// each handle and a limit for all of them, until somebody asks for another
// place. Files are opened, listed and looked up from runs.
//
// The kernel reads 128 KiB ahead by itself, one request at a time; that this
// goes well is a matter of microseconds in each. More of it costs less
// processor time for each byte, and is an option for root.
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
//     their own, since a directory must have one place; so have versions.
//   - What is inside a snapshot is cached by the kernel for a day, and so is a
//     version, but not its name. Lists are read again at most once a second and a
//     twentieth of the time, but every three seconds, and at once by Refresh;
//     merged directories at most once a second. Of every snapshot about 200 bytes
//     are kept; its manifest is read when its folder is looked up.
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
// bytes. Link counts are those of the captured file, and at least 1; of a
// version 1. Inode and device numbers are the view's own. The file system shows
// itself as full, as large as the newest snapshots of all sources. Maps of
// extents (FIEMAP) and the flags of chattr are not there; SEEK_DATA and
// SEEK_HOLE are. Attributes user.keepsake.sha256 and user.keepsake.snapshot are
// answered by name and never listed. Sockets, FIFOs and devices are shown and
// lead nowhere. An ACL of more than 4 KiB, which are 511 entries, is longer than
// the kernel takes from FUSE: it cannot be asked for, and the owner and root
// alone get in. File handles (name_to_handle_at) are good only while the kernel
// keeps the inode, and stale after that or a remount, since the FUSE library
// finds nothing by its number: no NFS server can export a view.
//
// # Refusals
//
// Mount refuses a directory that is not empty or where something else is
// mounted, and heals the mount that a killed process left behind; see package
// mountpoint.
package fusefs
