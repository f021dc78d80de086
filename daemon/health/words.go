package health

import (
	"fmt"
	"strings"
	"time"
)

// Clock tells a time: of today by hour and minute, else with its date.
func Clock(t, now time.Time) string {
	t = t.In(now.Location())
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// Ago tells how long ago a time was.
func Ago(t, now time.Time) string {
	d := now.Round(0).Sub(t.Round(0))
	if d < time.Minute {
		return "just now"
	}
	return Span(d) + " ago"
}

// Span tells a duration in its largest unit, as people round it.
func Span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

func countOf(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// shellWord quotes a label so that the command it stands in can be copied into a shell.
func shellWord(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+,%="
	end := ""
	if strings.HasPrefix(s, "-") {
		end = "-- " // what follows is no flag
	}
	if s != "" && strings.Trim(s, plain) == "" {
		return end + s
	}
	return end + "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
