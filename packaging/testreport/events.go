package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// event is one line of `go test -json`; see `go doc test2json`.
type event struct {
	Action  string
	Package string
	Test    string // empty for the package as a whole
	Output  string
	// ImportPath stands in for Package while a package is being built.
	ImportPath string
}

// test names a test over all packages.
type test struct{ pkg, name string }

func (t test) String() string {
	if t.name == "" {
		return t.pkg
	}
	return t.pkg + " " + t.name
}

// events calls fn for each line of r. Lines that are no events, such as a tool's complaints, come as bare output.
func events(r io.Reader, fn func(event)) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
				e = event{Action: "output", Output: line}
			}
			fn(e)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// follow writes lines for people while the tests run: one for each test at the top, one for each package,
// and everything that a failed or skipped test said.
func follow(in io.Reader, out interface {
	io.StringWriter
	Flush() error
}) error {
	said := map[test]*strings.Builder{}
	return events(in, func(e event) {
		id := test{e.Package, e.Test}
		switch e.Action {
		case "output":
			if e.Test == "" {
				if e.Output != "PASS\n" {
					out.WriteString(e.Output)
				}
				break
			}
			if said[id] == nil {
				said[id] = new(strings.Builder)
			}
			said[id].WriteString(e.Output)
		case "build-output":
			out.WriteString(e.Output)
		case "pass", "skip", "fail":
			if b := said[id]; b != nil {
				out.WriteString(digest(e, b.String()))
				delete(said, id)
			}
			if e.Test == "" { // a test that never ended: its package died with it
				for other, b := range said {
					if other.pkg == e.Package {
						out.WriteString(b.String())
						delete(said, other)
					}
				}
			}
		}
		out.Flush()
	})
}

// digest keeps of a finished test's output what a reader wants.
func digest(e event, output string) string {
	if e.Action == "fail" {
		return output
	}
	if e.Action == "pass" && strings.Contains(e.Test, "/") {
		return ""
	}
	var b strings.Builder
	for line := range strings.Lines(output) {
		frame := strings.HasPrefix(line, "=== ")
		verdict := strings.HasPrefix(strings.TrimSpace(line), "--- ")
		if verdict || e.Action == "skip" && !frame {
			b.WriteString(line)
		}
	}
	return b.String()
}
