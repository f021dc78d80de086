package store_test

import (
	"testing"

	"keepsake/store"
	"keepsake/store/tree"
)

// TestNewest picks by number within a chain, so that a clock which was set back
// does not make an old snapshot the latest.
func TestNewest(t *testing.T) {
	snap := func(writer byte, number uint64, started int64, basis tree.Basis) store.Snapshot {
		return store.Snapshot{
			ID:       store.SnapshotID{writer, byte(number)},
			Snapshot: tree.Snapshot{Writer: [16]byte{writer}, Number: number, Started: tree.Time{Sec: started}, Basis: basis},
		}
	}
	for _, c := range []struct {
		name string
		some []store.Snapshot
		want store.SnapshotID
	}{
		{"in order", []store.Snapshot{snap(1, 1, 100, tree.Scanned), snap(1, 2, 200, tree.Events)}, store.SnapshotID{1, 2}},
		{"clock set back", []store.Snapshot{snap(1, 2, 50, tree.Scanned), snap(1, 1, 100, tree.Scanned)}, store.SnapshotID{1, 2}},
		{"in progress", []store.Snapshot{snap(1, 1, 100, tree.Scanned), snap(1, 2, 200, tree.InProgress)}, store.SnapshotID{1, 1}},
		{"only in progress", []store.Snapshot{snap(1, 1, 100, tree.InProgress), snap(1, 2, 90, tree.InProgress)}, store.SnapshotID{1, 2}},
		{"two chains", []store.Snapshot{snap(1, 9, 100, tree.Scanned), snap(2, 1, 200, tree.Scanned)}, store.SnapshotID{2, 1}},
		{"new chain in progress", []store.Snapshot{snap(1, 9, 100, tree.Scanned), snap(2, 1, 200, tree.InProgress)}, store.SnapshotID{1, 9}},
	} {
		if got := store.Newest(c.some); got.ID != c.want {
			t.Errorf("%s: %v", c.name, got.ID.Short())
		}
	}
}
