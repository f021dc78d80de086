package daemon

import (
	"testing"
	"time"

	"keepsake/daemon/config"
	"keepsake/daemon/schedule"
)

// at is a time of one day of the tests, of the wall clock alone.
func at(clock string) time.Time {
	t, err := time.ParseInLocation("2006-01-02 15:04:05", "2026-11-21 "+clock, time.UTC)
	if err != nil {
		panic(err)
	}
	return t
}

func timetable(t *testing.T, times ...string) schedule.Schedule {
	t.Helper()
	var s schedule.Schedule
	for _, text := range times {
		parsed, err := schedule.ParseTime(text)
		if err != nil {
			t.Fatal(err)
		}
		s.At = append(s.At, parsed)
	}
	return s
}

func TestAgenda(t *testing.T) {
	every := config.Source{Label: "a", Scan: 24 * time.Hour, Schedule: schedule.Schedule{Every: 15 * time.Minute}}
	nightly := config.Source{Label: "a", Scan: 24 * time.Hour, Schedule: timetable(t, "02:30")}
	dump := config.Source{Label: "a", Outputs: []config.Output{{File: "x"}}, Schedule: timetable(t, "02:30", "14:00")}
	hourlyDump := config.Source{Label: "a", Outputs: dump.Outputs, Schedule: schedule.Schedule{Every: time.Hour}}
	eager := config.Source{Label: "a", Scan: 24 * time.Hour}
	ran := func(c config.Source, began string) agenda {
		return agenda{conf: c, started: at(began), looked: at(began), scanned: at(began)}
	}
	tests := []struct {
		name string
		a    agenda
		now  string
		want due
	}{
		{"the first task", agenda{conf: every}, "12:00:00", due{at("12:00:00"), causeStart}},
		{"a quiet quarter", ran(every, "12:00:00"), "12:05:00", due{at("12:15:00"), causeLook}},
		{"slept through several", ran(every, "08:00:00"), "12:05:00", due{at("08:15:00"), causeLook}},
		{"as changes rest", ran(eager, "12:00:00"), "12:05:00", due{at("12:15:00"), causeLook}},
		{"a time of day", ran(dump, "12:00:00"), "12:05:00", due{at("14:00:00"), causeSchedule}},
		{"a time of day that was slept through", ran(dump, "02:30:00"), "15:00:00", due{at("14:00:00"), causeSchedule}},
		{"nightly, none missed", agenda{conf: nightly, remembered: at("02:31:00")}, "12:00:00", due{at("02:30:00").AddDate(0, 0, 1), causeStart}},
		{"nightly, one missed", agenda{conf: nightly, remembered: at("02:31:00").AddDate(0, 0, -1)}, "12:00:00", due{at("12:00:00"), causeStart}},
		{"nightly, never ran", agenda{conf: nightly}, "12:00:00", due{at("12:00:00"), causeStart}},
		{"nightly, failed", agenda{conf: nightly}, "12:00:00", due{at("12:00:00"), causeStart}},
		{"nightly, remembered of next year", agenda{conf: nightly, remembered: at("02:31:00").AddDate(1, 0, 0)}, "12:00:00", due{at("12:00:00"), causeStart}},
		{"a dump, none missed", agenda{conf: dump, remembered: at("02:31:00")}, "12:00:00", due{at("14:00:00"), causeStart}},
		{"a dump, one missed", agenda{conf: dump, remembered: at("02:31:00")}, "14:00:01", due{at("14:00:01"), causeStart}},
		{"a dump each hour, a minute ago", agenda{conf: hourlyDump, remembered: at("11:59:00")}, "12:00:00", due{at("12:59:00"), causeStart}},
		{"a dump each hour, missed", agenda{conf: hourlyDump, remembered: at("10:59:00")}, "12:00:00", due{at("12:00:00"), causeStart}},
		{"a dump each hour, remembered of next year", agenda{conf: hourlyDump, remembered: at("11:59:00").AddDate(1, 0, 0)}, "12:00:00", due{at("12:00:00"), causeStart}},
		{"a dump without a schedule", agenda{conf: config.Source{Outputs: dump.Outputs}, remembered: at("11:59:00")}, "12:00:00", due{at("12:00:00"), causeStart}},
		{"a directory, a minute ago", agenda{conf: every, remembered: at("11:59:00")}, "12:00:00", due{at("12:00:00"), causeStart}},
		{"the clock set back a year", ran(nightly, "12:00:00"), "12:00:00", due{at("02:30:00").AddDate(0, 0, 1), causeSchedule}},
		{"a day since the scan", agenda{conf: every, started: at("12:10:00"), scanned: at("12:00:00").AddDate(0, 0, -1)}, "12:11:00", due{at("12:00:00"), causeScan}},
		{"a failure", agenda{conf: every, started: at("12:00:00"), failed: at("12:00:10"), retries: 1}, "12:00:11", due{at("12:00:25"), causeRetry}},
		{"many failures", agenda{conf: every, started: at("12:00:00"), failed: at("12:00:10"), retries: 99}, "12:00:11", due{at("12:15:10"), causeRetry}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.a.next(at(tt.now))
			if !got.at.Equal(tt.want.at) || got.why != tt.want.why {
				t.Errorf("got %v %s, want %v %s", got.at, got.why, tt.want.at, tt.want.why)
			}
		})
	}
}

// TestAgendaWhenTheClockIsSetBack: what this process measured counts, whatever
// the wall clock says.
func TestAgendaWhenTheClockIsSetBack(t *testing.T) {
	c := config.Source{Label: "a", Scan: 24 * time.Hour, Schedule: schedule.Schedule{Every: 15 * time.Minute}}
	then := time.Now()
	a := agenda{conf: c, started: then, scanned: then}
	now := then.Add(20 * time.Minute)
	if d := a.next(now); d.at.After(now) {
		t.Errorf("with a steady clock the next task is due at %v, %v from now", d.at, d.at.Sub(now))
	}
	// The same moment as a wall clock tells it that was set back a year.
	set := now.Round(0).AddDate(-1, 0, 0)
	if elapsed := after(set, then.Round(0), time.Hour).Sub(set); elapsed < 300*24*time.Hour {
		t.Fatalf("without a monotonic reading the wait is %v: this test proves nothing", elapsed)
	}
}

// TestDelayIsSteadyAndSpread: a time has one delay, and times have different ones.
func TestDelayIsSteadyAndSpread(t *testing.T) {
	c := config.Source{Label: "a", Schedule: timetable(t, "02:30")}
	c.Schedule.Delay = 10 * time.Minute
	a := agenda{conf: c}
	seen := map[time.Duration]bool{}
	for day := range 50 {
		when := at("02:30:00").AddDate(0, 0, day)
		d := a.delay(when)
		if d != a.delay(when.In(time.FixedZone("", 3600))) || d < 0 || d >= c.Schedule.Delay {
			t.Errorf("delay %v", d)
		}
		seen[d.Round(time.Minute)] = true
	}
	if len(seen) < 8 {
		t.Errorf("50 delays fall into %d of 10 minutes", len(seen))
	}
}
