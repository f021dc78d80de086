package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"keepsake/store"
	"keepsake/store/tree"
)

func TestFind(t *testing.T) {
	l := newLibrary(t)
	l.Now = func() time.Time { return time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC) }
	r := l.Open(t)
	one, two, other := l.snapshots[0], l.snapshots[1], l.snapshots[2]
	stamp := func(s store.Snapshot) string { return s.Started.Time().Format("2006-01-02T15:04:05") }
	for spec, want := range map[string]store.SnapshotID{
		one.ID.String():                 one.ID,
		strings.ToUpper(two.ID.Short()): two.ID,
		"latest@source-1":               two.ID,
		"latest@source-2":               other.ID,
		stamp(one):                      one.ID,
		stamp(two) + "@source-1":        two.ID,
		"2030-01-01@source-2":           other.ID,
		stamp(one) + "Z":                one.ID,
		stamp(other)[:10] + "@source-1": two.ID,
		stamp(other) + "@source-1":      two.ID,
		strings.Replace(stamp(two), "T", " ", 1) + "@source-1": two.ID,
	} {
		got, err := r.Find(t.Context(), spec)
		if err != nil || got.ID != want {
			t.Errorf("%q: %s, %v, want %s", spec, got.ID.Short(), err, want.Short())
		}
	}
	for spec, want := range map[string]error{
		"latest":          store.ErrAmbiguous,
		"2030-01-01":      store.ErrAmbiguous,
		"latest@nobody":   store.ErrNoSnapshot,
		"1999-01-01":      store.ErrNoSnapshot,
		"abc":             store.ErrAmbiguous,
		"":                store.ErrNoSnapshot,
		"no such thing":   store.ErrNoSnapshot,
		"0123456789abcde": store.ErrNoSnapshot,
	} {
		if _, err := r.Find(t.Context(), spec); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", spec, err, want)
		}
	}
}

// TestFindSaysWhatThereIs: a time before all snapshots, an unknown label and one
// in the wrong case are told apart, with what to say instead.
func TestFindSaysWhatThereIs(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	for spec, want := range map[string]string{
		"1999-01-01":          "the oldest is of " + l.snapshots[0].Started.Time().In(l.snapshots[0].Zone()).Format("2006-01-02 15:04:05"),
		"1999-01-01@source-2": "the oldest is of " + l.snapshots[2].Started.Time().In(l.snapshots[2].Zone()).Format("2006-01-02 15:04:05"),
		"latest@Source-1":     "say latest@source-1",
		"2030-01-01@SOURCE-2": "say 2030-01-01@source-2",
		"latest@nobody":       `no source is called "nobody"; there are: source-1, source-2`,
	} {
		if _, err := r.Find(t.Context(), spec); !errors.Is(err, store.ErrNoSnapshot) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", spec, err, want)
		}
	}
}

func TestFindPrefersFinished(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	w := begin(t, r)
	publish(t, w, 2, folder{}, func(m *tree.Snapshot) { m.Basis = tree.InProgress })
	only := publish(t, w, 5, folder{}, func(m *tree.Snapshot) { m.Basis = tree.InProgress })
	finish(t, w)
	if s, err := r.Find(t.Context(), "latest@source-2"); err != nil || s.ID != l.snapshots[2].ID {
		t.Errorf("%s, %v", s.ID.Short(), err)
	}
	if s, err := r.Find(t.Context(), "latest@source-5"); err != nil || s.ID != only.ID {
		t.Errorf("%s, %v", s.ID.Short(), err)
	}
}

// TestFindSaysWhatItCannotRead names damage where it may be why nothing matches.
func TestFindSaysWhatItCannotRead(t *testing.T) {
	l := newLibrary(t)
	lost := l.snapshots[1]
	undo := flip(t, l.object(store.SnapshotName(lost.ID)), 200, 1)
	defer undo()
	r := l.Open(t)
	if _, err := r.Find(t.Context(), lost.ID.Short()); !errors.Is(err, store.ErrNoSnapshot) || !strings.Contains(err.Error(), "check") {
		t.Errorf("%v", err)
	}
}
