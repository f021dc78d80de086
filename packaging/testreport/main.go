// Command testreport reads the output of `go test -json`.
//
//	go test -json ./... | tee leg.json | testreport    lines for people, as the tests end
//	testreport leg.json [leg.json…]                    what was skipped, what failed, and the count over all legs
//
// The last line of the second form is always `N passed, N failed, N skipped`. A test counts once however many legs ran
// it: as failed if it failed in any, else as skipped if it was skipped in any. A line that begins with `refused:`
// names a skip that hides a part of the product. The exit code says nothing about the tests; check.sh reads the lines.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
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
	var total tally
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = total.add(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	total.print(w)
	return w.Flush()
}
