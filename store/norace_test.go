//go:build !race

package store_test

const (
	trials    = 30 // flipped bytes in each kind of object
	rotTrials = 9  // indexes with rotten pages
)
