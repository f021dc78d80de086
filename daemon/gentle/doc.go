// Package gentle makes this process one that others on the machine hardly
// notice: low processor priority, the idle class of disk access, and a bound on
// memory.
//
// # Threads
//
// Linux keeps nice values and I/O priorities per thread, whatever POSIX says of
// processes, and a new thread inherits both from the thread that creates it
// (clone(2), ioprio_set(2)). The Go runtime makes threads when it likes, from
// any of those it has. So Apply sets every thread in /proc/self/task and looks
// again until a whole look finds nothing left to set: from then on every thread
// there is has the values, and those still to come inherit them. Programs that
// the process starts inherit them too: a dump of a database is as gentle as the
// rest. A process limit or a cgroup would not do: the one exists for nice alone,
// the other needs a manager.
//
// A kernel with autogroups weighs sessions against each other and nice values
// within a session only (sched(7)). Where this process leads its session, as a
// daemon does that was started by a shell script of a NAS, the session is made
// nice as well; a person's terminal is left alone, since their shell shares it.
//
// # Memory
//
// The Go runtime collects garbage harder as it comes near a limit. GOMEMLIMIT,
// if somebody set it, is the limit. Else it is the configured one, or nine tenths
// of what the control group leaves to the process (memory.max and memory.high,
// its own and those of the groups above), whichever is less: the rest is for
// what the runtime does not count, mapped pages of bbolt foremost. The limit is
// soft. What keeps the process small is the design; this keeps garbage from
// growing into the room that there is.
//
// The score by which the kernel chooses a victim when memory is short stays as
// it is: a backup is nothing to shoot first, since a killed one is started again
// and scans, nor to spare at the price of a studio's file server.
//
// # Refusals
//
// Nothing here fails the daemon. What could not be set is reported, with the
// reason; a backup that is not gentle is better than none.
package gentle
