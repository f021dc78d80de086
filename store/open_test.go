package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"keepsake/crypto"
	"keepsake/store"
	"keepsake/store/backend"
	"keepsake/store/state"
	"keepsake/store/storetest"
)

func TestSecondOwner(t *testing.T) {
	p := storetest.New(t)
	p.Open(t)
	_, err := p.TryOpen(t.Context())
	owned, ok := errors.AsType[*state.OwnedError](err)
	if !ok || owned.PID != os.Getpid() {
		t.Fatalf("second owner: %v", err)
	}
}

func TestOpensAfterKilledOwner(t *testing.T) {
	p := storetest.New(t)
	r, err := p.TryOpen(t.Context())
	must(t, err)
	dir := r.State().Dir()
	must(t, r.Close())
	// What a killed process leaves: its number, and no lock.
	must(t, os.WriteFile(filepath.Join(dir, "owner.pid"), []byte("1"), 0o600))
	p.Open(t)
}

func TestOpenRefuses(t *testing.T) {
	p := storetest.New(t)
	empty, err := backend.CreateLocal(filepath.Join(t.TempDir(), "empty"), nil)
	must(t, err)
	options := store.Options{Objects: empty, StateBase: t.TempDir(), Secret: func(context.Context, []crypto.SlotKind) (crypto.Secret, error) {
		return crypto.Secret{}, errors.New("nobody should be asked")
	}}
	if _, err := store.Open(t.Context(), options); !errors.Is(err, store.ErrNoRepository) {
		t.Errorf("empty place: %v", err)
	}
	other := storetest.New(t)
	other.Secret = p.Secret
	if _, err := other.TryOpen(t.Context()); !errors.Is(err, crypto.ErrWrongSecret) {
		t.Errorf("wrong secret: %v", err)
	}
}

// TestSwappedRepository puts another repository in place of the one that a
// state directory belongs to, by its id.
func TestSwappedRepository(t *testing.T) {
	p, other := storetest.New(t), storetest.New(t)
	r, err := p.TryOpen(t.Context())
	must(t, err)
	was := r.State().Dir()
	must(t, r.Close())
	r, err = other.TryOpen(t.Context())
	must(t, err)
	is := r.State().Dir()
	must(t, r.Close())
	must(t, os.RemoveAll(is))
	must(t, os.Rename(was, is))
	if _, err := other.TryOpen(t.Context()); !errors.Is(err, state.ErrPinned) {
		t.Errorf("a state of another repository: %v", err)
	}
}

func TestOlderCopyIsRefused(t *testing.T) {
	l := newLibrary(t)
	must(t, os.Remove(l.object(store.SnapshotName(l.snapshots[1].ID))))
	if _, err := l.TryOpen(t.Context()); !errors.Is(err, state.ErrRolledBack) {
		t.Errorf("a chain lacks its last snapshot: %v", err)
	}
}

// TestDamagedHeadKeepsItsNumber lets the newest manifest of a chain rot: the
// next snapshot follows it and does not take its number.
func TestDamagedHeadKeepsItsNumber(t *testing.T) {
	l := newLibrary(t)
	head := l.snapshots[1]
	undo := flip(t, l.object(store.SnapshotName(head.ID)), 100, 1)
	r := l.Open(t)
	s := keep(t, r, 1, photos())
	if s.Number != head.Number+1 || *s.Previous != head.ID {
		t.Errorf("number %d after %x, want %d after %s", s.Number, *s.Previous, head.Number+1, head.ID)
	}
	undo()
	l.sound(t, r)
}
