// Package bench measures keepsake against its budgets, as people run it: the
// program is built, a library of files is made and backed up, and what it does
// is timed from outside.
//
//	go test -bench . ./packaging/bench                                       a minute, a small library
//	go test -bench . -timeout 1h ./packaging/bench -photos 1000 -clip 500 -sidecars 20000 -restic
//
// Options:
//
//	-photos N     photos of 3 to 9 MB; 60 without it
//	-clip MB      the size of each of the six videos; 64 without it
//	-sidecars N   small XML files; 2,000 without it
//	-restic       measures restic as well, if there is one
//	-dir DIR      keeps the library there, for the next run; without it all is removed
//	-mount ARGS   further arguments of keepsake mount, such as "--read-ahead 1MiB"
//	-benchtime 3x three rounds; the median counts
//
// # How to read it
//
// The last thing printed is a table: a row for each figure, a column for each
// program. Columns stand beside each other because absolute figures say more
// of the machine than of the program. "reference" is a FUSE server that answers
// with zeros and does nothing else: what is left of its speed is what the view
// costs. "files" is the library itself, in the kernel's cache.
//
// # What there is to measure
//
// A figure has a name, a unit and whether more is better; a program is
// something that can back up a library and show it. Both are lists in this
// package, and a benchmark fills in what it can: one for backups, restores or
// checks is one more function beside BenchmarkMount.
package bench
