package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"keepsake/daemon"
	"keepsake/daemon/control"
	"keepsake/daemon/health"
	"keepsake/store"
	"keepsake/store/tree"
)

var statusNow = time.Date(2026, 11, 21, 15, 7, 0, 0, time.UTC)

// studio is what status shows of a studio on a mixed day.
func studio() []health.Source {
	ago := func(d time.Duration) time.Time { return statusNow.Add(-d) }
	fresh := func(label string, newest time.Duration) health.Facts {
		return health.Facts{
			Label: label, Kind: health.Path, Path: "/volume1/" + label, Gap: 15 * time.Minute, NextRun: statusNow.Add(8 * time.Minute), OnChange: true,
			Newest:         &health.Snapshot{ID: "4d1f0c7e93", Number: 41, Time: ago(newest), Basis: "events", Complete: true, Files: 48_212, Bytes: 1 << 40},
			NewestComplete: ago(newest), Looked: ago(time.Minute),
			Watch: &health.Watch{Directories: 5000, Watches: 5000, Limit: 65536},
		}
	}
	weddings := fresh("weddings", 2*time.Minute)
	weddings.Alarms = []health.Alarm{{Guard: "mass-change", Detail: "31 % changed in 4 min", Pinned: ago(65 * time.Minute)}}
	clients := fresh("clients", 14*time.Minute)
	clients.Waiting, clients.NewestComplete = 3, ago(26*time.Hour)
	clients.Newest.Complete, clients.Newest.Missed, clients.Newest.Unreadable, clients.Newest.Writing = false, 70, 2, 1
	clients.Newest.MissedPaths = []health.Missed{{Path: "Weber/a.jpg", Reason: "permission denied"}, {Path: "Weber/b\x1b[2J.jpg", Reason: "input/output error", Detail: "EIO"}}
	clients.Watch.Overflows, clients.Watch.Remounts, clients.Watch.Differences, clients.Watch.Dirty = 1, 2, 3, 4
	clients.Totals = health.Totals{Complete: 7, Degraded: 2, Unchanged: 5, Failed: 1, ReadBytes: 1 << 30, AddedBytes: 1 << 20}
	archive := fresh("archive", 41*time.Minute)
	archive.Polled, archive.OnChange, archive.Watch = "NFS sends no events", false, nil
	crm := fresh("crm", 26*time.Hour)
	crm.Kind, crm.Path, crm.OnChange, crm.Watch = health.Command, "", false, nil
	crm.Gap, crm.Looked, crm.LastError = 24*time.Hour, ago(26*time.Hour), "pg_dump: exit status 1:\nconnection refused"
	paused := fresh("paused", time.Minute)
	paused.PausedUntil = statusNow.Add(2 * time.Hour)
	return health.JudgeAll([]health.Facts{archive, clients, crm, paused, weddings, {Label: "new one", OnChange: true}}, statusNow)
}

func rendered(t *testing.T, tell func(*output)) string {
	t.Helper()
	var b bytes.Buffer
	tell(newOutput(control.Options{}, control.Stream{Stdout: &b}))
	if strings.ContainsAny(b.String(), "\x1b\r\x00") {
		t.Errorf("a terminal would obey this: %q", b.String())
	}
	return b.String()
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if want = strings.TrimPrefix(want, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestStatusTable(t *testing.T) {
	same(t, rendered(t, func(o *output) { o.tellSources(studio(), statusNow) }), `
SOURCE    STATE     NEWEST      NEXT       WAITING
archive   polled    41 min ago  15:15      0        NFS sends no events
clients   degraded  14 min ago  15:15      3 files  2 unreadable, 1 still being written, 67 missed for other reasons → keepsake status clients
crm       failing   26 h ago    15:15      0        pg_dump: exit status 1: connection refused → keepsake status crm
paused    paused    1 min ago   15:15      0        until 17:07
weddings  guarded   2 min ago   15:15      0
new one   waiting   never       on change  0        no snapshot yet
! weddings: 31 % changed in 4 min. 14:02 pinned, expiry paused → keepsake ack weddings
`)
}

func TestStatusOfOneSource(t *testing.T) {
	all := studio()
	same(t, rendered(t, func(o *output) { o.tellSource(all[1], statusNow) }), `
clients     degraded
            2 unreadable, 1 still being written, 67 missed for other reasons
Path        /volume1/clients
Newest      14 min ago (14:53), number 41, events
Holds       48,212 files, 1.0 TiB
Complete    no; the newest that is was begun 26 h ago (2026-11-20 13:07)
Fresh       yes, last looked 1 min ago; at most 15 min apart is the plan
Next        15:15, or when changes have come to rest
Waiting     3 files
Runs        7 complete, 2 degraded, 5 without changes, 1 failed; 1.0 GiB read, 1.0 MiB added since the start
Watched     5000 of 5000 directories; the kernel allows 65536, 4 to be looked at
In doubt    1 loss of events, 2 remounts, 3 changes found by scans that no event had announced since the start
Missed      70 paths
            Weber/a.jpg: permission denied
            Weber/b [2J.jpg: input/output error: EIO
            and 68 more: keepsake ls --json 4d1f0c7e lists them
`)
	same(t, rendered(t, func(o *output) { o.tellSource(all[4], statusNow) }), `
weddings    guarded
! weddings: 31 % changed in 4 min. 14:02 pinned, expiry paused → keepsake ack weddings
Path        /volume1/weddings
Newest      2 min ago (15:05), number 41, events
Holds       48,212 files, 1.0 TiB
Complete    yes
Fresh       yes, last looked 1 min ago; at most 15 min apart is the plan
Next        15:15, or when changes have come to rest
Waiting     0
Watched     5000 of 5000 directories; the kernel allows 65536
`)
	same(t, rendered(t, func(o *output) { o.tellSource(all[5], statusNow) }), `
new one     waiting
            no snapshot yet
Newest      never
Fresh       no
Next        on change
Waiting     0
`)
}

func TestStatusJSON(t *testing.T) {
	var b bytes.Buffer
	o := newOutput(control.Options{JSON: true}, control.Stream{Stdout: &b})
	for _, r := range studio() {
		o.emitSource(r)
	}
	n := 0
	for line := range strings.Lines(b.String()) {
		var got struct {
			Type   string `json:"message_type"`
			Source string `json:"source"`
			State  string `json:"state"`
			Fresh  *bool  `json:"fresh"`
			Newest *struct{ Bytes uint64 }
		}
		check(t, json.Unmarshal([]byte(line), &got))
		if n++; got.Type != "source" || got.Source == "" || got.State == "" || got.Fresh == nil || got.Newest != nil && got.Newest.Bytes != 1<<40 {
			t.Errorf("%s", line)
		}
	}
	if n != 6 {
		t.Errorf("%d lines", n)
	}
}

func TestLookedSaysWhyNothingCame(t *testing.T) {
	newest := store.Snapshot{ID: store.SnapshotID{0xab}, Snapshot: tree.Snapshot{Number: 7}}
	for want, l := range map[string]daemon.Looked{
		"lib: nothing has changed since snapshot ab000000\n":                                              {Newest: newest},
		"lib: nothing has changed since snapshot ab000000; an alarm stands: keepsake status lib\n":        {Newest: newest, Alarms: 1},
		"lib: nothing new could be stored since snapshot ab000000; 1 file still being written\n":          {Newest: newest, Missing: 1, Writing: 1},
		"lib: nothing new could be stored since snapshot ab000000; 2 paths missed: keepsake status lib\n": {Newest: newest, Missing: 2},
		"lib: nothing could be stored yet; 1 file still being written\n":                                  {Missing: 1, Writing: 1},
		"lib: snapshot ab000000, no content changed; 1 file still being written\n":                        {Newest: newest, Snapshot: newest, Missing: 1, Writing: 1},
	} {
		l.Label = "lib"
		if got := rendered(t, func(o *output) { tellLooked(o, l) }); got != want {
			t.Errorf("got  %swant %s", got, want)
		}
	}
}
