// Package health says how each source stands: what is known of it ([Facts]) becomes one verdict ([Source]), which the
// command line shows as a row of status and monitoring reads as metrics.
//
// Plain data goes in and plain data comes out. The judgement has no clock, no disk and no memory of its own, so that
// the daemon, a one-shot verb without a daemon, and a test all come to the same verdict from the same facts.
//
// # Vocabulary
//
//	look      one pass of a run over what it was to look at. A look is successful if the run came to its end, whatever
//	          it found: nothing changed is a success, and so is a snapshot that misses paths it names
//	gap       the longest regular distance between two runs of the source's schedule around now
//	fresh     the last successful look is at most one and a half gaps ago
//	complete  the newest snapshot misses nothing: it is what the source was at that time
//	guarded   an alarm stands: a guard or a re-read found something that a person has not acknowledged
//
// # The verdict
//
// Three facts are independent of each other and always told as they are: Fresh, Complete, Guarded. A source is well
// only if it is fresh, complete and not guarded, and if what was done for its snapshot was undone. The word in the STATE column is one of ten, the first of this table
// that holds; so the word names what a person should look at first, and hides nothing, since the three facts stand
// beside it.
//
//	word         holds when
//	guarded      an alarm stands, or files are suspected to have rotted. Expiry waits for a person
//	retired      it is not in the configuration, and nobody keeps it. Its snapshots stay
//	failing      the last run failed. It is tried again
//	paused       a person paused it, and that time has not come
//	in progress  a run is under way and no complete snapshot exists yet
//	waiting      there is no snapshot, and nothing has gone wrong: the first run has not begun
//	stale        no successful look within one and a half gaps, or the last one lies in the future
//	degraded     the newest snapshot is unfinished, or misses paths that will not come by themselves, or a command after
//	             the last run failed: what the ones before it stopped may still stand still
//	waiting      the newest snapshot misses only files that were still being written. They come when they rest
//	polled       all is well as of the last look, but no event announces changes
//	complete     all is well
//
// A gap of zero means that nothing is scheduled (backups made by hand, a daemon that is not running and has no
// configuration): such a source is fresh once a look has succeeded, since nobody has said how old is too old.
// A last look in the future means that the clock was set back; nothing is known about freshness then, and what is not
// known is not called fresh.
//
// A retired source is well unless an alarm stands: what somebody took out of the configuration, or renamed, or once
// backed up by hand, is not late, and nobody waits for what its newest snapshot misses. Where no configuration names any
// source nothing is retired: those that are backed up by hand are judged by their snapshots.
//
// Paused is no excuse: a paused source becomes stale like any other, and status says so by its exit code.
//
// # Metrics
//
// [Handler] serves Prometheus' text format from a function that is called at each scrape. Counters are the totals
// that the facts carry, since the start of the process that collects them; so there is no second place where
// something is counted, and no global state. Of a retired source there are no samples of what is expected of the others
// (fresh, complete, failing, and so on), and one of guarded only while an alarm stands. One bad source costs its own samples, never the scrape.
//
// Not here: finding the facts out, telling people of changes, deciding what is scheduled.
package health
