// Command testreport reads the output of `go test -json`.
//
//	go test -json ./... | tee leg.json | testreport    lines for people, as the tests end
//	testreport leg.json [leg.json…]                    what was skipped, what failed, and the count over all legs
//	testreport -failed leg.json                        what failed, for a second run by itself
//
// leg.json+again.json stands for a leg and the second run of what failed in it. What passed then counts as passed, and
// a line that begins with `unsteady:` says so.
//
// The last line of the second form is always `N passed, N failed, N skipped`. A test counts once however many legs ran
// it: as failed if it failed in any, else as skipped if it was skipped in any. A line that begins with `refused:`
// names a skip that hides a part of the product. The exit code says nothing about the tests; check.sh reads the lines.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Println("refused:", err)
	}
}

func run(names []string, in io.Reader, out io.Writer) error {
	w := bufio.NewWriter(out)
	if len(names) == 0 {
		return follow(in, w)
	}
	if names[0] == "-failed" && len(names) == 2 {
		f, err := os.Open(names[1])
		if err != nil {
			return err
		}
		defer f.Close()
		return errors.Join(failures(f, w), w.Flush())
	}
	var total tally
	for _, name := range names {
		name, again, repeated := strings.Cut(name, "+")
		leg, err := read(name)
		if err != nil {
			return err
		}
		if repeated {
			second, err := read(again)
			if err != nil {
				return err
			}
			leg.mend(second)
		}
		total.merge(leg)
	}
	total.print(w)
	return w.Flush()
}

// read reads one leg.
func read(name string) (*tally, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var leg tally
	if err := leg.add(f); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &leg, nil
}
