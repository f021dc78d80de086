// Package daemon is the acting part of keepsake: what does something over
// time. It wires the rooms below it together: watch says what changed, capture
// takes the snapshot, guard judges it, the store keeps it, health and alert tell
// how it stands. The verbs up and daemon are this package in the foreground.
//
// # Vocabulary
//
//   - keeper: what keeps all sources. One goroutine for each source runs one
//     task after the other.
//   - task: one reason to look at a source now: the start, changes that came to
//     rest, a time of the schedule, somebody's request, a scan that is due.
//   - look: a task that ended without error, whether or not it found anything
//     to publish. A source is fresh if its last look is recent: nothing changed
//     is as good as a snapshot, provided that a cookie proved that no event was
//     waiting.
//   - alarm: what a guard found, standing until a person acknowledges it.
//   - memory: what a source's keeper notes in the state, to know it after a
//     restart: last looks, alarms, the guards' window, the cursor of the re-read.
//   - journal: the directories in which something changed and which no snapshot
//     holds yet, sealed in the state.
//
// # Invariants
//
//   - Watches are in place before the scan that covers them, so no change falls
//     between the two.
//   - What a failed task was to look at is looked at again: its batch is given
//     back to the watcher, and stays in the journal.
//   - Whatever was not watched, whether for a stop, a kill, lost events, a limit,
//     a mount or a jump of the clock, is scanned, and the snapshot says why.
//   - Captures of several sources take turns: the repository has one writer.
//   - While an alarm of a source stands, nothing of that source expires, and the
//     last snapshot before it is pinned. While the clock is in doubt nothing
//     expires at all.
//   - An alarm is noted before the task that raised it counts as done, so a kill
//     between the two raises it again rather than never.
//   - Run returns when everything it started has ended; a file being read at
//     that moment is given up, nothing published is lost.
package daemon
