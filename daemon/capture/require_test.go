package capture_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"keepsake/daemon/capture"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// TestRequired requires what is there, what is empty and what is not there.
func TestRequired(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	write(t, filepath.Join(dir, "CONTRACTS/2026/a.pdf"), []byte("x"))
	write(t, filepath.Join(dir, "empty file"), nil)
	write(t, filepath.Join(dir, "only droppings/.DS_Store"), []byte("x"))
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("CONTRACTS", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	out := leaving(t, nil, []string{"nas-droppings"}, false)
	all := []string{"CONTRACTS", "CONTRACTS/2026/a.pdf", ".", "link", "./CONTRACTS/", "empty", "empty file", "gone", "gone/too", "link/2026", "only droppings"}
	run := func(change func(o *capture.Options)) *capture.Result {
		res, _ := back(t, r, dir, func(o *capture.Options) {
			o.Now, o.Require, o.Rules = later, all, out
			if change != nil {
				change(o)
			}
		})
		return res
	}
	first := run(nil)
	var missed []string
	for _, m := range first.Missed {
		if m.Reason != tree.ReasonRequired || m.Detail == "" {
			t.Errorf("%s: %v %q", m.Path, m.Reason, m.Detail)
		}
		missed = append(missed, string(m.Path))
	}
	if want := []string{"empty", "empty file", "gone", "gone/too", "link/2026", "only droppings"}; !slices.Equal(missed, want) {
		t.Errorf("missed %q, want %q", missed, want)
	}
	if first.Snapshot.Complete() {
		t.Error("the snapshot says that it is complete")
	}
	// A run by events asks as well, wherever nothing happened.
	second := run(func(o *capture.Options) {
		o.Since, o.Dirty, o.Require = first.Base, capture.NewDirty([]string{"empty"}, nil), []string{"gone", "CONTRACTS"}
	})
	if second.Snapshot.Basis != tree.Events || second.Missing != 1 {
		t.Errorf("%v, missed %v", second.Snapshot.Basis, second.Missed)
	}
	if res := run(func(o *capture.Options) { o.Require = []string{"CONTRACTS"} }); !res.Snapshot.Complete() {
		t.Errorf("missed %v", res.Missed)
	}
	o := capture.Options{Repository: r, DryRun: true, Path: []byte(dir), Require: []string{"../other"}}
	if _, err := capture.Run(t.Context(), o); err == nil {
		t.Error("a required path outside the source was taken")
	}
}

// TestWhyIsKept finds in the manifest why a run scanned, by its caller's words
// and by its own.
func TestWhyIsKept(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	write(t, filepath.Join(dir, "a/f"), []byte("x"))
	first, _ := back(t, r, dir, func(o *capture.Options) { o.Now, o.Why = later, []string{"start", "overflow", "start"} })
	if got := fmt.Sprint(first.Snapshot.Why); got != "[overflow start]" {
		t.Errorf("why %s", got)
	}
	back(t, r, dir, func(o *capture.Options) { o.Now = later })
	third, _ := back(t, r, dir, since(first, "a"))
	if got := fmt.Sprint(third.Snapshot.Why); got != "[other-snapshot]" || third.Snapshot.Basis != tree.Scanned {
		t.Errorf("why %s, %v", got, third.Snapshot.Basis)
	}
	if last, _ := back(t, r, dir, since(third, "a")); len(last.Snapshot.Why) > 0 || last.Snapshot.Basis != tree.Events {
		t.Errorf("why %s, %v", last.Snapshot.Why, last.Snapshot.Basis)
	}
}
