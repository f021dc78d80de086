package schedule_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tables are about zones that a small machine may not know

	"keepsake/daemon/schedule"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func at(t testing.TB, times ...string) (all []schedule.Time) {
	t.Helper()
	for _, s := range times {
		parsed, err := schedule.ParseTime(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, parsed)
	}
	return all
}

func TestParse(t *testing.T) {
	for in, want := range map[string][2]string{
		"02:30":                     {"02:30", "*-*-* 02:30:00"},
		"2:05":                      {"02:05", "*-*-* 02:05:00"},
		" sat   22:00 ":             {"Sat 22:00", "Sat *-*-* 22:00:00"},
		"Mon..Fri 12:00":            {"Mon..Fri 12:00", "Mon..Fri *-*-* 12:00:00"},
		"Mon,Thu 06:15":             {"Mon,Thu 06:15", "Mon,Thu *-*-* 06:15:00"},
		"thursday,MONDAY 06:15":     {"Mon,Thu 06:15", "Mon,Thu *-*-* 06:15:00"},
		"Sat..Mon 01:00":            {"Mon,Sat,Sun 01:00", "Mon,Sat,Sun *-*-* 01:00:00"},
		"Mon..Sun 00:00":            {"00:00", "*-*-* 00:00:00"},
		"Mon,Tue,Wed,Fri,Sun 23:59": {"Mon..Wed,Fri,Sun 23:59", "Mon..Wed,Fri,Sun *-*-* 23:59:00"},
	} {
		got, err := schedule.ParseTime(in)
		if err != nil || got.String() != want[0] || got.Calendar() != want[1] {
			t.Errorf("%q: %v, %q, %v", in, got, got.Calendar(), err)
			continue
		}
		if again, err := schedule.ParseTime(got.String()); err != nil || again.Calendar() != got.Calendar() {
			t.Errorf("%q does not survive: %v, %v", in, again, err)
		}
	}
	for in, want := range map[string]string{
		"":                   `write "02:30"`,
		"daily":              "not a time of the day",
		"02:30 daily":        "not a time of the day",
		"noon 12:00":         "no day of the week",
		"Mon Tue 12:00":      "write",
		"24:00":              "00:00 of the next day",
		"25:00":              "on no clock",
		"12:60":              "on no clock",
		"12:5":               "write it as 02:30",
		"10pm":               "write it as 02:30",
		"10:00pm":            "22:00",
		"-1:30":              "write it as 02:30",
		"02:30:15":           "full minutes",
		"Mon..Mon 12:00":     "is one day",
		"Mon,mon 12:00":      "Monday is named twice",
		"Mon..Fri,Wed 12:00": "Wednesday is named twice",
		"Mon.. 12:00":        `"" is no day`,
		"Mo 12:00":           "the days are Mon",
		"１２:00":              "write it as",
	} {
		got, err := schedule.ParseTime(in)
		if !errors.Is(err, schedule.ErrSchedule) || !strings.Contains(err.Error(), want) || got != (schedule.Time{}) {
			t.Errorf("%q: %v, %v, want %q", in, got, err, want)
		}
	}
}

func TestValidate(t *testing.T) {
	const day = 24 * time.Hour
	for _, s := range []schedule.Schedule{
		{}, {Every: 15 * time.Minute}, {Every: time.Second}, {At: at(t, "02:30", "Sat 22:00"), Delay: time.Hour},
		{Every: time.Hour, At: at(t, "02:30"), Delay: time.Minute}, {At: at(t, "Mon 02:30", "Tue 02:30")}, {At: at(t, "02:30"), Delay: day - 1},
	} {
		if err := s.Validate(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for _, c := range []struct {
		s    schedule.Schedule
		want string
	}{
		{schedule.Schedule{Every: -time.Second}, "negative"},
		{schedule.Schedule{Every: time.Millisecond}, "least distance"},
		{schedule.Schedule{Every: 400 * day}, "once a year"},
		{schedule.Schedule{Delay: -1, Every: time.Hour}, "before its time"},
		{schedule.Schedule{Delay: time.Minute}, "nothing to delay"},
		{schedule.Schedule{Delay: time.Hour, Every: time.Hour}, "shorter than the distance"},
		{schedule.Schedule{Delay: day, At: at(t, "02:30")}, "24h0m0s apart"},
		{schedule.Schedule{Delay: time.Hour, At: at(t, "23:30", "00:15")}, "45m0s apart"},
		{schedule.Schedule{At: at(t, "02:30", "02:30")}, "there twice"},
		{schedule.Schedule{At: at(t, "02:30", "Mon 02:30")}, "02:30 includes Mon 02:30"},
		{schedule.Schedule{At: at(t, "Mon 02:30", "02:30")}, "02:30 includes Mon 02:30"},
		{schedule.Schedule{At: at(t, "Mon,Tue 02:30", "Tue,Wed 02:30")}, "both come on Tue"},
		{schedule.Schedule{At: []schedule.Time{{Hour: 24}}}, "never come"},
		{schedule.Schedule{At: make([]schedule.Time, 49)}, "use every"},
	} {
		if err := c.s.Validate(); !errors.Is(err, schedule.ErrSchedule) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.s, err, c.want)
		}
	}
}

// TestNever asks for the next time of schedules that have none.
func TestNever(t *testing.T) {
	for _, s := range []schedule.Schedule{
		{}, {Every: time.Hour}, {At: []schedule.Time{{Hour: 25}, {Minute: -1}, {Hour: -1}, {Minute: 60}, {Days: 1 << 7}}},
	} {
		if next, ok := s.Next(time.Now()); ok || !next.IsZero() {
			t.Errorf("%+v: %v", s, next)
		}
	}
}

func TestNext(t *testing.T) {
	for _, c := range []struct {
		zone, after string
		times       []string
		want        string
	}{
		{"UTC", "2026-11-21T02:30:00Z", []string{"02:30"}, "2026-11-22T02:30:00Z"},
		{"UTC", "2026-11-21T02:29:59.999999999Z", []string{"02:30"}, "2026-11-21T02:30:00Z"},
		{"UTC", "2026-11-21T12:00:00Z", []string{"Sat 11:00", "Sun 22:00", "Mon..Fri 01:00"}, "2026-11-22T22:00:00Z"},
		{"UTC", "2026-12-31T23:59:00Z", []string{"00:00"}, "2027-01-01T00:00:00Z"},
		{"UTC", "2028-02-28T23:00:00Z", []string{"Tue 12:00"}, "2028-02-29T12:00:00Z"},
		{"Europe/Berlin", "2027-03-27T10:00:00+01:00", []string{"02:30"}, "2027-03-29T02:30:00+02:00"},
		{"Europe/Berlin", "2027-03-21T10:00:00+01:00", []string{"Sun 02:30"}, "2027-04-04T02:30:00+02:00"},
		{"Europe/Berlin", "2027-03-28T01:59:00+01:00", []string{"03:00"}, "2027-03-28T03:00:00+02:00"},
		{"Europe/Berlin", "2026-10-25T02:10:00+02:00", []string{"02:30"}, "2026-10-25T02:30:00+02:00"},
		{"Europe/Berlin", "2026-10-25T02:30:00+02:00", []string{"02:30"}, "2026-10-26T02:30:00+01:00"},
		{"Europe/Berlin", "2026-10-25T02:10:00+01:00", []string{"02:30"}, "2026-10-25T02:30:00+01:00"},
		{"Australia/Lord_Howe", "2027-04-04T01:50:00+11:00", []string{"01:45"}, "2027-04-05T01:45:00+10:30"},
		{"Pacific/Apia", "2011-12-29T12:00:00-10:00", []string{"10:00"}, "2011-12-31T10:00:00+14:00"},
	} {
		after, err := time.Parse(time.RFC3339Nano, c.after)
		if err != nil {
			t.Fatal(err)
		}
		next, ok := schedule.Schedule{At: at(t, c.times...)}.Next(after.In(zone(t, c.zone)))
		if got := next.Format(time.RFC3339Nano); !ok || got != c.want {
			t.Errorf("%v after %s in %s: %s, want %s", c.times, c.after, c.zone, got, c.want)
		}
	}
}

func TestGap(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	autumn := time.Date(2026, 11, 21, 12, 0, 0, 0, berlin)
	spring := time.Date(2027, 3, 28, 12, 0, 0, 0, berlin)
	for _, c := range []struct {
		name string
		s    schedule.Schedule
		now  time.Time
		want time.Duration
	}{
		{"nothing", schedule.Schedule{}, autumn, 0},
		{"every", schedule.Schedule{Every: 15 * time.Minute, Delay: time.Minute}, autumn, 16 * time.Minute},
		{"daily", schedule.Schedule{At: at(t, "02:30"), Delay: time.Hour}, autumn, 25 * time.Hour},
		{"on weekdays", schedule.Schedule{At: at(t, "Mon..Fri 12:00")}, autumn, 72 * time.Hour},
		{"weekly", schedule.Schedule{At: at(t, "Sun 02:30")}, autumn, 168 * time.Hour},
		{"weekly, left out once", schedule.Schedule{At: at(t, "Sun 02:30")}, spring, 335 * time.Hour},
		{"daily, left out once", schedule.Schedule{At: at(t, "02:30")}, spring, 47 * time.Hour},
		{"a day of 25 hours", schedule.Schedule{At: at(t, "02:30")}, time.Date(2026, 10, 25, 12, 0, 0, 0, berlin), 25 * time.Hour},
		{"both", schedule.Schedule{Every: time.Hour, At: at(t, "02:30")}, autumn, time.Hour},
		{"rarely and weekly", schedule.Schedule{Every: 300 * time.Hour, At: at(t, "Sun 02:30")}, autumn, 168 * time.Hour},
		{"never", schedule.Schedule{At: []schedule.Time{{Hour: 99}}}, autumn, 0},
	} {
		if got := c.s.Gap(c.now); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
