package guard_test

import (
	"testing"
	"time"

	"keepsake/daemon/guard"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestWindowForgetsYesterday(t *testing.T) {
	var w guard.Window
	for i := range 5 {
		w = w.Add(guard.Observation{Time: noon.Add(time.Duration(i) * 10 * time.Hour), Misfit: 1})
	}
	if n := len(w.Observations); n != 3 { // 20, 30 and 40 hours after noon
		t.Errorf("%d observations are left of 40 hours", n)
	}
}

// TestWindowHasABound adds one observation each second of two days, innocent
// and other ones in turn.
func TestWindowHasABound(t *testing.T) {
	var w guard.Window
	const each = 10
	for i := range 2 * 24 * 3600 / each {
		o := guard.Observation{Time: noon.Add(time.Duration(i) * each * time.Second), New: 1, Misfit: uint64(i % 2)}
		w = w.Add(o)
		if n := len(w.Observations); n > 192 {
			t.Fatalf("%d observations", n)
		}
	}
	var misfit uint64
	for _, o := range w.Observations {
		misfit += o.Misfit
	}
	if misfit == 0 {
		t.Error("all was forgotten")
	}
}

// TestMergingKeepsTheFirstBase so that the good snapshot is one from before.
func TestMergingKeepsTheFirstBase(t *testing.T) {
	w := guard.Window{}.Add(guard.Observation{Time: noon, Base: [32]byte{1}, Number: 2, Misfit: 1, Before: guard.Totals{Files: 10}, After: guard.Totals{Files: 10}})
	v := w.Add(guard.Observation{Time: noon.Add(time.Minute), Base: [32]byte{2}, Number: 3, Misfit: 2, Before: guard.Totals{Files: 10}, After: guard.Totals{Files: 9}})
	want := guard.Observation{Time: noon, Base: [32]byte{1}, Number: 3, Misfit: 3, Before: guard.Totals{Files: 10}, After: guard.Totals{Files: 9}}
	if len(v.Observations) != 1 || v.Observations[0] != want {
		t.Errorf("got %+v", v.Observations)
	}
	if w.Observations[0].Misfit != 1 {
		t.Error("the window before was changed")
	}
}

// TestClockSetBackForgetsNothing: what an attack did remains counted.
func TestClockSetBackForgetsNothing(t *testing.T) {
	w := guard.Window{}.Add(guard.Observation{Time: noon, Misfit: 9})
	w = w.Add(guard.Observation{Time: noon.AddDate(-1, 0, 0), Misfit: 1})
	var misfit uint64
	for _, o := range w.Observations {
		misfit += o.Misfit
	}
	if misfit != 10 {
		t.Errorf("%d of 10 are counted", misfit)
	}
	w = w.Add(guard.Observation{Time: noon.AddDate(-1, 0, 2)})
	if n := len(w.Observations); n != 1 {
		t.Errorf("%d observations two days later", n)
	}
}
