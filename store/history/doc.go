// Package history follows directories and files through all snapshots of one
// source: which names a directory ever held, and which distinct versions a file
// had. It reads tree pages and nothing else.
//
// # Vocabulary
//
// A state is what a directory held at one time, named by its root page; each is
// kept once, with the snapshot that had it first. A past is what one name of a
// directory stood for over time: the states of a directory, the versions of
// something else, or both. A version differs from the others of its name in
// what a reader gets: the content, the target of a symlink, the device. One that
// was only touched or given other permissions is the same version.
//
// Snapshots are counted from the oldest, which is 0, and come in that order.
// States are counted likewise within their directory.
//
// # How it is fast
//
// A directory that did not change has the same root page and is passed over.
// One that did shares most of its pages with the states before, so that only
// pages which were not met before are read. What a directory above did not
// change below it is never looked for. And since pages are met in order, adding
// a snapshot to what is known reads what is new in that snapshot alone.
//
// # How it is bounded
//
// Nothing grows with the number of files times that of snapshots. Names takes
// about 90 bytes for each name that ever was, a Past about 100 for each state or
// version. Pages are remembered up to a bound, beyond which some are read again.
//
// # Damage
//
// A page that cannot be read hides what was in it, and no listing without it may
// pass for the whole. So everything that can be read is returned, with the first
// damage beside it: who shows it must show that too. Any other error (the
// repository has gone away, the caller has) leaves things as they were, and the
// same call may be made again.
package history
