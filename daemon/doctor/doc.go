// Package doctor says what an operator should mend: limits of the kernel,
// permissions, disks, file systems. It opens no repository, needs no key, and
// changes nothing.
//
// # Levels
//
//   - fail: keepsake cannot do what it promises, or somebody else can undo it:
//     changes that are not noticed in time, a key that others can read, a
//     database on a file system that loses it.
//   - warn: works, and something should be better: a key on the same disk as
//     what it opens.
//   - ok: looked at and good. What does not apply is left out.
//
// A finding that is not ok has a remedy: a command to run or a line to write,
// with this machine's numbers in it.
//
// # Invariants
//
//  1. What cannot be found out is said to be unknown, as a warning, and never
//     passed over.
//  2. Counting directories ends at the latest after [Options.CountFor], and then
//     says "at least".
//  3. Content is never read, neither of the sources nor of the key file.
//
// Directories are counted as the watcher would watch them: exclusions apply, no
// symbolic link is followed, file systems mounted below belong to it.
package doctor
