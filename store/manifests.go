package store

import "sync"

// keptManifests bounds how many manifests are kept in memory, a few KiB each.
const keptManifests = 4096

// manifests keeps snapshots that were read.
type manifests struct {
	mu   sync.Mutex
	kept map[SnapshotID]Snapshot
}

func (m *manifests) get(id SnapshotID) (Snapshot, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.kept[id]
	return s, ok
}

func (m *manifests) put(id SnapshotID, s Snapshot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil || len(m.kept) >= keptManifests {
		m.kept = map[SnapshotID]Snapshot{}
	}
	m.kept[id] = s
}
