package watch_test

import (
	"os"
	"testing"
	"time"

	"keepsake/daemon/watch"
)

// TestStirred: a directory that becomes dirty is announced, whether by an event
// or because it was given back; in a tree at rest nothing is.
func TestStirred(t *testing.T) {
	h := start(t, watch.Options{})
	h.first()
	select {
	case <-h.w.Stirred(): // by the walk, perhaps
	default:
	}
	stirred := func(what string) {
		t.Helper()
		select {
		case <-h.w.Stirred():
		case <-time.After(patience):
			t.Fatalf("not announced: %s", what)
		}
	}
	if err := os.WriteFile(h.path("a"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	stirred("a new file")
	b := h.next(time.Hour)
	for len(b.Dirs) == 0 || len(b.Unsettled) > 0 {
		b = h.next(time.Hour)
	}
	select {
	case <-h.w.Stirred():
		t.Error("announced although nothing happened")
	case <-time.After(3 * settle):
	}
	h.w.Requeue(b)
	stirred("what was given back")
}
