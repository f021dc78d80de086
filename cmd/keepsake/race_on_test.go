//go:build race

package main

// raceDetector makes the program about ten times slower.
const raceDetector = true
