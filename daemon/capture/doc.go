// Package capture takes a snapshot of a source: walk → read → chunk → store →
// snapshot. The one-shot verb and the daemon share it.
//
// # How it works
//
// A run is a sequence of passes over the tree. A pass walks all directories,
// or in an event-driven run only those in doubt, beside the previous snapshot:
// what has not changed is taken over without being read, what has changed is
// read, cut and stored. When a pass has gone on for ten minutes it reads no
// further file, finishes the tree with what the previous snapshot had, and
// publishes it as in-progress; the next pass takes that over and goes on. A
// kill at hour twenty therefore costs ten minutes, and people can browse.
//
// # Invariants
//
//   - Nothing is read through a symlink. Every name is opened relative to its
//     directory's descriptor without following, and what was opened is compared
//     with what was listed.
//   - A file is checked again after it was read. One that changed meanwhile is
//     read once more; if it does not come to rest, its previous version is
//     kept for a day, or for an hour if it is torn itself; without one, or later,
//     what was read is stored flagged as torn. Either way the path is listed as
//     missed. Stores through maps move the times as writes do, since the pages
//     of a recently changed file are written back first; one that is mapped for
//     writing has to rest for the settle time after that. Where another machine
//     stamps the times, a file that may have changed lately is read if it looks as
//     it did in an earlier run.
//   - What the caller's settle time lets be read as good has been at rest for so
//     long, whether or not anybody watched it: a run that sees a file that changed
//     just before waits, once, and what changes while it goes on is in flux.
//   - What belongs together is captured at one moment: after the last part was
//     read, all of them are looked at once more. If one changed, the previous
//     versions of all are kept, and listed; what has none waits. Bundles are raw
//     photos with their sidecars, databases with their logs, and directories that
//     are one thing to their program (bundles.go).
//   - A run that saw less than everything says so: each path that could not be
//     read, or was not at rest, stands in the snapshot with its reason.
//   - What a rule leaves out is counted by rule in the snapshot. Patterns mean what
//     git says they mean. What a person requires and is not there is missed.
//   - Only what its directory lists no more is deleted. A name that is listed and
//     cannot be found keeps its previous version and is missed.
//   - Events limit a run only if they count from the newest snapshot and what
//     that one holds can be read. A directory that was replaced is walked in
//     full, whatever the events say.
//   - A multiply linked file that changed is looked at under each of its names:
//     events tell of one. A run by events goes on beside its own tree until all
//     names that the source has are found, if need be by a scan.
//   - What the format has no room for is missed; it ends no run.
//   - A file counts as unchanged only if type, size, mtime, ctime and (where
//     stable) inode are the same, it was not captured within two seconds of its
//     last change, and its chunks are known to the store.
//   - Memory is bounded by the names of the directories being walked at the
//     same time and by a fixed number of buffers, not by the number of files.
//
// # Guards and rot
//
// While a run goes on it counts what came, went and no longer fits its name;
// package guard judges the counts together with those of the last day, and the
// snapshot is marked with what it finds. Counting reads nothing that is not
// read anyway, but for the beginning of what looks spoilt as it was before.
//
// A file whose content changed although its size, times and inode did not has
// not been edited, as far as its file system knows. Reread looks for such files,
// and a run that reads one for another reason compares as well. Its earlier
// version is kept, flagged and listed, until the size or the times change.
//
// What commands print is captured the same way, by [Outputs]: a file is good only
// if its command did not fail and printed enough, else it keeps its previous
// version and is missed.
//
// Reading can be limited, and can leave the page cache as it was (ReadOptions).
//
// Special files are recorded, never opened. Access times are neither kept nor,
// where the system allows, touched.
package capture
