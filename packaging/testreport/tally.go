package main

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// tally adds up the results of one or more legs.
type tally struct {
	results map[test]string // the worst of "pass", "skip" and "fail"; "run" while the test has not ended
	said    map[test]string // the output of skipped tests
	// unsteady are tests that failed beside others and passed by themselves.
	unsteady []test
}

// maxSaid is how much of a test's output is kept to find the reason of a skip.
// Some tests say megabytes, and the reason comes early.
const maxSaid = 8 << 10

// rank orders results from harmless to worst. A test that began and never ended is as bad as a failed one.
var rank = map[string]int{"pass": 1, "skip": 2, "run": 3, "fail": 3}

// add reads one leg. It fails if the leg ran no test at all, since that proves nothing.
func (t *tally) add(r io.Reader) error {
	if t.results == nil {
		t.results, t.said = map[test]string{}, map[test]string{}
	}
	leg, said := map[test]string{}, map[test]string{}
	failed := map[string]bool{} // packages with a failed test of their own
	err := events(r, func(e event) {
		id := test{e.Package, e.Test}
		switch e.Action {
		case "output":
			if len(said[id]) < maxSaid {
				said[id] += e.Output
			}
		case "run":
			leg[id] = "run"
		case "pass", "skip", "fail":
			if e.Test != "" {
				leg[id] = e.Action
				failed[e.Package] = failed[e.Package] || e.Action == "fail"
			} else if e.Action == "fail" && !failed[e.Package] {
				leg[id] = "fail" // it did not build, or died outside of its tests
			}
			if leg[id] != "skip" {
				delete(said, id)
			}
		}
	})
	if err != nil {
		return err
	}
	if len(leg) == 0 {
		return fmt.Errorf("no test ran")
	}
	for id, result := range leg {
		if rank[result] > rank[t.results[id]] {
			t.results[id] = result
			t.said[id] = said[id]
		}
	}
	return nil
}

// print lists skips and failures and ends with the count.
func (t *tally) print(w io.Writer) {
	for _, id := range t.unsteady {
		fmt.Fprintf(w, "unsteady: %s failed beside others and passed by itself\n", id)
	}
	count := map[string]int{}
	for _, id := range slices.SortedFunc(maps.Keys(t.results), compareTests) {
		result := t.results[id]
		count[result]++
		switch result {
		case "skip":
			fmt.Fprintf(w, "skipped: %s: %s\n", id, reason(t.said[id]))
			if essential(id, t.said[id]) {
				fmt.Fprintf(w, "refused: %s was skipped: without it nothing is known about the mount\n", id)
			}
		case "fail":
			fmt.Fprintf(w, "failed: %s\n", id)
		case "run":
			fmt.Fprintf(w, "failed: %s (it never ended)\n", id)
		}
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", count["pass"], count["fail"]+count["run"], count["skip"])
}

func compareTests(a, b test) int {
	if c := strings.Compare(a.pkg, b.pkg); c != 0 {
		return c
	}
	return strings.Compare(a.name, b.name)
}

// mounting recognises tests of the mounted view by package, name or the reason they gave,
// and lets pass what refuses, confuses or amounts to something.
var mounting = regexp.MustCompile(`(?i)(^|[^en])fuse|(^|[^a])mount`)

// essential reports whether a skipped test is one that must run wherever the checks count.
func essential(id test, output string) bool {
	return mounting.MatchString(id.String()) || mounting.MatchString(reason(output))
}

// reason is what a skipped test said, on one line, without the frame that go test puts around it.
func reason(output string) string {
	var parts []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		parts = append(parts, line)
	}
	if len(parts) == 0 {
		return "no reason given"
	}
	return strings.Join(parts, " ")
}
