// Package alert tells somebody when the state of a source changes: it runs the operator's command with one JSON object
// on its standard input.
//
// # Vocabulary
//
//	condition  what is wrong with a source: degraded, stale, guard, failed. Several may stand at a time
//	state      the worst condition that stands, or ok. From bad to worse: ok, degraded, stale, guard, failed
//	report     all conditions that stand for a source, as the keeper found them
//	told       the conditions that whoever is told knows of
//	due        that an event has to be told: reported and told differ in what matters
//
// The order of states: failed first, since nothing at all is backed up; then guard, since something may be destroying
// files and a person must look; then stale, since time is being lost; then degraded, since most is safe.
//
// # When an event is due
//
//   - A condition stands that was not told: its kind is the worst of those.
//   - Or none does, and the worst that stands is another one than the worst that was told: its kind is the one that is
//     left, or "recovered" if none is.
//
// So the rise of anything is told even if something worse stands already, and its end is told when it changes how the
// source stands. What ended under something worse is not told by itself; each event lists all that stands.
//
// # Levels, not edges
//
// Nothing is queued but the difference between what was reported and what was told, one per source. Therefore:
//
//   - The queue is bounded by the number of sources, and an event is made when it is delivered, of what is true then.
//   - Events of a source come in order, and none contradicts what is true.
//   - What began and ended before it could be told is not told: nothing is wrong any more. It is in the log.
//   - A restart neither repeats nor forgets: what was told is remembered through the memory given to New. A kill
//     between a delivery and its note repeats that one event, with the same kind, source and time.
//   - A source that flaps does not flood. Each kind of event about a source may come at once, then again after 5
//     minutes, and at intervals that double up to 6 hours for as long as the last one is less than a day ago: the
//     first day of flapping tells each kind some ten times, each later day four times. Meanwhile the difference
//     waits, and if it has gone when its time comes, nothing is told.
//
// # Delivery
//
// One command at a time, with a time-out of 30 seconds; exit status 0 is delivery. Otherwise that source's event is
// tried again after 30 seconds, doubling up to an hour, for as long as it is due; other sources' events do not wait
// for it. How delivery stands is in Stats. Test delivers an event of kind "test" the same way, at once.
//
// Memory is bounded: 1,000 sources, four conditions of each with a summary of 500 bytes and 20 lines of detail.
package alert
