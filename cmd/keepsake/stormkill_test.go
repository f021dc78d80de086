package main

import (
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

// answersWithin is within what a keepsake that was killed and begun again tells
// which snapshots there are; on a machine with nothing else to do.
const answersWithin = 2 * time.Second

// TestStormKills kills the daemon again and again during the storm, whatever it
// is doing then. Each time the next one answers, and the last one has it all.
func TestStormKills(t *testing.T) {
	needsFUSE(t)
	side(t)
	k, writers := newKept(t, newStormPlan())
	r := rand.New(rand.NewPCG(k.seed, 1<<32))
	k.blow(writers)
	var took []time.Duration
	for i := range k.plan.kills + 1 {
		began := time.Now()
		k.start()
		known := len(k.m.snapshots())
		took = append(took, time.Since(began))
		if i == k.plan.kills {
			break
		}
		// Sooner than the first snapshot, or after some.
		select {
		case <-time.After(time.Duration(r.Int64N(int64(3 * k.plan.every)))):
		case <-k.daemon.done:
		}
		if code := k.daemon.stop(syscall.SIGKILL); code != -1 {
			t.Fatalf("the daemon ended with %d before kill %d; %d snapshots:\n%s", code, i, known, k.daemon.out.String())
		}
	}
	slices.Sort(took)
	slowest := took[len(took)-1]
	t.Logf("killed %d times; snapshots answered within %v of the start, half of the times within %v", k.plan.kills, slowest, took[len(took)/2])
	if os.Getenv("KEEPSAKE_LONG") != "" && slowest > 5*answersWithin {
		t.Errorf("the slowest answer took %v, on a machine that may be busy", slowest)
	}
	k.calm()
	t.Log(k.tally())
	k.equal() // through the mount, which the killed ones left
	k.stop()
	judgeAll(k)
	k.m.ok("check")
	(&killRun{m: k.m}).staged()
}
