package store_test

import (
	"os"
	"testing"
)

// TestSetCache: what the bound lets in needs no pack any more, and what a new
// bound leaves no room for does.
func TestSetCache(t *testing.T) {
	l := newLibrary(t)
	l.Cache = 1 << 20
	r := l.Open(t)
	snap := l.snapshots[len(l.snapshots)-1]
	read := func() error {
		_, err := content(t.Context(), r, snap, "report.pdf")
		return err
	}
	gone := func() {
		for _, name := range l.names(t, "data") {
			must(t, os.Truncate(l.object(name), 0))
		}
	}
	must(t, read())
	r.SetCache(100)
	must(t, read())
	r.SetCache(0) // as it was opened with
	must(t, read())
	gone()
	if err := read(); err != nil {
		t.Fatalf("nothing was kept within the bound that the repository was opened with: %v", err)
	}
	r.SetCache(100)
	if err := read(); err == nil {
		t.Error("blocks stayed in a cache that became too small for them")
	}
}
