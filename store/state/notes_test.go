package state_test

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"keepsake/crypto"
	"keepsake/store/state"
)

// note is what a test notes.
type note struct {
	Text string `cbor:"0,keyasint"`
}

func TestNotesAndJournalSurvive(t *testing.T) {
	dir := t.TempDir()
	keys := keyring(t, crypto.RepositoryID{1})
	source, other := state.SourceID{1}, state.SourceID{2}

	d := open(t, dir)
	must(t, d.Pin(keys))
	must(t, d.SetNote(source, "job", note{"Weber wedding"}))
	must(t, d.SetNote(source, "gone", note{"x"}))
	must(t, d.SetNote(source, "gone", nil))
	must(t, d.Journal(source, []string{"", "2026/Weber", "2026/Huber"}))
	must(t, d.Journal(source, []string{"2026/Weber"}))
	must(t, d.Journal(other, []string{"clients"}))
	must(t, d.Unjournal(source, []string{"2026/Huber", "never"}))
	must(t, d.Close())

	b, err := os.ReadFile(filepath.Join(dir, "state.db"))
	must(t, err)
	for _, name := range []string{"Weber", "clients"} {
		if bytes.Contains(b, []byte(name)) {
			t.Errorf("state.db names %s", name)
		}
	}

	d = open(t, dir)
	must(t, d.Pin(keys))
	defer d.Close()
	var n note
	if ok, err := d.Note(source, "job", &n); err != nil || !ok || n.Text != "Weber wedding" {
		t.Errorf("note %v %q %v", ok, n.Text, err)
	}
	if ok, err := d.Note(source, "gone", &n); err != nil || ok {
		t.Errorf("removed note %v %v", ok, err)
	}
	if ok, err := d.Note(other, "job", &n); err != nil || ok {
		t.Errorf("another source's note %v %v", ok, err)
	}
	dirs, more, err := d.Journalled(source)
	must(t, err)
	slices.Sort(dirs)
	if more || !slices.Equal(dirs, []string{"", "2026/Weber"}) {
		t.Errorf("journal %q, more %v", dirs, more)
	}
	must(t, d.Unjournal(source, nil))
	if dirs, _, err = d.Journalled(source); err != nil || len(dirs) > 0 {
		t.Errorf("cleared journal %q %v", dirs, err)
	}
	if dirs, _, err = d.Journalled(other); err != nil || len(dirs) != 1 {
		t.Errorf("another source's journal %q %v", dirs, err)
	}
}

// TestForeignNote opens a note with the keys of another repository.
func TestForeignNote(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	must(t, d.Pin(keyring(t, crypto.RepositoryID{1})))
	must(t, d.SetNote(state.SourceID{1}, "job", note{"x"}))
	must(t, d.Close())
	b, err := os.ReadFile(filepath.Join(dir, "state.db"))
	must(t, err)
	k, err := crypto.NewKeyring(crypto.RepositoryID{1}, rand.Reader)
	must(t, err)
	dir = t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "state.db"), b, 0o600))
	d = open(t, dir)
	defer d.Close()
	if err := d.Pin(k); err == nil {
		t.Error("other keys were pinned")
	}
}

// TestJournalKnownAlreadyIsNotWritten: a keeper journals again and again what
// waits for its hour; a disk is not woken for what is there.
func TestJournalKnownAlreadyIsNotWritten(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	defer d.Close()
	must(t, d.Pin(keyring(t, crypto.RepositoryID{1})))
	source := state.SourceID{1}
	writes := func(do func() error) bool {
		t.Helper()
		before, err := os.ReadFile(filepath.Join(dir, "state.db"))
		must(t, err)
		must(t, do())
		after, err := os.ReadFile(filepath.Join(dir, "state.db"))
		must(t, err)
		return !bytes.Equal(before, after)
	}
	some, none := []string{"", "2026/Weber"}, []string{"never"}
	for _, step := range []struct {
		name   string
		do     func() error
		writes bool
	}{
		{"new", func() error { return d.Journal(source, some) }, true},
		{"known", func() error { return d.Journal(source, some) }, false},
		{"one new", func() error { return d.Journal(source, []string{"", "2026"}) }, true},
		{"nothing", func() error { return d.Journal(source, nil) }, false},
		{"removing what is not there", func() error { return d.Unjournal(source, none) }, false},
		{"removing one", func() error { return d.Unjournal(source, []string{"2026", "never"}) }, true},
		{"removing nothing", func() error { return d.Unjournal(source, []string{}) }, false},
		{"removing all", func() error { return d.Unjournal(source, nil) }, true},
		{"removing all of none", func() error { return d.Unjournal(source, nil) }, false},
	} {
		if got := writes(step.do); got != step.writes {
			t.Errorf("%s: written %v", step.name, got)
		}
	}
}
