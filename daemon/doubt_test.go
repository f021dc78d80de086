package daemon_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keepsake/store/retention"
)

// TestClockJumpExpiresNothing sets the clock while a policy that keeps one
// snapshot waits to be applied: nothing goes before a person says that the
// clock is right.
func TestClockJumpExpiresNothing(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, tt := range []struct {
		jump   time.Duration
		doubts bool
	}{{year, true}, {-year, true}, {10 * year, true}, {-10 * year, true}, {time.Minute, false}} {
		t.Run(fmt.Sprintf("%+.0f days", tt.jump.Hours()/24), func(t *testing.T) {
			t.Parallel()
			dir := library(t, "a")
			c := configured(dir, hourly)
			c.Sources[0].Keep = retention.Policy{} // everything, for now
			k := keptBy(t, newTurned(), c)
			holds := func(files uint64) {
				t.Helper()
				wait(t, fmt.Sprintf("a snapshot of %d files", files), func() bool { asked(t, k.Keeper); return newest(t, k.r).Root.Below.Files == files })
			}
			holds(1)
			for i := range 4 {
				put(t, filepath.Join(dir, fmt.Sprint(i)), "x")
				holds(uint64(i) + 2)
			}
			before := len(snapshots(t, k.r))

			k.clock.jump(tt.jump)
			c = k.Config()
			c.Sources[0].Keep = retention.Policy{Last: 1}
			if _, err := k.Reload(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(dir, "since"), "x")
			// No tick has seen the jump; the task itself has to.
			holds(6)
			if !tt.doubts {
				if n := len(snapshots(t, k.r)); k.ClockDoubt() != "" || n != 1 {
					t.Errorf("a steered clock: %d snapshots, doubt %q", n, k.ClockDoubt())
				}
				return
			}
			if n := len(snapshots(t, k.r)); n <= before {
				t.Fatalf("%d snapshots, there were %d: something expired", n, before)
			}
			if !strings.Contains(k.ClockDoubt(), "the clock is in doubt: it was set by") {
				t.Errorf("doubt %q", k.ClockDoubt())
			}
			k.clock.pass(time.Minute) // for the tick that tells
			k.bell.hears(t, "", "guard")

			ended, err := k.Acknowledge(t.Context(), nil, "ann@studio", "it is right now")
			if err != nil || len(ended[""]) != 1 || k.ClockDoubt() != "" {
				t.Fatalf("acknowledged %v, %v; doubt %q", ended, err, k.ClockDoubt())
			}
			k.bell.hears(t, "", "guard", "recovered")
			put(t, filepath.Join(dir, "after"), "x")
			wait(t, "expiring again", func() bool { asked(t, k.Keeper); return len(snapshots(t, k.r)) <= before })
		})
	}
}
