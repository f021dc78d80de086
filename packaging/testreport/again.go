package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// mostAgain is how many failed tests a busy machine may be blamed for. More are
// a broken program.
const mostAgain = 8

// failures lists what of a leg is worth a second run by itself: for each package a
// line with a tab between its name and a pattern for go test -run. Nothing, if a
// package failed outside of its tests, or too much did.
func failures(r io.Reader, w io.Writer) error {
	var leg tally
	if err := leg.add(r); err != nil {
		return err
	}
	tops, n := map[string][]string{}, 0
	for id, result := range leg.results {
		if rank[result] < rank["fail"] || strings.Contains(id.name, "/") {
			continue
		}
		if n++; id.name == "" || result == "run" || n > mostAgain {
			return nil
		}
		tops[id.pkg] = append(tops[id.pkg], id.name)
	}
	for _, pkg := range slices.Sorted(maps.Keys(tops)) {
		slices.Sort(tops[pkg])
		if _, err := fmt.Fprintf(w, "%s\t^(%s)$\n", pkg, strings.Join(tops[pkg], "|")); err != nil {
			return err
		}
	}
	return nil
}

// mend replaces the failures of a leg by what came of their second run. Each that
// passed then is told: it depends on what else the machine does.
func (t *tally) mend(again *tally) {
	for id, result := range again.results {
		if rank[t.results[id]] < rank["fail"] || result != "pass" {
			continue
		}
		t.results[id] = result
		if !strings.Contains(id.name, "/") {
			t.unsteady = append(t.unsteady, id)
		}
	}
}

// merge adds what another leg found.
func (t *tally) merge(leg *tally) {
	if t.results == nil {
		t.results, t.said = map[test]string{}, map[test]string{}
	}
	for id, result := range leg.results {
		if rank[result] > rank[t.results[id]] {
			t.results[id], t.said[id] = result, leg.said[id]
		}
	}
	t.unsteady = append(t.unsteady, leg.unsteady...)
}
