package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"keepsake/daemon/schedule"
)

const (
	schedules  = 1000
	iterations = 5
)

// moments are where a year's clocks change, in each zone.
var moments = map[string][]string{
	"Europe/Berlin":       {"2026-10-25T01:00:00Z", "2027-03-28T01:00:00Z"},
	"America/New_York":    {"2026-11-01T06:00:00Z", "2027-03-14T07:00:00Z"},
	"Australia/Lord_Howe": {"2026-10-03T15:30:00Z", "2027-04-03T15:00:00Z"},
}

// batch is schedules that are asked about at one moment in one zone.
type batch struct {
	zone      string
	base      time.Time
	schedules []schedule.Schedule
}

func batches(t testing.TB, r *rand.Rand) (all []batch) {
	const each = 20 // moments in each zone
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe"} {
		for range each {
			change, err := time.Parse(time.RFC3339, moments[name][r.IntN(2)])
			if err != nil {
				t.Fatal(err)
			}
			// Some within the hours that are missing or repeated, some days before.
			spread := []time.Duration{2 * time.Hour, 12 * time.Hour, 10 * 24 * time.Hour}[r.IntN(3)]
			base := change.Add(time.Duration(r.Int64N(int64(2*spread))) - spread).Truncate(time.Second)
			all = append(all, batch{zone: name, base: base.In(zone(t, name))})
		}
	}
	for n := range schedules {
		b := &all[n%len(all)]
		b.schedules = append(b.schedules, generate(r))
	}
	return all
}

// generate makes a schedule up, most of whose times lie where clocks change.
func generate(r *rand.Rand) (s schedule.Schedule) {
	for {
		s = schedule.Schedule{}
		if r.IntN(3) == 0 {
			s.Every = time.Duration(1+r.IntN(3000)) * []time.Duration{time.Second, time.Minute, 90 * time.Minute}[r.IntN(3)]
		}
		for range 1 + r.IntN(3) {
			t := schedule.Time{Hour: r.IntN(24), Minute: r.IntN(60)}
			if r.IntN(2) == 0 {
				t.Hour = 1 + r.IntN(2)
			}
			if r.IntN(2) == 0 {
				t.Days = schedule.Days(r.IntN(1 << 7))
			}
			s.At = append(s.At, t)
		}
		if s.Validate() == nil {
			return s
		}
	}
}

// next5 is what this package says.
func next5(next func(time.Time) (time.Time, bool), base time.Time) (all []time.Time) {
	for at := base; len(all) < iterations; {
		n, ok := next(at)
		if !ok {
			break
		}
		all, at = append(all, n), n
	}
	return all
}

// systemd returns the next times of each expression.
func systemd(t testing.TB, zone string, base time.Time, expressions []string) [][]time.Time {
	t.Helper()
	args := append([]string{"calendar", "--iterations=" + strconv.Itoa(iterations), "--base-time=" + base.UTC().Format("2006-01-02 15:04:05 UTC")}, expressions...)
	c := exec.CommandContext(t.Context(), "systemd-analyze", args...)
	c.Env = append(os.Environ(), "TZ="+zone, "LC_ALL=C", "SYSTEMD_COLORS=0")
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", c, err, out)
	}
	var all [][]time.Time
	for line := range strings.Lines(string(out)) {
		what, rest, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch what {
		case "Normalized form":
			all = append(all, nil)
		case "(in UTC)":
			at, err := time.Parse("Mon 2006-01-02 15:04:05 MST", strings.TrimSpace(rest))
			if err != nil {
				t.Fatal(err)
			}
			all[len(all)-1] = append(all[len(all)-1], at)
		}
	}
	if len(all) != len(expressions) {
		t.Fatalf("%d answers to %d expressions:\n%s", len(all), len(expressions), out)
	}
	return all
}

// timespan has systemd read distances between runs, and returns them.
func timespan(t testing.TB, spans []time.Duration) (all []time.Duration) {
	t.Helper()
	args := []string{"timespan"}
	for _, d := range spans {
		args = append(args, d.String())
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if _, number, ok := strings.Cut(line, "s: "); ok && !strings.Contains(line, "Original") && !strings.Contains(line, "Human") {
			n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, time.Duration(n)*time.Microsecond)
		}
	}
	return all
}

// answers is what systemd says of each schedule of a batch: the first times of
// all its expressions together.
func (b *batch) answers(t testing.TB) (all [][]time.Time) {
	var expressions []string
	for _, s := range b.schedules {
		for _, at := range s.At {
			expressions = append(expressions, at.Calendar())
		}
	}
	given := systemd(t, b.zone, b.base, expressions)
	for _, s := range b.schedules {
		mine := slices.Concat(given[:len(s.At)]...)
		given = given[len(s.At):]
		slices.SortFunc(mine, time.Time.Compare)
		mine = slices.CompactFunc(mine, time.Time.Equal)
		all = append(all, mine[:min(iterations, len(mine))])
	}
	return all
}

func TestAsSystemd(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("not run: systemd-analyze is not installed")
	}
	seed := rand.Uint64()
	var compared, times int
	caught := map[string]int{}
	var spans []time.Duration
	for _, b := range batches(t, rand.New(rand.NewPCG(seed, 0))) {
		for i, want := range b.answers(t) {
			s := b.schedules[i]
			if got := next5(s.Next, b.base); !slices.EqualFunc(got, want, time.Time.Equal) {
				t.Errorf("seed %d: %v after %v in %s:\ngot  %v\nwant %v", seed, s.At, b.base, b.zone, got, want)
			}
			compared++
			times += len(want)
			for name, wrong := range wrongs {
				if !slices.EqualFunc(next5(func(at time.Time) (time.Time, bool) { return wrong(s, at) }, b.base), want, time.Time.Equal) {
					caught[name]++
				}
			}
			if s.Every > 0 {
				spans = append(spans, s.Every)
			}
		}
	}
	if got := timespan(t, spans); !slices.Equal(got, spans) {
		t.Errorf("distances %v, want %v", got, spans)
	}
	for name := range wrongs {
		if caught[name] == 0 {
			t.Errorf("seed %d: nothing catches one that %s", seed, name)
		}
	}
	t.Logf("seed %d: compared %d schedules, %d times, in %d zones, and %d distances; wrong ones were caught: %v", seed, compared, times, len(moments), len(spans), caught)
	if compared != schedules {
		t.Errorf("%d schedules were compared", compared)
	}
}

// wrongs are other ways to deal with changing clocks, each of which must
// differ from systemd's somewhere.
var wrongs = map[string]func(s schedule.Schedule, after time.Time) (time.Time, bool){
	"moves times that do not exist": func(s schedule.Schedule, after time.Time) (next time.Time, ok bool) {
		for _, t := range s.At {
			for day := range 30 {
				n := time.Date(after.Year(), after.Month(), after.Day()+day, t.Hour, t.Minute, 0, 0, after.Location())
				if t.Days.On(n.Weekday()) && n.After(after) && (!ok || n.Before(next)) {
					next, ok = n, true
				}
			}
		}
		return next, ok
	},
	"runs in both of two equal hours": func(s schedule.Schedule, after time.Time) (time.Time, bool) {
		n := after.Truncate(time.Minute).Add(time.Minute)
		for range 60 * 24 * 15 {
			for _, t := range s.At {
				if n.Hour() == t.Hour && n.Minute() == t.Minute && t.Days.On(n.Weekday()) {
					return n, true
				}
			}
			n = n.Add(time.Minute)
		}
		return n, false
	},
	"thinks in UTC": func(s schedule.Schedule, after time.Time) (time.Time, bool) {
		return s.Next(after.UTC())
	},
}

func ExampleSchedule() {
	at, err := schedule.ParseTime("Mon..Fri 12:00")
	if err != nil {
		fmt.Println(err)
		return
	}
	s := schedule.Schedule{At: []schedule.Time{at}}
	next, _ := s.Next(time.Date(2026, 11, 20, 15, 0, 0, 0, time.UTC))
	fmt.Println(at.Calendar(), next.Format("Mon 2006-01-02 15:04"))
	// Output: Mon..Fri *-*-* 12:00:00 Mon 2026-11-23 12:00
}
