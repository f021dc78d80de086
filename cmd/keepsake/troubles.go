package main

import (
	"maps"
	"slices"
	"sync"
)

// troubles are what is wrong with a running keepsake beside its sources, for
// status to tell until it is mended.
type troubles struct {
	mu  sync.Mutex
	all map[string]string // by what is troubled; guarded by mu
}

// What can be troubled.
const (
	troubleView    = "view"
	troubleConfig  = "configuration"
	troubleRestart = "restart"
)

// set notes a trouble, and reports whether it is a new one; an empty text ends
// it.
func (t *troubles) set(what, text string) (changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = map[string]string{}
	}
	changed = t.all[what] != text
	t.all[what] = text
	if text == "" {
		delete(t.all, what)
	}
	return changed
}

// list returns them in a fixed order.
func (t *troubles) list() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	texts := []string{}
	for _, what := range slices.Sorted(maps.Keys(t.all)) {
		texts = append(texts, t.all[what])
	}
	return texts
}
