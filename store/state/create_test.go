package state_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"keepsake/store/state"
)

// TestLeftoverOfKilledFirstRun puts half-made files in the way, as a process
// with this one's number leaves them that was killed while it made its state.
func TestLeftoverOfKilledFirstRun(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{fmt.Sprintf("state.db.%d", os.Getpid()), "state.db.new-", "state.db.new"} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 4096), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := state.Open(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !d.Fresh() {
		t.Error("not begun anew")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if made, err := filepath.Glob(filepath.Join(dir, "state.db.new-?*")); err != nil || len(made) > 0 {
		t.Errorf("left behind %v, %v", made, err)
	}
}
