// Package watch turns the kernel's file notifications into batches of
// directories that have changed and come to rest. It is the only package that
// imports fsnotify; it knows nothing of the store, keeps nothing on disk and
// never reads the content of a file.
//
// # Events are hints, scans are the truth
//
// A [Batch] does not say what happened. It names the directories, relative to
// the root, whose listing, files or metadata may differ from what the previous
// batches led to, and the caller reads them. A directory may be named although
// nothing in it differs, and it may have disappeared by the time it is read;
// it is never left out although something changed that inotify reports. What
// inotify does not report at all (see the refusals below) is left to the
// caller's full scan.
//
// # Vocabulary
//
//   - dirty: a directory in which something changed since it was last handed
//     out. A change to a file dirties its parent directory. The metadata of a
//     directory itself changes with its listing, so a reader of a dirty
//     directory looks at the directory's own node as well.
//   - in flux: a regular file that changed and has not yet been quiet for the
//     settle time.
//   - quiet: no event, and size, mtime, ctime and inode number the same at the
//     beginning and the end of a full settle time of the monotonic clock. The
//     age of a file plays no part: a file copied with the times of last year
//     waits as long as any other. A directory is quiet when no event concerned
//     it for the settle time and none of its files is in flux.
//   - in doubt: a subtree of which events may have been lost, or which cannot
//     be watched. The caller has to scan it.
//   - cause: why something is in doubt, a word ([Batch.Causes]). A batch that is
//     given back keeps its causes, and a caller that doubts on its own account
//     gives back what it doubts with a word of its own.
//   - polled: a subtree on a file system that others may change without this
//     kernel hearing of it (network file systems, FUSE; [Remote] decides). It is
//     watched too, so what this machine does there is reported at once, and in
//     doubt every PollEvery. If the root itself is one, that is everything.
//   - lost: events were dropped, by the kernel's queue or by ours, and the
//     tree has not been walked since.
//   - walk: the breadth-first pass over all directories that sets the watches
//     anew, at the start, after lost events, and when the root was replaced or
//     its file system mounted anew.
//   - cookie: a file made in [Options.CookieDir], a directory watched by the
//     same inotify instance. Its event proves that everything queued before
//     it has been seen.
//
// # Invariants
//
//  1. A directory is watched before it is read, and read after it is watched:
//     what appears in between is seen twice and never not at all. A new
//     directory's subdirectories are watched and read in turn, and all its
//     regular files are in flux until they have rested.
//  2. One goroutine, the one that runs [Watcher.Run], owns all state; it is
//     reached through channels. A second one only moves events from fsnotify
//     into a bounded buffer, because fsnotify can hold its own lock while it
//     reports an error and would otherwise block the owner for good; a third
//     only waits for the kernel to say that something was mounted.
//  3. Everything dirty goes into a batch, quiet or not; being quiet only
//     decides when. So a file moved from one directory to another is not
//     missing from a snapshot because one of the two came to rest earlier.
//     Files in flux are listed in [Batch.Unsettled], wherever they are, and
//     their directories come again when they have rested.
//  4. A batch counts as handed out only if the caller received it; a cancelled
//     [Watcher.Next] loses nothing. A caller that fails gives it back with
//     [Watcher.Requeue].
//  5. Lost events make everything dirty (All), are counted, and lead to a new
//     inotify instance and a walk, at most one per settle time. A fresh
//     instance is used because fsnotify names watches by path, and after lost
//     events no path can be trusted. Until the walk is done batches are
//     withheld as long as possible, and say Uncertain if they must go out.
//  6. fsnotify is never asked to watch a path or an inode that it already
//     holds: it would silently keep the older name. A moved directory loses
//     the watches of its whole subtree and is read afresh at its new place.
//  7. Files in flux are bounded by MaxFlux, plus the files of one directory;
//     directories beyond wait until there is room. Buffered events are bounded
//     by EventBuffer.
//  8. What is mounted at, above and below the root is followed from before the
//     first walk on. A mount point at which something changed is in doubt, with
//     everything below it and nothing else, and is watched afresh. Mounts and
//     the root are looked at once more before a batch is handed out, so that
//     none describes what an unmounting has left as if nothing had happened.
//  9. Setting the wall clock by more than two seconds puts everything in doubt:
//     times of files before and after cannot be compared. Sleep, and a clock
//     that is slewed, are no jumps. Settling uses the monotonic clock and takes
//     no notice.
//  10. Names are bytes. They are passed on as the kernel gave them, whether or
//     not they are UTF-8; the root is ".".
//
// # The root
//
// The root is resolved once, by [New] or when it is first there; below it no
// symbolic link is followed. If the root is not there, or disappears, or is
// replaced by something else, Next reports one batch with RootMissing and then
// waits; when a directory is in its place it is walked and everything is dirty. No batch ever describes a
// missing root as an empty one. What is left at a mount point when the disk is
// gone is another directory, on another device: everything is in doubt, and
// Causes says that the root was replaced. A root that was moved away and back
// before anybody looked is begun again too, since its own watch is lost.
//
// # Refusals
//
// Directories that cannot be watched (the limit of watches, permissions, the
// same directory visible twice through a bind mount) are kept in a list, are
// counted in [Stats], and stand in the Rescan field of every batch; those that
// may change unnoticed also cause a batch every PollEvery, and watching them
// is tried again then.
//
// What is mounted is read from /proc/self/mountinfo; without it (Stats says
// so) mounting and unmounting below the root is left to the full scan. Kernels
// before 6.8 do not tell a mount from a later one of the same disk in the same
// place, if both happen before the first is looked at. The IN_UNMOUNT of inotify
// does not help: fsnotify keeps it to itself.
//
// Not seen here, because inotify has no event for it: writes through another
// name of a multiply linked inode outside the directory of that name (who maps
// such names to each other finds them, except through a name that came and went
// between two batches), and later stores through a memory map into a page that
// is already dirty. Changes to files that match Exclude dirty nothing, not even the
// directory's modification time.
package watch
