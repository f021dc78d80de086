package backend_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"keepsake/store/durable"
)

// A model of a disk that forgets whatever was not synced: it watches the
// operations and says which objects a power cut now would lose or tear.
type powerCut struct {
	bytesSynced map[string]bool // by current path
	nameSynced  map[string]bool
}

func (p *powerCut) hook(op durable.Op, path string) error {
	if p.bytesSynced == nil {
		p.bytesSynced, p.nameSynced = map[string]bool{}, map[string]bool{}
	}
	switch op {
	case durable.OpCreate, durable.OpWrite:
		p.bytesSynced[path] = false
	case durable.OpSync:
		p.bytesSynced[path] = true
	case durable.OpMkdir:
		p.nameSynced[path] = false
	case durable.OpSyncDir:
		entries, err := os.ReadDir(path)
		for _, e := range entries {
			p.nameSynced[filepath.Join(path, e.Name())] = true
		}
		return err
	}
	return nil
}

// lost names the objects that a power cut would not leave whole under their
// names. temps maps them to the files that they were renamed from.
func (p *powerCut) lost(dir string, temps map[string]string) (lost []string) {
	for name := range workload {
		ok := p.bytesSynced[temps[name]]
		for at := filepath.Join(dir, name); at != dir; at = filepath.Dir(at) {
			ok = ok && p.nameSynced[at]
		}
		if !ok {
			lost = append(lost, name)
		}
	}
	return lost
}

func TestAcknowledgedSurvivesPowerCut(t *testing.T) {
	dir := newRepository(t)
	var p powerCut
	temps := map[string]string{}
	order := []string{"data/ab/1", "data/ab/2", "snapshots/3"}
	l := openAs(t, dir, &durable.Disk{Hook: func(op durable.Op, path string) error {
		if op == durable.OpRename {
			temps[order[len(temps)]] = path
			if !p.bytesSynced[path] {
				t.Errorf("%s gets its name before its bytes are synced", path)
			}
		}
		return p.hook(op, path)
	}}, owner)
	if err := runWorkload(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if lost := p.lost(dir, temps); len(lost) > 0 {
		t.Errorf("acknowledged, but a power cut loses %v", lost)
	}
}

// The checks above must be able to fail: writers that leave out one step each.
func TestNegativeControl(t *testing.T) {
	for _, skip := range []durable.Op{0, durable.OpSync, durable.OpSyncDir} {
		var p powerCut
		disk := &durable.Disk{Hook: p.hook}
		dir, temps := t.TempDir(), map[string]string{}
		for name, data := range workload {
			if err := disk.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
				t.Fatal(err)
			}
			temp := filepath.Join(dir, filepath.Base(name))
			temps[name] = temp
			f, err := disk.Create(temp, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.Write(data)
			if skip != durable.OpSync {
				err = errors.Join(err, f.Sync())
			}
			err = errors.Join(err, f.Close(), disk.Rename(temp, filepath.Join(dir, name)))
			if skip != durable.OpSyncDir {
				err = errors.Join(err, disk.SyncDir(filepath.Dir(filepath.Join(dir, name))))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if lost := p.lost(dir, temps); (len(lost) == 0) != (skip == 0) {
			t.Errorf("without %v the model loses %v", skip, lost)
		}
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "snapshots"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "snapshots/3"), workload["snapshots/3"][:2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := whole(dir); err == nil {
		t.Error("half an object under its final name goes unnoticed")
	}
}
