package retention_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tables are about zones that a small machine may not know

	"keepsake/store/retention"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// parse reads a history: one item to a line, "2026-11-21 15:00 complete", numbered from 1. Words behind the time: missed
// (something), progress, pinned, tag=NAME; "+01:00" or "-10:00" gives a zone of its own.
func parse(t testing.TB, zone *time.Location, history string) []retention.Item {
	t.Helper()
	var items []retention.Item
	for line := range strings.Lines(history) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		item := retention.Item{Number: uint64(len(items) + 1), Complete: true}
		in := zone
		for _, w := range words[2:] {
			tag, isTag := strings.CutPrefix(w, "tag=")
			switch {
			case isTag:
				item.Tags = append(item.Tags, tag)
			case w == "missed":
				item.Complete = false
			case w == "progress":
				item.Complete, item.InProgress = false, true
			case w == "pinned":
				item.Pinned = true
			default:
				z, err := time.Parse("-07:00", w)
				if err != nil {
					t.Fatal(err)
				}
				in = z.Location()
			}
		}
		var err error
		if item.Time, err = time.ParseInLocation("2006-01-02 15:04", words[0]+" "+words[1], in); err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
	}
	return items
}

func show(made []retention.Decision) string {
	var b strings.Builder
	for i, d := range made {
		if d.Keep {
			fmt.Fprintf(&b, "%d %s\n", i+1, strings.Join(d.Reasons, "; "))
		}
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for _, c := range []struct {
		name, zone, history, want string
		policy                    retention.Policy
	}{
		{
			name:    "no rule keeps everything",
			history: "2026-11-20 10:00\n2026-11-21 10:00",
			want:    "1 no rule was given\n2 newest; newest complete; no rule was given\n",
		},
		{
			name:    "last counts finished ones",
			policy:  retention.Policy{Last: 2},
			history: "2026-11-20 10:00\n2026-11-20 11:00\n2026-11-20 12:00 progress\n2026-11-20 13:00\n2026-11-20 14:00 progress\n2026-11-20 14:10 progress",
			want:    "2 last\n4 newest complete; last\n5 in progress\n6 newest; in progress\n",
		},
		{
			name:    "empty days do not count",
			policy:  retention.Policy{Daily: 3},
			history: "2026-10-30 10:00\n2026-11-01 10:00\n2026-11-01 18:00\n2026-11-10 09:00\n2026-11-21 08:00\n2026-11-21 20:00",
			want:    "3 daily 2026-11-01\n4 daily 2026-11-10\n6 newest; newest complete; daily 2026-11-21\n",
		},
		{
			name:    "ISO weeks at the end of a year",
			policy:  retention.Policy{Weekly: 3, Yearly: 2},
			history: "2026-12-20 23:00\n2026-12-27 23:00\n2026-12-31 23:00\n2027-01-03 23:00\n2027-01-04 00:00",
			want:    "2 weekly 2026-W52\n3 yearly 2026\n4 weekly 2026-W53\n5 newest; newest complete; weekly 2027-W01; yearly 2027\n",
		},
		{
			name:    "leap day",
			policy:  retention.Policy{Daily: 2, Monthly: 2},
			history: "2028-02-27 12:00\n2028-02-28 12:00\n2028-02-29 12:00\n2028-03-01 12:00",
			want:    "3 daily 2028-02-29; monthly 2028-02\n4 newest; newest complete; daily 2028-03-01; monthly 2028-03\n",
		},
		{
			name: "a repeated hour is two hours", zone: "Europe/Berlin",
			policy:  retention.Policy{Hourly: 3},
			history: "2026-10-25 01:50\n2026-10-25 02:10 +02:00\n2026-10-25 02:50 +02:00\n2026-10-25 02:20 +01:00\n2026-10-25 03:00",
			want:    "3 hourly 2026-10-25 02:00 +0200\n4 hourly 2026-10-25 02:00 +0100\n5 newest; newest complete; hourly 2026-10-25 03:00 +0100\n",
		},
		{
			name:    "the day is that of the captured machine",
			policy:  retention.Policy{Daily: 1},
			history: "2026-11-21 01:00 +13:00\n2026-11-21 23:00 +13:00\n2026-11-21 13:30 +00:00",
			want:    "3 newest; newest complete; daily 2026-11-21\n",
		},
		{
			name:    "within counts from the newest",
			policy:  retention.Policy{Within: 48 * time.Hour},
			history: "2026-11-19 09:59\n2026-11-19 10:00\n2026-11-20 10:00\n2026-11-21 10:00",
			want:    "2 within 48h\n3 within 48h\n4 newest; newest complete; within 48h\n",
		},
		{
			name:    "within over a change of clocks is a length of time",
			zone:    "Europe/Berlin",
			policy:  retention.Policy{Within: 24 * time.Hour},
			history: "2026-10-24 12:30\n2026-10-24 13:30\n2026-10-25 12:00",
			want:    "2 within 24h\n3 newest; newest complete; within 24h\n",
		},
		{
			name:    "tags and pins",
			policy:  retention.Policy{Last: 1, Tags: []string{"delivered", "x"}},
			history: "2026-11-18 10:00 tag=delivered tag=x\n2026-11-19 10:00 pinned\n2026-11-20 10:00 tag=y\n2026-11-21 10:00",
			want:    "1 tag delivered; tag x\n2 pinned\n4 newest; newest complete; last\n",
		},
		{
			name:    "what missed something displaces nothing complete",
			policy:  retention.Policy{Daily: 2},
			history: "2026-11-19 10:00\n2026-11-20 10:00\n2026-11-20 22:00 missed\n2026-11-21 10:00 missed\n2026-11-21 11:00 missed",
			want:    "2 newest complete; daily 2026-11-20, complete\n3 daily 2026-11-20\n5 newest; daily 2026-11-21\n",
		},
		{
			name:    "the newest complete one stays however old",
			policy:  retention.Policy{Last: 1},
			history: "2026-01-01 10:00\n2026-11-20 10:00 missed\n2026-11-20 12:00 missed\n2026-11-27 12:00 missed\n2026-11-27 13:00 missed",
			want:    "1 newest complete\n5 newest; last\n",
		},
		{
			name:    "a day of which only the beginning of a first backup is left",
			policy:  retention.Policy{Daily: 2},
			history: "2026-11-19 10:00 progress\n2026-11-19 20:00 progress\n2026-11-20 03:00\n2026-11-20 04:00",
			want:    "2 daily 2026-11-19\n4 newest; newest complete; daily 2026-11-20\n",
		},
		{
			name:    "clock ahead for a while, then corrected",
			policy:  retention.Policy{Within: 48 * time.Hour, Daily: 2},
			history: "2026-11-17 10:00\n2026-11-18 10:00\n2026-11-19 10:00\n2027-11-19 11:00\n2027-11-19 12:00\n2026-11-19 13:00\n2026-11-20 10:00\n2026-11-20 11:00",
			want: "3 within 48h\n4 its time is in doubt\n5 its time is in doubt\n6 within 48h; daily 2026-11-19\n" +
				"7 within 48h\n8 newest; newest complete; within 48h; daily 2026-11-20\n",
		},
		{
			name:    "clock set back a year",
			policy:  retention.Policy{Last: 1, Daily: 2},
			history: "2026-11-18 10:00\n2026-11-19 10:00\n2026-11-20 10:00\n2025-11-20 11:00\n2025-11-20 12:00",
			want:    "2 daily 2026-11-19\n3 newest; newest complete; last; daily 2026-11-20\n4 its time is in doubt\n5 its time is in doubt\n",
		},
		{
			name:    "clock at 1970 until the network came up",
			policy:  retention.Policy{Daily: 1},
			history: "2026-11-18 10:00\n2026-11-19 10:00\n1970-01-01 00:00\n2026-11-20 10:00",
			want:    "3 its time is in doubt\n4 newest; newest complete; daily 2026-11-20\n",
		},
		{
			name:    "two in the wrong order: nobody knows which is right",
			policy:  retention.Policy{Last: 1},
			history: "2026-11-20 10:00\n2026-11-19 10:00",
			want:    "1 its time is in doubt\n2 its time is in doubt\n",
		},
		{
			name:    "clock has jumped ahead by a year and stays there",
			policy:  retention.Policy{Within: 48 * time.Hour, Daily: 1},
			history: "2026-11-17 10:00\n2026-11-18 10:00\n2026-11-19 10:00\n2026-11-20 10:00\n2027-11-20 11:00\n2027-11-21 12:00",
			want:    "2 within 48h\n3 within 48h\n4 newest; newest complete; within 48h; daily 2026-11-20\n5 its time is in doubt\n6 its time is in doubt\n",
		},
		{
			name:    "a week later it is believed",
			policy:  retention.Policy{Within: 48 * time.Hour, Daily: 1},
			history: "2026-11-17 10:00\n2026-11-18 10:00\n2026-11-19 10:00\n2026-11-20 10:00\n2027-11-20 11:00\n2027-11-21 12:00\n2027-11-27 12:00",
			want:    "7 newest; newest complete; within 48h; daily 2027-11-27\n",
		},
		{
			name:    "backups once a month",
			policy:  retention.Policy{Monthly: 2},
			history: "2026-07-01 10:00\n2026-08-01 10:00\n2026-09-01 10:00\n2026-10-01 10:00",
			want:    "2 monthly 2026-08\n3 newest; newest complete; monthly 2026-09\n4 its time is in doubt\n",
		},
		{
			name:    "one",
			policy:  retention.Policy{Yearly: 1},
			history: "2026-11-20 10:00 missed",
			want:    "1 newest; yearly 2026\n",
		},
		{name: "none", policy: retention.Default()},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := time.UTC
			if c.zone != "" {
				in = zone(t, c.zone)
			}
			items := parse(t, in, c.history)
			if got := show(c.policy.Apply(items)); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
			slices.Reverse(items)
			made := c.policy.Apply(items)
			slices.Reverse(made)
			if got := show(made); got != c.want {
				t.Errorf("in another order\n%s", got)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	p := retention.Policy{Last: -1, Yearly: -2, Within: -time.Hour, Tags: []string{"a", ""}}
	err := p.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, word := range []string{"last is -1", "yearly is -2", "within is -1h", "empty tag"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
	if err := retention.Default().Validate(); err != nil {
		t.Error(err)
	}
	if retention.Default().Zero() || !(retention.Policy{Tags: []string{}}).Zero() {
		t.Error("zero is not zero")
	}
}
