package health_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"keepsake/daemon/health"
)

var now = time.Date(2026, 11, 21, 15, 7, 0, 0, time.FixedZone("", 3600))

func before(d time.Duration) time.Time { return now.Add(-d) }

// well is a source that needs nobody; each test changes what it is about.
func well(change ...func(*health.Facts)) health.Facts {
	f := health.Facts{
		Label: "weddings", Kind: health.Path, Path: "/volume1/weddings", Gap: 15 * time.Minute,
		Newest:         &health.Snapshot{Number: 7, Time: before(2 * time.Minute), Basis: "events", Complete: true, Files: 3, Bytes: 30},
		NewestComplete: before(2 * time.Minute), Looked: before(time.Minute),
		LastBegan: before(2 * time.Minute), LastEnded: before(time.Minute),
	}
	for _, c := range change {
		c(&f)
	}
	return f
}

func missing(n health.Snapshot) func(*health.Facts) {
	return func(f *health.Facts) {
		n.Number, n.Time = 8, before(2*time.Minute)
		if n.Basis == "" {
			n.Basis = "events"
		}
		f.Newest = &n
	}
}

func alarm(f *health.Facts) {
	f.Alarms = append(f.Alarms, health.Alarm{Guard: "mass-change", Detail: "31 % changed in 4 min.", Since: before(time.Minute), Pinned: before(65 * time.Minute)})
}
func failing(f *health.Facts) { f.LastError = "reading /volume1/weddings: input/output error" }
func paused(f *health.Facts)  { f.PausedUntil = now.Add(2 * time.Hour) }
func stale(f *health.Facts)   { f.Looked = before(23 * time.Minute) }
func running(f *health.Facts) { f.Running, f.LastBegan = true, before(4*time.Minute) }
func polled(f *health.Facts)  { f.Polled = "NFS sends no events" }
func rotten(f *health.Facts)  { f.Suspects = health.Suspects{Count: 2, Paths: []string{"a", "b"}} }
func after(f *health.Facts)   { f.AfterError = "fsfreeze: exit status 1" }
func retired(f *health.Facts) { f.Retired = true }
func none(f *health.Facts) {
	f.Newest, f.NewestComplete, f.Looked, f.LastBegan, f.LastEnded = nil, time.Time{}, time.Time{}, time.Time{}, time.Time{}
}

func TestJudge(t *testing.T) {
	unreadable := missing(health.Snapshot{Missed: 5, Unreadable: 2, Writing: 3})
	unfinished := missing(health.Snapshot{Basis: "in-progress", Files: 12, Missed: 1})
	type want struct {
		state    health.State
		good     string // of Fresh, Complete, Guarded those that are true
		reason   string
		nextStep string
	}
	tests := []struct {
		name  string
		facts health.Facts
		want  want
	}{
		{"well", well(), want{"complete", "FC", "", ""}},
		{"a run under way", well(running), want{"complete", "FC", "", ""}},
		{"nothing changed for days", well(func(f *health.Facts) { f.Newest.Time = before(72 * time.Hour) }),
			want{"complete", "FC", "nothing has changed since; last looked 1 min ago", ""}},
		{"no events", well(polled), want{"polled", "FC", "NFS sends no events", ""}},
		{"too few watches", well(func(f *health.Facts) {
			f.Polled, f.Watch = "12 directories have no watch", &health.Watch{AtLimit: true}
		}), want{"polled", "FC", "12 directories have no watch", "keepsake doctor"}},

		{"at one and a half gaps", well(func(f *health.Facts) { f.Looked = before(22*time.Minute + 30*time.Second) }), want{"complete", "FC", "", ""}},
		{"beyond one and a half gaps", well(stale), want{"stale", "C", "last looked 23 min ago, 15 min apart is the plan", "keepsake status weddings"}},
		{"nothing scheduled", well(stale, func(f *health.Facts) { f.Gap = 0 }), want{"complete", "FC", "", ""}},
		{"clock set back", well(func(f *health.Facts) { f.Looked = now.AddDate(1, 0, 0) }),
			want{"stale", "C", "the last look is dated 2027-11-21 15:07, in the future: the clock was set back", "keepsake status weddings"}},
		{"clock steered", well(func(f *health.Facts) { f.Looked = now.Add(time.Second) }), want{"complete", "FC", "", ""}},

		{"no snapshot", well(none), want{"waiting", "", "no snapshot yet", ""}},
		{"first run", well(none, running), want{"in progress", "", "the first backup is under way since 15:03", ""}},
		{"first run published", well(none, running, unfinished), want{"in progress", "", "the first backup is under way since 15:03; 12 files are safe", ""}},
		{"first run interrupted", well(none, unfinished), want{"stale", "", "no look has succeeded yet", "keepsake status weddings"}},
		{"first run interrupted, looked", well(unfinished),
			want{"degraded", "F", "the first backup was interrupted; what it had stored is safe, the rest is not", "keepsake status weddings"}},
		{"first run failed", well(none, failing), want{"failing", "", "reading /volume1/weddings: input/output error", "keepsake status weddings"}},

		{"missed", well(unreadable), want{"degraded", "F", "2 unreadable, 3 still being written", "keepsake status weddings"}},
		{"missed one", well(missing(health.Snapshot{Missed: 1, MissedPaths: []health.Missed{{Path: "a/b", Reason: "permission denied"}}})),
			want{"degraded", "F", "a/b: permission denied", "keepsake status weddings"}},
		{"missed the root", well(missing(health.Snapshot{Missed: 1, MissedPaths: []health.Missed{{Reason: "permission denied"}}})),
			want{"degraded", "F", "the source itself: permission denied", "keepsake status weddings"}},
		{"missed otherwise", well(missing(health.Snapshot{Missed: 4, Unreadable: 1})),
			want{"degraded", "F", "1 unreadable, 3 missed for other reasons", "keepsake status weddings"}},
		{"only being written", well(missing(health.Snapshot{Missed: 3, Writing: 3})),
			want{"waiting", "F", "3 files still being written when it was made", ""}},
		{"missed and polled", well(unreadable, polled), want{"degraded", "F", "2 unreadable, 3 still being written", "keepsake status weddings"}},
		{"missed and stale", well(unreadable, stale), want{"stale", "", "last looked 23 min ago, 15 min apart is the plan", "keepsake status weddings"}},

		{"a command after it failed", well(after), want{"degraded", "FC", "after the snapshot: fsfreeze: exit status 1", "keepsake status weddings"}},
		{"a command after it failed, and no events", well(after, polled), want{"degraded", "FC", "after the snapshot: fsfreeze: exit status 1", "keepsake status weddings"}},
		{"missed, and a command after it failed", well(unreadable, after), want{"degraded", "F", "2 unreadable, 3 still being written", "keepsake status weddings"}},

		{"paused", well(paused), want{"paused", "FC", "until 17:07", ""}},
		{"paused for long", well(paused, stale), want{"paused", "C", "until 17:07", ""}},
		{"pause over", well(func(f *health.Facts) { f.PausedUntil = before(time.Second) }), want{"complete", "FC", "", ""}},
		{"paused after a failure", well(paused, failing), want{"failing", "FC", "reading /volume1/weddings: input/output error", "keepsake status weddings"}},

		{"retired", well(retired), want{"retired", "FC", "not in the configuration; its snapshots stay", ""}},
		{"retired as it was", well(retired, unreadable, stale, failing, paused, after), want{"retired", "", "not in the configuration; its snapshots stay", ""}},
		{"retired with an alarm", well(retired, unreadable, alarm), want{"guarded", "FG", "31 % changed in 4 min. 14:02 pinned, expiry paused", "keepsake ack weddings"}},

		{"alarm", well(alarm), want{"guarded", "FCG", "31 % changed in 4 min. 14:02 pinned, expiry paused", "keepsake ack weddings"}},
		{"alarms", well(alarm, alarm, rotten), want{"guarded", "FCG", "31 % changed in 4 min. 14:02 pinned, expiry paused (and 2 more)", "keepsake ack weddings"}},
		{"rot", well(rotten), want{"guarded", "FCG",
			"2 files changed though size and times did not: bit rot? The earlier versions are kept, expiry paused", "keepsake ack weddings"}},
		{"rot and its alarm", well(rotten, func(f *health.Facts) {
			f.Alarms = []health.Alarm{{Guard: health.GuardRot, Detail: "2 files changed though size and times did not"}}
		}), want{"guarded", "FCG", "2 files changed though size and times did not. Expiry paused", "keepsake ack weddings"}},
		{"everything at once", well(alarm, failing, paused, stale, unreadable, polled), want{"guarded", "G",
			"31 % changed in 4 min. 14:02 pinned, expiry paused", "keepsake ack weddings"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := health.Judge(tt.facts, now)
			good := ""
			for _, f := range []struct {
				is   bool
				word string
			}{{s.Fresh, "F"}, {s.Complete, "C"}, {s.Guarded, "G"}} {
				if f.is {
					good += f.word
				}
			}
			if got := (want{s.State, good, s.Reason, s.Next}); got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
			if s.Well() != (good == "FC" && s.AfterError == "" || s.State == health.Retired) {
				t.Errorf("well: %v with %q", s.Well(), good)
			}
			if strings.ContainsAny(s.Reason, "\n") {
				t.Errorf("%q has more than one line", s.Reason)
			}
		})
	}
}

// The words of good news are given to sources that are well and to no others.
func TestWordsAgreeWithTheFacts(t *testing.T) {
	changes := []func(*health.Facts){alarm, failing, paused, stale, running, polled, rotten, none, retired,
		missing(health.Snapshot{Missed: 1, Writing: 1}), missing(health.Snapshot{Missed: 1}), missing(health.Snapshot{Basis: "in-progress"})}
	for set := range 1 << len(changes) {
		f := well()
		for i, c := range changes {
			if set&(1<<i) != 0 {
				c(&f)
			}
		}
		s := health.Judge(f, now)
		if good := s.State == health.Complete || s.State == health.Polled; good && !s.Well() {
			t.Errorf("called %s: %+v", s.State, s)
		}
		if s.State != health.Complete && s.Reason == "" {
			t.Errorf("%s without a reason: %+v", s.State, s)
		}
	}
}

func TestNextStepsCanBeCopied(t *testing.T) {
	for label, want := range map[string]string{
		"weddings": "keepsake ack weddings", "Hanna & Jo": "keepsake ack 'Hanna & Jo'", "it's": `keepsake ack 'it'\''s'`,
		"-rf": "keepsake ack -- -rf", "Müller": "keepsake ack 'Müller'",
	} {
		if got := health.Judge(well(alarm, func(f *health.Facts) { f.Label = label }), now).Next; got != want {
			t.Errorf("%q: %s", label, got)
		}
	}
}

// Scripts read these names.
func TestJSON(t *testing.T) {
	f := well(alarm, polled, missing(health.Snapshot{ID: "ab", Missed: 1, MissedPaths: []health.Missed{{Path: "x", Reason: "vanished"}}}))
	f.Watch = &health.Watch{Directories: 3, Watches: 3, Overflows: 1}
	f.NextRun = now.Add(time.Minute)
	b, err := json.Marshal(health.Judge(f, now))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"source":"weddings"`, `"kind":"path"`, `"state":"guarded"`, `"fresh":true`, `"complete":false`, `"guarded":true`, `"gap_seconds":900`,
		`"next_run":"2026-11-21T15:08:00+01:00"`, `"waiting":0`, `"polled":"NFS sends no events"`, `"missed_paths":[{"path":"x","reason":"vanished"}]`,
		`"alarms":[{"guard":"mass-change","detail":"31 % changed in 4 min.","since":"2026-11-21T15:06:00+01:00","pinned":"2026-11-21T14:02:00+01:00"}]`,
		`"overflows":1`, `"last_success":"2026-11-21T15:06:00+01:00"`, `"next_step":"keepsake ack weddings"`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in\n%s", want, b)
		}
	}
	b, err = json.Marshal(health.Judge(health.Facts{Label: "new"}, now))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "0001-01-01") || strings.Contains(string(b), "null") {
		t.Errorf("what is not known is told: %s", b)
	}
}
