//go:build race

package store_test

// The race detector makes each trial ten times as dear and learns nothing from
// many of them; the same tests run in full without it.
const (
	trials    = 5
	rotTrials = 3
)
