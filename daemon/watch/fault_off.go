//go:build !faults

package watch

// ignoreLost is false in every program that anybody keeps files with.
const ignoreLost = false
