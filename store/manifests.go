package store

import (
	"sync"
	"unique"

	"keepsake/store/tree"
)

// keptManifests bounds how many manifests are kept in memory, one or two KiB
// each.
const keptManifests = 4096

// manifests keeps snapshots that were read, without the heads of other chains:
// with many sources these would be most of it, and only a check, which reads
// past this, asks for them.
type manifests struct {
	mu   sync.Mutex
	kept map[SnapshotID]*Snapshot
}

func (m *manifests) get(id SnapshotID) (Snapshot, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.kept[id]
	if !ok {
		return Snapshot{}, false
	}
	return *s, true
}

// put keeps a snapshot, and shares with the others what they have in common.
func (m *manifests) put(s Snapshot) {
	for _, word := range []*string{&s.Label, &s.Host, &s.User, &s.Version} {
		*word = unique.Make(*word).Value()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil {
		m.kept = map[SnapshotID]*Snapshot{}
	}
	// Any of them goes: of those who read all one after the other, the one that
	// was used last would be as good to lose.
	for id := range m.kept {
		if len(m.kept) < keptManifests {
			break
		}
		delete(m.kept, id)
	}
	m.kept[s.ID] = &s
}

// drop lets go of snapshots that nobody asks for any more.
func (m *manifests) drop(some []tree.LedgerSnapshot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range some {
		delete(m.kept, some[i].ID)
	}
}
