package state_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"keepsake/crypto"
	"keepsake/store/state"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func keyring(t *testing.T, repo crypto.RepositoryID) *crypto.Keyring {
	t.Helper()
	k, err := crypto.NewKeyring(repo, rand.Reader)
	must(t, err)
	return k
}

func open(t *testing.T, dir string) *state.DB {
	t.Helper()
	d, err := state.Open(dir, 0)
	must(t, err)
	return d
}

func TestOneOwner(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	_, err := state.Open(dir, 0)
	owned, ok := errors.AsType[*state.OwnedError](err)
	if !ok || owned.PID != os.Getpid() || owned.Dir != dir {
		t.Errorf("second owner: %v", err)
	}
	must(t, d.Close())
	if _, err := os.Stat(filepath.Join(dir, "owner.pid")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the owner's number is left: %v", err)
	}
	must(t, open(t, dir).Close())
}

func TestCloseAfterDirectoryIsGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	d := open(t, dir)
	must(t, os.RemoveAll(dir))
	must(t, d.Close())
}

func TestPin(t *testing.T) {
	dir := t.TempDir()
	k := keyring(t, crypto.RepositoryID{1})
	d := open(t, dir)
	if !d.Fresh() {
		t.Error("a new state is not fresh")
	}
	must(t, d.Pin(k))
	writer := d.Writer()
	must(t, d.Close())
	d = open(t, dir)
	defer d.Close()
	if d.Fresh() || d.Writer() != writer {
		t.Errorf("fresh %v, writer %x was %x", d.Fresh(), d.Writer(), writer)
	}
	must(t, d.Pin(k))
	if err := d.Pin(keyring(t, crypto.RepositoryID{2})); !errors.Is(err, state.ErrPinned) {
		t.Errorf("another repository: %v", err)
	}
	if err := d.Pin(keyring(t, crypto.RepositoryID{1})); !errors.Is(err, state.ErrPinned) {
		t.Errorf("other keys: %v", err)
	}
}

// TestEpochsDoNotGoBack refuses keys that are older than what was seen: storage
// can withhold the newest epoch record.
func TestEpochsDoNotGoBack(t *testing.T) {
	old := keyring(t, crypto.RepositoryID{1})
	_, secret, err := crypto.GenerateKeyFile(rand.Reader)
	must(t, err)
	slot, err := crypto.NewSlot(old, secret, "", clock, rand.Reader)
	must(t, err)
	_, rotated, err := old.Rotate([]*crypto.Slot{slot}, rand.Reader)
	must(t, err)
	d := open(t, t.TempDir())
	defer d.Close()
	must(t, d.Pin(old))
	must(t, d.Pin(rotated))
	if err := d.Pin(old); !errors.Is(err, state.ErrRolledBack) {
		t.Errorf("an older epoch: %v", err)
	}
}

func TestSources(t *testing.T) {
	dir := t.TempDir()
	k := keyring(t, crypto.RepositoryID{1})
	d := open(t, dir)
	must(t, d.Pin(k))
	want := state.Source{ID: state.SourceID{7}, Label: "Weber wedding", Path: []byte("/volume1/clients/Weber \xff")}
	must(t, d.Bind(want))
	must(t, d.Bind(state.Source{ID: state.SourceID{8}, Label: "other", Path: []byte("/b")}))
	must(t, d.Close())

	b, err := os.ReadFile(filepath.Join(dir, "state.db"))
	must(t, err)
	for _, name := range []string{"Weber", "volume1", "other"} {
		if bytes.Contains(b, []byte(name)) {
			t.Errorf("%q lies in the clear", name)
		}
	}
	d = open(t, dir)
	defer d.Close()
	must(t, d.Pin(k))
	got, ok, err := d.Source(want.Label)
	if err != nil || !ok || got.ID != want.ID || !bytes.Equal(got.Path, want.Path) || got.Label != want.Label {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
	if _, ok, err := d.Source("nobody"); ok || err != nil {
		t.Errorf("a source that is not bound: %v, %v", ok, err)
	}
	if all, err := d.Sources(); err != nil || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestHeads(t *testing.T) {
	d := open(t, t.TempDir())
	defer d.Close()
	a := state.Head{Source: state.SourceID{1}, Writer: state.WriterID{1}, Number: 5, ID: [32]byte{5}}
	b := state.Head{Source: state.SourceID{1}, Writer: state.WriterID{2}, Number: 1, ID: [32]byte{1}}
	must(t, d.Remember(a, b))
	older := a
	older.Number, older.ID = 4, [32]byte{4}
	must(t, d.Remember(older))
	heads, err := d.Heads()
	must(t, err)
	if len(heads) != 2 {
		t.Fatalf("%v", heads)
	}
	for _, h := range heads {
		if h != a && h != b {
			t.Errorf("%+v", h)
		}
	}
}

// TestDamagedFileIsSetAside begins anew and keeps what was there, for every way
// in which a file is damaged.
func TestDamagedFileIsSetAside(t *testing.T) {
	page := os.Getpagesize()
	for name, ruin := range map[string]func(b []byte) []byte{
		"empty":      func([]byte) []byte { return nil },
		"short":      func(b []byte) []byte { return b[:50] },
		"one page":   func(b []byte) []byte { return b[:page] },
		"two pages":  func(b []byte) []byte { return b[:2*page] },
		"zeros":      func(b []byte) []byte { return make([]byte, len(b)) },
		"tail zeros": func(b []byte) []byte { clear(b[2*page:]); return b },
		"text":       func([]byte) []byte { return []byte("hello") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := open(t, dir)
			writer := d.Writer()
			must(t, d.Close())
			path := filepath.Join(dir, "state.db")
			b, err := os.ReadFile(path)
			must(t, err)
			ruined := ruin(b)
			must(t, os.WriteFile(path, ruined, 0o600))
			d = open(t, dir)
			defer d.Close()
			if !d.Fresh() || d.SetAside() == "" || d.Writer() == writer {
				t.Errorf("fresh %v, aside %q", d.Fresh(), d.SetAside())
			}
			kept, err := os.ReadFile(d.SetAside())
			must(t, err)
			if len(ruined) > 0 && !bytes.Equal(kept, ruined) {
				t.Error("what was set aside is not what was there")
			}
		})
	}
}

var clock = time.Unix(1_800_000_000, 0)
