package schedule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Time is a time of the day, on some days of the week. The zero Time is
// midnight of every day.
type Time struct {
	Days   Days
	Hour   int
	Minute int
}

// Days is a set of days of the week: bit 0 is Sunday. The empty set means
// every day, as the full one does.
type Days uint8

const everyDay Days = 1<<7 - 1

// On reports whether a day is among them.
func (d Days) On(day time.Weekday) bool { return d == 0 || d&(1<<day) != 0 }

// week is the days in the order in which people and systemd name them.
var week = [...]time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday, time.Sunday}

func short(d time.Weekday) string { return d.String()[:3] }

// String names the days as Parse reads them; empty for every day.
func (d Days) String() string {
	if d == 0 || d == everyDay {
		return ""
	}
	var words []string
	for i := 0; i < len(week); i++ {
		if !d.On(week[i]) {
			continue
		}
		last := i
		for last+1 < len(week) && d.On(week[last+1]) {
			last++
		}
		if last-i < 2 {
			words = append(words, short(week[i]))
			continue
		}
		words = append(words, short(week[i])+".."+short(week[last]))
		i = last
	}
	return strings.Join(words, ",")
}

// String returns the time as ParseTime reads it.
func (t Time) String() string {
	clock := fmt.Sprintf("%02d:%02d", t.Hour, t.Minute)
	if days := t.Days.String(); days != "" {
		return days + " " + clock
	}
	return clock
}

// Calendar returns the time as an expression of systemd.time(7).
func (t Time) Calendar() string {
	clock := fmt.Sprintf("*-*-* %02d:%02d:00", t.Hour, t.Minute)
	if days := t.Days.String(); days != "" {
		return days + " " + clock
	}
	return clock
}

// valid reports whether a clock can show t.
func (t Time) valid() bool {
	return t.Hour >= 0 && t.Hour < 24 && t.Minute >= 0 && t.Minute < 60 && t.Days <= everyDay
}

// ParseTime reads "02:30", "Sat 22:00", "Mon..Fri 12:00" or "Mon,Thu 06:15".
// Days may be written out, in any case of letters; a range may go over the end
// of the week.
func ParseTime(s string) (Time, error) {
	words := strings.Fields(s)
	if len(words) == 0 || len(words) > 2 {
		return Time{}, fmt.Errorf(`%w: %q: write "02:30", "Sat 22:00" or "Mon..Fri 12:00"`, ErrSchedule, s)
	}
	var t Time
	var err error
	clock := words[len(words)-1]
	if t.Hour, t.Minute, err = parseClock(clock); err != nil {
		return Time{}, fmt.Errorf("%w: %q: %w", ErrSchedule, s, err)
	}
	if len(words) == 2 {
		if t.Days, err = parseDays(words[0]); err != nil {
			return Time{}, fmt.Errorf("%w: %q: %w", ErrSchedule, s, err)
		}
	}
	return t, nil
}

func parseClock(s string) (hour, minute int, err error) {
	h, m, ok := strings.Cut(s, ":")
	switch {
	case !ok:
		return 0, 0, fmt.Errorf("%q is not a time of the day; write it as 02:30", s)
	case strings.Contains(m, ":"):
		return 0, 0, fmt.Errorf("%q has seconds; runs begin at full minutes, write it as 02:30", s)
	}
	hour, okHour := number(h)
	minute, okMinute := number(m)
	switch {
	case !okHour || !okMinute || len(m) != 2:
		return 0, 0, fmt.Errorf("%q is not a time of the day; write it as 02:30 (22:00 for ten at night)", s)
	case hour == 24 && minute == 0:
		return 0, 0, fmt.Errorf("%q is 00:00 of the next day; write that", s)
	case hour > 23 || minute > 59:
		return 0, 0, fmt.Errorf("%q is on no clock: hours go from 00 to 23, minutes from 00 to 59", s)
	}
	return hour, minute, nil
}

// number reads one or two digits, and nothing else.
func number(s string) (int, bool) {
	if len(s) < 1 || len(s) > 2 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

func parseDays(s string) (Days, error) {
	var all Days
	for part := range strings.SplitSeq(s, ",") {
		from, to, ranged := strings.Cut(part, "..")
		first, err := parseDay(from)
		if err != nil {
			return 0, err
		}
		last := first
		if ranged {
			if last, err = parseDay(to); err != nil {
				return 0, err
			}
			if first == last {
				return 0, fmt.Errorf("%q is one day; write %s", part, short(week[first]))
			}
		}
		for i := first; ; i = (i + 1) % len(week) {
			bit := Days(1) << week[i]
			if all&bit != 0 {
				return 0, fmt.Errorf("%s is named twice; name each day once", week[i])
			}
			all |= bit
			if i == last {
				break
			}
		}
	}
	return all, nil
}

// parseDay returns the place of a day in the week.
func parseDay(s string) (int, error) {
	i := slices.IndexFunc(week[:], func(d time.Weekday) bool {
		return strings.EqualFold(s, d.String()) || strings.EqualFold(s, short(d))
	})
	if i < 0 {
		return 0, fmt.Errorf("%q is no day of the week; the days are Mon, Tue, Wed, Thu, Fri, Sat, Sun", s)
	}
	return i, nil
}
