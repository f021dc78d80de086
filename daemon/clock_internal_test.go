package daemon

import (
	"testing"
	"time"

	"keepsake/store/state"
	"keepsake/store/storetest"
)

// wall is a clock that a test sets, beside an uptime that it lets pass.
type wall struct {
	now time.Time
	up  time.Duration
}

func (w *wall) Now() time.Time                         { return w.now }
func (w *wall) After(d time.Duration) <-chan time.Time { panic("nobody waits here") }
func (w *wall) pass(d time.Duration)                   { w.now, w.up = w.now.Add(d), w.up+d }

// begin makes a steadiness as a process would that starts now.
func (w *wall) begin(t *testing.T, db *state.DB) *steadiness {
	t.Helper()
	s, err := newSteadiness(w, db, func() time.Duration { return time.Duration(w.now.UnixNano()) - w.up })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSteadiness(t *testing.T) {
	tests := []struct {
		name   string
		live   func(w *wall, look func(), restart func())
		doubts bool
	}{
		{"days pass", func(w *wall, look, restart func()) {
			for range 100 {
				w.pass(time.Hour)
				look()
			}
		}, false},
		{"slewed", func(w *wall, look, restart func()) { w.now = w.now.Add(time.Minute); look() }, false},
		{"set forward a year", func(w *wall, look, restart func()) { w.now = w.now.AddDate(1, 0, 0); look() }, true},
		{"set back an hour", func(w *wall, look, restart func()) { w.now = w.now.Add(-time.Hour); look() }, true},
		{"set forward and back", func(w *wall, look, restart func()) {
			w.now = w.now.AddDate(10, 0, 0)
			look()
			w.now = w.now.AddDate(-10, 0, 0)
			look()
		}, true},
		{"off over a month", func(w *wall, look, restart func()) { w.pass(30 * 24 * time.Hour); restart() }, false},
		{"off, and a year later", func(w *wall, look, restart func()) { w.pass(365 * 24 * time.Hour); restart() }, true},
		{"off, and back in time", func(w *wall, look, restart func()) { w.now = w.now.Add(-24 * time.Hour); restart() }, true},
		{"a board without a battery", func(w *wall, look, restart func()) {
			w.pass(time.Hour)
			look()
			w.up = time.Minute
			restart()
			w.now = w.now.Add(26 * time.Hour) // the network tells the time
			look()
		}, false},
		{"the doubt survives", func(w *wall, look, restart func()) {
			w.now = w.now.AddDate(1, 0, 0)
			look()
			restart()
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := storetest.New(t).Open(t).State()
			w := &wall{now: at("12:00:00"), up: 24 * time.Hour}
			s := w.begin(t, db)
			look := func() {
				if err := s.look(w.now); err != nil {
					t.Fatal(err)
				}
			}
			tt.live(w, look, func() { s = w.begin(t, db) })
			if got := s.doubt(); (got != "") != tt.doubts {
				t.Errorf("doubt %q, want some: %v", got, tt.doubts)
			}
			if err := s.trust(); err != nil || s.doubt() != "" {
				t.Errorf("after a person has looked: %q, %v", s.doubt(), err)
			}
			if s = w.begin(t, db); s.doubt() != "" {
				t.Errorf("trust does not survive: %q", s.doubt())
			}
		})
	}
}
