// Package schedule says when a source is backed up. It is pure: times in, times out; nobody sleeps here.
//
// # Vocabulary
//
// every is the distance between runs, as long as something changes. at is a time of the day, on some days of the week or on all. A delay is
// how much later than its time a run may begin, drawn at random by whoever runs it, so that ten machines do not reach one repository in the same second. A
// schedule without any of these runs as soon as changes have come to rest.
//
// # Wall times
//
// Times of the day are those on the wall of the machine, in the zone of the time.Time that a function is given. When clocks change, the
// answers are those of systemd's OnCalendar (tried with version 252), since people compare timers with schedules, and Time.Calendar renders one as the other:
//
//   - A time that does not exist on a day is left out on that day. 02:30 in Berlin does not come on the last Sunday of March; whoever asks
//     for the gap between runs hears of 48 hours.
//   - A time that a day has twice comes once, at the first of the two. If the moment asked about already lies in the repeated hour, before that
//     time on the wall, it comes at the second.
//
// # Refusals
//
// Times that no clock shows, days that no week has, days named twice, a time that another one includes, a delay that is as long as the distance
// between runs, and a distance under a second or over a year: each with an error that names the words and says what to write.
package schedule
