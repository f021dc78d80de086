// Package retention decides which snapshots of one chain are still wanted. It is pure: times in, decisions out.
//
// # Vocabulary
//
// An item is a snapshot as far as the decision needs it. Its time carries the time zone of the captured machine, and days, weeks and years
// are those of that zone; weeks are ISO weeks, which begin on Monday and belong to the year of their Thursday; an hour that a change of
// clocks repeats is two hours. A period is one such hour, day, week, month or year in which there is an item. Periods without an item do not
// count: seven daily ones are the newest seven days that have a snapshot, however long ago.
//
// An item is finished unless it is in progress. A period is represented by its newest finished item, or, as long as there is none, by the
// newest in progress. A representative that missed something does not displace one that missed nothing: the newest complete item of the
// period is kept beside it.
//
// # What is always kept
//
// What is pinned; the newest item; the newest complete one; items in progress that no finished one has followed yet; and items whose time
// is in doubt. A policy that says nothing keeps everything.
//
// # Times in doubt
//
// Numbers are the truth of order: a chain counts its snapshots, and nobody's clock can change that. Times may lie. An item is in doubt
//
//   - if it is out of order. The largest sets of items whose times ascend with their numbers are the histories that need the fewest lies; what
//     is not in each of these sets is in doubt. So a clock that was ahead for a while and was then corrected puts those items in doubt that
//     it stamped meanwhile; a clock that was set back, or began at 1970, those that follow, until they are the majority. Where two
//     histories are equally good, as with two items in the wrong order, the items that they disagree about are all in doubt.
//   - if it follows a leap: a gap of more than two weeks between one item and the next in order. A machine that was switched off for a
//     year and a clock that has jumped ahead by one look the same, until the chain has gone on for a week (in which no further gap
//     counts for more than those two weeks). What stands behind the leap is in doubt until then.
//
// Items in doubt are kept, do not occupy periods, are not counted as one of the last, and are not what "within" counts from: that is the
// newest item whose time is not in doubt, never the clock of whoever decides. It follows that an item out of order never makes
// another one expire. With it the best histories of all others stay the best, so fewer items are beyond doubt than before, never more; and
// each rule, given fewer of them, keeps every one of these that it kept: its period is still among the newest, the end of "within" is no later,
// and nothing new stands before it. It follows as well that a clock which has jumped ahead by more than two weeks has a week to be corrected in.
//
// What cannot be seen here is a clock that jumps ahead by less than two weeks and stays there: it is a pause, and costs what a pause
// costs. A clock that is believed after a week and corrected later costs what its items occupied in that time. Whoever notices a jump as it happens should pause expiry.
//
// # Refusals
//
// Negative numbers and durations, and empty tags.
package retention
