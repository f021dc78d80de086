package main

import (
	"testing"

	"keepsake/store/tree"
)

// TestBecause: a reason and its particulars stand apart, and nothing twice.
func TestBecause(t *testing.T) {
	for want, m := range map[string]tree.Missed{
		"required and not there: no such file or directory": {Reason: tree.ReasonRequired, Detail: "no such file or directory"},
		"permission denied": {Reason: tree.ReasonPermission, Detail: "permission denied"},
		"vanished":          {Reason: tree.ReasonVanished},
	} {
		if got := because(m); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
