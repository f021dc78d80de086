package fusefs_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"keepsake/daemon/capture"
	"keepsake/store"
	"keepsake/store/storetest"
)

// TestForgottenDisappears forgets the newest snapshot and brings it back: its
// folder goes and comes, and latest follows.
func TestForgottenDisappears(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "library")
	write(t, dir+"/first", []byte("1"))
	r := storetest.New(t).Open(t)
	back(t, r, dir, "library", nil)
	write(t, dir+"/second", []byte("2"))
	later := func(o *capture.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Hour) }
		o.Require = []string{"contracts"} // so that it is incomplete, and may be forgotten
	}
	second := back(t, r, dir, "library", later)
	m := mount(t, r, nil)
	see := func(when string, folders int, files ...string) {
		t.Helper()
		m.Refresh()
		if got := list(t, m.path("snapshots", "library")); len(got) != folders {
			t.Errorf("%s: snapshots %q", when, got)
		}
		if got := list(t, m.path("latest", "library")+"/"); !slices.Equal(got, files) {
			t.Errorf("%s: latest holds %q", when, got)
		}
	}
	see("at first", 2, "first", "second")
	folder, err := filepath.EvalSymlinks(m.path("latest", "library"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Forget(t.Context(), []store.Snapshot{second}, "", ""); err != nil {
		t.Fatal(err)
	}
	see("forgotten", 1, "first")
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("%s: %v", folder, err)
	}
	if err := r.Undelete(t.Context(), []store.Snapshot{second}, "", ""); err != nil {
		t.Fatal(err)
	}
	see("brought back", 2, "first", "second")
}
