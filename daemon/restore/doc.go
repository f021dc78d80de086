// Package restore writes a snapshot, or a part of one, into a directory.
//
// # Vocabulary
//
// The target is the directory that a person named; everything else is an
// entry below it. An entry is lost if it could not be restored whole: it is
// absent, or what stood in its place before still does, and it is listed. A
// lost directory stands for all that is below it. Something is not kept if
// the entry was restored but a part of its metadata could not be set.
//
// # How it works
//
// One goroutine walks the snapshot and makes directories; as many workers as
// there are cores make everything else. A worker that restores a large file
// hands its chunks to whoever is idle, so one file alone uses all cores too.
// A directory is finished, its metadata set and its descriptor closed, by
// whoever completes the last entry in it: until then it is 0700 and its
// owner's, so that nobody can interfere with a tree that restore creates.
//
// # Invariants
//
//   - Nothing outside the target is written, whatever the snapshot says and
//     whatever other users do to the target meanwhile. Every name is checked
//     again and used alone, relative to its directory's descriptor, and never
//     followed; no path of more than one name is given to the kernel, except
//     /proc/self/fd/N. Metadata is set through descriptors of what was made;
//     what yields none when it is made (symlinks, FIFOs, sockets, devices) is
//     made where nobody else can enter, and gets its name when it is complete.
//   - An inode that has further names is never changed in place, since they
//     may lie outside; nor is any where others can remove names, since its
//     count of names proves nothing there.
//   - A name shows the old entry or the whole new one, after any kill: entries
//     are made under a temporary name and renamed. What a kill leaves behind
//     (.keepsake-restore-*) is removed by the next restore into that directory.
//   - Damage in the repository costs the entries that need it and no others. A
//     failing target (full, gone, read-only) ends the run and names the entry.
//   - A set-id bit is set only if the owner whose rights it lends is the stored
//     one. An entry whose ACL cannot be set gets no more rights than that gave.
//   - When Run returns without error the target is on stable storage, as far
//     as its file system can tell (syncfs).
//   - Memory is bounded: 48 MiB of buffers, the nodes of the pages under way,
//     one directory's names with Delete, 128 Ki groups of hard links and
//     100,000 lost paths. Nothing grows with the number of files.
//
// # What is restored
//
// Content with its holes, names, types, permissions, owners by number,
// modification times, extended attributes, ACLs, hard links, symlinks, FIFOs,
// device nodes, and sockets (the node; nobody listens there). Access times are
// not stored. Birth and change times no program can set.
//
// Hard links are made to the first restored name of their group. Names of one
// group that differ in the snapshot, those of groups beyond the bound, and
// those on file systems without links become files of their own and count as
// not kept.
//
// # Refusals
//
// A second restore into a target in use, a target that is no directory,
// patterns that cannot be parsed. Symlinks in the place of directories are not
// followed. A directory that is not empty is not replaced by a file, except
// with Delete.
package restore
