// Package daemon is the acting part of keepsake: what does something over
// time. It wires the rooms below it together: watch says what changed, capture
// takes the snapshot, the mounted view shows it, control lets other processes
// in. The verb up is this package in the foreground.
//
// # Invariants
//
//   - Watches are in place before the scan that covers them, so no change falls
//     between the two.
//   - What a failed capture was to look at is looked at again: a batch is given
//     back to the watcher.
//   - Captures of several sources take turns: the repository has one writer.
//   - Run returns when everything it started has ended; a file being read at
//     that moment is given up, nothing published is lost.
package daemon
