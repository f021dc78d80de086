//go:build faults

package watch

// ignoreLost does nothing when events were lost: a program that is built with
// the tag faults shows what the tests of lost events would find if they were not
// heeded. It is for nothing else.
const ignoreLost = true
