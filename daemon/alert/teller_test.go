package alert_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keepsake/daemon/alert"
	"keepsake/daemon/command"
)

func TestOneEventPerChange(t *testing.T) {
	const ok, degraded, stale, guard, failed = alert.OK, alert.Degraded, alert.Stale, alert.Guard, alert.Failed
	tests := []struct {
		name    string
		reports [][]alert.State
		want    string
	}{
		{"nothing wrong", [][]alert.State{{}, {ok}, {}}, ""},
		{"once", [][]alert.State{{degraded}, {degraded}, {degraded}}, "degraded"},
		{"and back", [][]alert.State{{degraded}, {}, {}}, "degraded recovered"},
		{"worse", [][]alert.State{{degraded}, {degraded, failed}, {failed}}, "degraded failed"},
		{"better", [][]alert.State{{failed}, {degraded}, {}}, "failed degraded recovered"},
		{"what is left", [][]alert.State{{guard}, {guard, degraded}, {degraded}}, "guard degraded degraded"},
		{"rises under something worse", [][]alert.State{{guard}, {guard, degraded}, {guard}, {guard, degraded}}, "guard degraded degraded"},
		{"ends under something worse", [][]alert.State{{guard}, {stale, guard}, {guard}, {}}, "guard stale recovered"},
		{"two at once", [][]alert.State{{degraded, guard}, {}}, "guard recovered"},
		{"all of them", [][]alert.State{{degraded, stale, guard, failed}}, "failed"},
		{"one that is not known", [][]alert.State{{"weird"}}, "degraded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			for _, states := range tt.reports {
				d.report("crm", states...)
				d.pass(10 * time.Minute) // no flapping
			}
			var kinds []string
			for _, e := range d.events() {
				kinds = append(kinds, e.Kind)
			}
			if got := strings.Join(kinds, " "); got != tt.want {
				t.Errorf("told %q, want %q", got, tt.want)
			}
			if s := d.Stats(); s.Queued != 0 || s.Delivered != uint64(len(kinds)) || s.Failures != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestPrecedence(t *testing.T) {
	order := []alert.State{alert.OK, alert.Degraded, alert.Stale, alert.Guard, alert.Failed}
	for i, a := range order {
		for j, b := range order {
			if got := alert.Worst(a, b); got != order[max(i, j)] {
				t.Errorf("of %s and %s, %s is worst", a, b, got)
			}
		}
	}
	if alert.Worst() != alert.OK {
		t.Error("nothing is not ok")
	}
}

func TestEvent(t *testing.T) {
	d := newDesk(t)
	noticed := d.clock.Now()
	var lines []string
	for i := range 100 {
		lines = append(lines, fmt.Sprintf("path %d \x1b[31m", i))
	}
	d.settle(func() {
		d.Update("crm", alert.Report{Snapshot: "abcdef0123", Standing: []alert.Condition{
			{State: alert.Degraded, Summary: "crm: pg_dump failed\nbadly", Detail: lines}, {State: alert.Stale},
		}})
	})
	d.settle(func() { d.Update("crm", alert.Report{Recovered: "crm is well"}) })
	all := d.events()
	if len(all) != 2 {
		t.Fatalf("%d events: %s", len(all), d.told())
	}
	stale, recovered := all[0], all[1]
	if stale.Kind != "stale" || stale.Summary == "" || stale.Detail != nil || fmt.Sprint(stale.Standing) != "[stale degraded]" {
		t.Errorf("%+v", stale)
	}
	if stale.Source != "crm" || stale.Host != "nas" || stale.Repository != "1a2b3c4d" || stale.Snapshot != "abcdef0123" || !stale.Time.Equal(noticed) {
		t.Errorf("%+v", stale)
	}
	if recovered.Kind != "recovered" || recovered.Summary != "crm is well" || len(recovered.Standing) != 0 {
		t.Errorf("%+v", recovered)
	}
	d.pass(time.Hour)
	d.settle(func() {
		d.Update("crm", alert.Report{Standing: []alert.Condition{{State: alert.Degraded, Summary: "crm: pg_dump failed\nbadly", Detail: lines}}})
	})
	e := d.events()[2]
	if e.Summary != "crm: pg_dump failed badly" || len(e.Detail) != 21 || e.Detail[20] != "and 80 more" || e.Detail[0] != "path 0 ?[31m" {
		t.Errorf("%q %q", e.Summary, e.Detail)
	}
	b, err := os.ReadFile(filepath.Join(d.dir, "events"))
	if err != nil || !strings.Contains(string(b), `"time":"2026-11-21T14:05:00+01:00"`) || !strings.Contains(string(b), `"standing":[]`) {
		t.Errorf("%s", b)
	}
}

func TestFailedDeliveryIsTriedAgainAndVisible(t *testing.T) {
	d := newDesk(t)
	d.breakDelivery(true)
	d.report("a", alert.Degraded)
	d.report("b", alert.Guard)
	since := d.clock.Now()
	s := d.Stats()
	if s.Queued != 2 || s.Failures != 2 || !s.FailedSince.Equal(since) || s.LastError != "sh: exit status 7: no way out" {
		t.Errorf("stats %+v", s)
	}
	d.pass(10 * time.Second) // sooner than the first pause, whatever its random part
	if s := d.Stats(); s.Failures != 2 {
		t.Errorf("tried again at once: %+v", s)
	}
	for range 30 {
		d.pass(10 * time.Minute)
	}
	// Five hours: doubling from half a minute to an hour, each source by itself.
	if s := d.Stats(); s.Failures < 2*8 || s.Failures > 2*16 {
		t.Errorf("%d failures in five hours", s.Failures)
	}
	d.want("")
	d.breakDelivery(false)
	d.pass(2 * time.Hour)
	d.want("a degraded, b guard")
	if s := d.Stats(); s.Queued != 0 || !s.FailedSince.IsZero() || s.LastError != "" || s.Delivered != 2 {
		t.Errorf("stats %+v", s)
	}
}

func TestWhatEndsBeforeItIsToldIsNotTold(t *testing.T) {
	d := newDesk(t)
	d.breakDelivery(true)
	d.report("crm", alert.Degraded)
	d.report("crm")
	if s := d.Stats(); s.Queued != 0 {
		t.Errorf("stats %+v", s)
	}
	d.report("web", alert.Degraded)
	d.report("web", alert.Failed)
	d.breakDelivery(false)
	d.pass(3 * time.Hour)
	d.want("web failed")
}

func TestRestartNeitherRepeatsNorForgets(t *testing.T) {
	d := newDesk(t)
	d.report("told", alert.Degraded)
	d.breakDelivery(true)
	d.report("waiting", alert.Guard)
	d.stop()
	d.breakDelivery(false)
	d.start() // what waited is told before anybody reports
	d.want("told degraded, waiting guard")
	d.report("told", alert.Degraded)
	d.report("waiting", alert.Guard)
	d.want("told degraded, waiting guard")
	d.stop()
	d.start()
	d.report("told")
	d.want("told degraded, waiting guard, told recovered")

	// Control: without the memory everything is told again.
	d.stop()
	if err := os.Remove(d.notes.path); err != nil {
		t.Fatal(err)
	}
	d.start()
	d.report("waiting", alert.Guard)
	d.want("told degraded, waiting guard, told recovered, waiting guard")
}

// TestFlappingDoesNotFlood counts what three days of a source that is degraded every other quarter of an hour tell.
func TestFlappingDoesNotFlood(t *testing.T) {
	d := newDesk(t)
	var perDay [3]int
	for day := range perDay {
		before := len(d.events())
		for range 48 {
			d.report("crm", alert.Degraded)
			d.pass(15 * time.Minute)
			d.report("crm")
			d.pass(15 * time.Minute)
		}
		perDay[day] = len(d.events()) - before
	}
	t.Logf("events per day of flapping: %v; changes per day: 96", perDay)
	if perDay[0] > 24 || perDay[1] > 10 || perDay[2] > 10 || perDay[2] == 0 {
		t.Errorf("events per day: %v", perDay)
	}
	// Something worse is told at once all the same, and in the end the truth is.
	d.report("crm", alert.Failed)
	if all := d.events(); all[len(all)-1].Kind != "failed" {
		t.Errorf("last told is %+v", all[len(all)-1])
	}
	d.report("crm")
	d.pass(7 * time.Hour)
	if all := d.events(); all[len(all)-1].Kind != "recovered" {
		t.Errorf("last told is %+v", all[len(all)-1])
	}
}

func TestClockSetBack(t *testing.T) {
	d := newDesk(t)
	d.report("crm", alert.Degraded)
	d.pass(-365 * 24 * time.Hour)
	d.report("crm")
	d.report("crm", alert.Degraded)
	d.want("crm degraded, crm recovered, crm degraded")
}

func TestManySources(t *testing.T) {
	d := newDesk(t)
	for i := range 1000 {
		d.report(fmt.Sprint("s", i))
	}
	for i := range 500 { // more than there is room for
		d.Update(fmt.Sprint("t", i), alert.Report{Standing: []alert.Condition{{State: alert.Failed}}})
	}
	d.want("")
	if b, err := os.ReadFile(d.notes.path); err == nil && len(b) > 1<<20 {
		t.Errorf("memory of %d bytes", len(b))
	}
	d.Keep([]string{"s1", "s2"})
	d.report("s1500", alert.Failed) // there is room again
	d.want("s1500 failed")
	d.Keep([]string{"s1"})
	d.report("s1500", alert.Failed) // unknown again
	d.pass(10 * time.Minute)
	d.want("s1500 failed, s1500 failed")
}

func TestTest(t *testing.T) {
	d := newDesk(t)
	if err := d.Test(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.want(" test")
	d.breakDelivery(true)
	err := d.Test(t.Context())
	if e, ok := errors.AsType[*command.ExitError](err); !ok || e.Code != 7 {
		t.Errorf("%v", err)
	}
	if s := d.Stats(); s.LastError == "" || s.Failures != 1 || s.Queued != 0 {
		t.Errorf("stats %+v", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Test(ctx); !errors.Is(err, context.Canceled) || d.Stats().Failures != 1 {
		t.Errorf("%v, %+v", err, d.Stats())
	}
}

func TestWithoutACommand(t *testing.T) {
	memory := &notes{path: filepath.Join(t.TempDir(), "notes")}
	teller, err := alert.New(alert.Options{Memory: memory})
	if err != nil {
		t.Fatal(err)
	}
	if err := teller.Test(t.Context()); !errors.Is(err, alert.ErrNoCommand) {
		t.Error(err)
	}
	teller.Update("crm", alert.Report{Standing: []alert.Condition{{State: alert.Failed}}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	teller.Run(ctx)
	if s := teller.Stats(); s.Queued != 1 || s.Failures != 0 {
		t.Errorf("stats %+v", s)
	}
	for _, bad := range [][]string{{""}, {"bin/tell"}} {
		if _, err := alert.New(alert.Options{Args: bad}); !errors.Is(err, command.ErrProgram) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// failingMemory cannot be read or written.
type failingMemory struct{}

func (failingMemory) Load(any) (bool, error) { return false, errors.New("unreadable") }
func (failingMemory) Save(any) error         { return errors.New("disk full") }

func TestMemoryThatFailsCostsNoEvent(t *testing.T) {
	dir := t.TempDir()
	c := newClock()
	teller, err := alert.New(alert.Options{
		Args: []string{"/bin/sh", "-c", `cat >>"$1/events"`, "tell", dir}, Memory: failingMemory{}, Now: c.Now, After: c.After,
	})
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, dir: dir, clock: c, Teller: teller}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	d.settle(func() { go func() { defer close(done); teller.Run(ctx) }() })
	d.report("crm", alert.Stale)
	d.report("crm", alert.Stale)
	d.want("crm stale")
	cancel()
	<-done
}

func TestEventIsOneLine(t *testing.T) {
	d := newDesk(t)
	d.settle(func() {
		d.Update("a\nb", alert.Report{Standing: []alert.Condition{{State: alert.Degraded, Summary: strings.Repeat("ö", 1000), Detail: []string{"x\ny"}}}})
	})
	b, err := os.ReadFile(filepath.Join(d.dir, "events"))
	if err != nil || strings.Count(string(b), "\n") != 1 || !json.Valid(b) || len(b) > 2000 {
		t.Errorf("%d bytes: %s", len(b), b)
	}
}
