// Package packaging holds what surrounds the program: how it is checked, and how it reaches a machine.
//
// It exports nothing. Its tests are the house rules that a compiler cannot hold:
// which room may import which, what may lie at the top level, and who may end the process.
//
//   - check.sh is the one list of checks; continuous integration and people at home run the same file.
//   - testreport turns the output of `go test -json` into lines for people and a verdict for check.sh.
//   - examples are configurations to take from; its tests run their commands against real servers and load what comes back.
//   - systemd holds the units, what they leave open and why.
//   - torture builds a directory tree of everything that is hard to back up, and compares two trees.
package packaging
