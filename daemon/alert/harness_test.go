package alert_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keepsake/daemon/alert"
)

// patience bounds waits that end at once on a machine that is not loaded.
const patience = time.Minute

// clock is moved by the test. Run waits on it whenever it has nothing more to do.
type clock struct {
	mu      sync.Mutex
	now     time.Time
	waiting chan time.Time
	waits   int // how often somebody began to wait
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 11, 21, 14, 5, 0, 0, time.FixedZone("", 3600))}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) After(time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits++
	c.waiting = make(chan time.Time, 1)
	return c.waiting
}

func (c *clock) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waits
}

// move moves the time and wakes who waits, as if it had waited for that.
func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.waiting <- c.now
}

// notes is a memory in a file.
type notes struct {
	path  string
	saves int
}

func (n *notes) Load(v any) (bool, error) {
	b, err := os.ReadFile(n.path)
	if os.IsNotExist(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, json.Unmarshal(b, v)
}

func (n *notes) Save(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	n.saves++
	return os.WriteFile(n.path, b, 0o600)
}

// desk is where events arrive: a real command appends them to a file, and fails while another file exists.
type desk struct {
	t     *testing.T
	dir   string
	clock *clock
	notes *notes
	*alert.Teller
	stop func()
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	dir := t.TempDir()
	d := &desk{t: t, dir: dir, clock: newClock(), notes: &notes{path: filepath.Join(dir, "notes")}}
	d.start()
	return d
}

// start starts a Teller with what is remembered, and runs it.
func (d *desk) start() {
	d.t.Helper()
	script := `if [ -e "$1/broken" ]; then echo "no way out" >&2; exit 7; fi; cat >>"$1/events"`
	var err error
	d.Teller, err = alert.New(alert.Options{
		Args: []string{"/bin/sh", "-c", script, "tell", d.dir}, Timeout: patience, Host: "nas", Repository: "1a2b3c4d",
		Memory: d.notes, Now: d.clock.Now, After: d.clock.After,
	})
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(d.t.Context())
	done := make(chan struct{})
	d.settle(func() {
		go func() { defer close(done); d.Run(ctx) }()
	})
	d.stop = sync.OnceFunc(func() { cancel(); <-done })
	d.t.Cleanup(d.stop)
}

// settle does something that wakes Run, and waits until Run waits again.
func (d *desk) settle(act func()) {
	d.t.Helper()
	before := d.clock.count()
	act()
	for end := time.Now().Add(patience); d.clock.count() == before; time.Sleep(50 * time.Microsecond) {
		if time.Now().After(end) {
			d.t.Fatal("nobody waits for the clock")
		}
	}
}

func (d *desk) report(source string, states ...alert.State) {
	d.t.Helper()
	var r alert.Report
	for _, s := range states {
		r.Standing = append(r.Standing, alert.Condition{State: s})
	}
	d.settle(func() { d.Update(source, r) })
}

func (d *desk) pass(t time.Duration) {
	d.t.Helper()
	d.settle(func() { d.clock.move(t) })
}

func (d *desk) breakDelivery(broken bool) {
	d.t.Helper()
	path := filepath.Join(d.dir, "broken")
	err := os.Remove(path)
	if broken {
		err = os.WriteFile(path, nil, 0o600)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) events() []alert.Event {
	d.t.Helper()
	b, err := os.ReadFile(filepath.Join(d.dir, "events"))
	if err != nil && !os.IsNotExist(err) {
		d.t.Fatal(err)
	}
	var all []alert.Event
	for line := range strings.Lines(string(b)) {
		var e alert.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			d.t.Fatalf("%q: %v", line, err)
		}
		all = append(all, e)
	}
	return all
}

// told returns the events so far as "source kind", separated by commas.
func (d *desk) told() string {
	d.t.Helper()
	var words []string
	for _, e := range d.events() {
		words = append(words, fmt.Sprint(e.Source, " ", e.Kind))
	}
	return strings.Join(words, ", ")
}

func (d *desk) want(told string) {
	d.t.Helper()
	if got := d.told(); got != told {
		d.t.Errorf("told %q, want %q", got, told)
	}
}
