package storetest

import (
	"crypto/rand"
	"encoding/hex"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keepsake/crypto"
	"keepsake/store"
	"keepsake/store/object"
)

// Put seals manifests, or entries of the ledger, and puts them into the
// repository past every order and sync of a Writer: for tests that need more
// of them than a Writer makes in a minute.
func Put[M interface{ Marshal() ([]byte, error) }](t testing.TB, p *Place, kind object.Kind, all iter.Seq[M]) (ids []store.SnapshotID) {
	t.Helper()
	keys := p.unlock(t)
	dir := filepath.Join(p.Dir, map[object.Kind]string{object.Snapshot: "snapshots", object.Ledger: "ledger"}[kind])
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for m := range all {
		plain, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := object.Seal(keys, kind, plain, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		id := object.ID(sealed)
		if err := os.WriteFile(filepath.Join(dir, hex.EncodeToString(id[:])), sealed, 0o600); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// unlock opens the keys of a repository that nobody rotated.
func (p *Place) unlock(t testing.TB) *crypto.Keyring {
	t.Helper()
	id, err := store.Identify(t.Context(), p.Backend)
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(p.Dir, "keys", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var slots []*crypto.Slot
	var epochs []*crypto.EpochRecord
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(filepath.Base(name), "epoch-") {
			payload, err := object.Unframe(object.Epoch, b)
			if err != nil {
				t.Fatal(err)
			}
			e, err := crypto.ParseEpochRecord(payload)
			if err != nil {
				t.Fatal(err)
			}
			epochs = append(epochs, e)
			continue
		}
		payload, err := object.Unframe(object.Slot, b)
		if err != nil {
			t.Fatal(err)
		}
		s, err := crypto.ParseSlot(payload)
		if err != nil {
			t.Fatal(err)
		}
		slots = append(slots, s)
	}
	keys, _, err := crypto.Unlock(id, slots, epochs, p.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}
