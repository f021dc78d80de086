// Package supervise is how the daemon and its service manager understand each
// other: it says when the service is ready, reloads and stops, what it does,
// and that it is alive. Without a manager (NOTIFY_SOCKET unset) everything here
// does nothing, at no cost.
//
// # Vocabulary
//
//	manager   systemd, or whatever listens at NOTIFY_SOCKET (sd_notify(3))
//	part      a piece of the program that works over time: a loop, a capture
//	pulse     what all parts say about their progress
//	watchdog  the manager's demand to hear of the service once per WATCHDOG_USEC;
//	          it kills and restarts a service that stays silent
//
// # Invariants
//
//   - The watchdog is fed by progress, not by a timer: a notification leaves
//     only if since the last one every part has made progress or has said that
//     it waits. A part that is stuck in a lock or in a read that never returns
//     starves the watchdog, however well the rest of the program runs.
//   - A part that waits for something that must come (its next run, a time-out)
//     says how long; overdue, it counts as stuck. Only who waits for what may
//     never come (a file event, a request) is idle without a bound.
//   - A long start asks for more time only while the process visibly works.
//   - A text of ours cannot smuggle in an assignment: newlines in it become
//     blanks.
//   - A manager that cannot be told is logged, never an error: backups go on.
//
// # Stopping
//
// The contract with the manager, which packaging/systemd/keepsake.service
// repeats as TimeoutStopSec: within [StopWithin] of SIGTERM the daemon has ended
// with exit code 0, and nothing that was announced is lost.
//
//  1. Stopping is sent first, so that the manager and people see why requests
//     are refused from now on.
//  2. No new capture or request begins. The capture under way is given up at
//     the next chunk; what it has stored stays in packs that a later run finds
//     by their chunks, and its dirty paths are in the journal still, since they
//     leave it only when their snapshot is published. Commands before or after a
//     run get SIGTERM, and SIGKILL after a moment.
//  3. Requests of other processes end with "stopping"; restores can be repeated.
//  4. The view is unmounted; files open in it fail, as nobody would answer.
//  5. Packs being written are dropped or finished, the databases are closed, the
//     socket is gone.
//
// Whoever kills the daemon instead loses no more: steps 2 to 5 save the next
// start time, not data. A second signal ends the process at once.
//
// # Reloading
//
// SIGHUP: Reloading, then Ready when the new configuration is in force or was
// refused; the old one then goes on, and the status says so. Both carry what
// Type=notify-reload demands, and Type=notify accepts.
package supervise
