package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"keepsake/store"
	"keepsake/store/object"
	"keepsake/store/tree"
)

func ids(all []store.Snapshot) (out []store.SnapshotID) {
	for _, s := range all {
		out = append(out, s.ID)
	}
	return out
}

// wanted is what Snapshots shows, without damage.
func wanted(t testing.TB, r *store.Repository) []store.SnapshotID {
	t.Helper()
	all, damaged, err := r.Snapshots(t.Context())
	if err != nil || len(damaged) > 0 {
		t.Fatalf("%v, %v", damaged, err)
	}
	return ids(all)
}

func again(t testing.TB, l *library, r *store.Repository) *store.Repository {
	t.Helper()
	must(t, r.Close())
	r, err := l.TryOpen(t.Context())
	must(t, err)
	return r
}

func TestForgetAndUndelete(t *testing.T) {
	l := newLibrary(t)
	r, err := l.TryOpen(t.Context())
	must(t, err)
	one, two, other := l.snapshots[0], l.snapshots[1], l.snapshots[2]
	must(t, r.Forget(t.Context(), []store.Snapshot{one, one}, "anna@nas", "test"))
	must(t, r.Forget(t.Context(), []store.Snapshot{one}, "anna@nas", "again"))
	if n := len(l.names(t, "ledger/")); n != 1 {
		t.Errorf("%d entries", n)
	}
	for range 2 {
		if got := wanted(t, r); !slices.Equal(got, []store.SnapshotID{two.ID, other.ID}) {
			t.Errorf("snapshots %v", got)
		}
		if _, err := r.Find(t.Context(), one.ID.String()); !errors.Is(err, store.ErrNoSnapshot) {
			t.Errorf("found: %v", err)
		}
		if s, err := r.FindForgotten(t.Context(), one.ID.Short()); err != nil || s.ID != one.ID {
			t.Errorf("%v, %v", s.ID, err)
		}
		if _, err := r.FindForgotten(t.Context(), two.ID.Short()); !errors.Is(err, store.ErrNoSnapshot) {
			t.Errorf("found: %v", err)
		}
		l.sound(t, r)
		r = again(t, l, r)
	}
	must(t, r.Undelete(t.Context(), []store.Snapshot{one, two}, "anna@nas", "test"))
	for range 2 {
		if got := wanted(t, r); !slices.Equal(got, ids(l.snapshots)) {
			t.Errorf("snapshots %v", got)
		}
		r = again(t, l, r)
	}
	must(t, r.Undelete(t.Context(), []store.Snapshot{one}, "", ""))
	if n := len(l.names(t, "ledger/")); n != 2 {
		t.Errorf("%d entries", n)
	}
	if err := r.Undelete(t.Context(), []store.Snapshot{{ID: store.SnapshotID{1}}}, "", ""); !errors.Is(err, store.ErrNoSnapshot) {
		t.Errorf("%v", err)
	}
	must(t, r.Close())
}

func TestForgetRefuses(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	one, two, other := l.snapshots[0], l.snapshots[1], l.snapshots[2] // one missed something
	w := begin(t, r)
	marked := publish(t, w, 1, folder{}, func(m *tree.Snapshot) { m.Marks = []string{"emptied"} })
	missed := publish(t, w, 1, folder{}, func(m *tree.Snapshot) {
		m.MissedCount, m.Missed = 1, []tree.Missed{{Path: []byte("x"), Reason: tree.ReasonPermission}}
	})
	finish(t, w)
	must(t, r.Record(t.Context(), tree.LedgerEntry{Kind: tree.Pin, Snapshots: []tree.LedgerSnapshot{one.Name()}, Why: "before the emptying"}))
	for name, c := range map[string]struct {
		some []store.Snapshot
		want error
		say  string
	}{
		"newest complete":          {[]store.Snapshot{missed, marked}, store.ErrKept, "newest complete"},
		"newest without a mark":    {[]store.Snapshot{two}, store.ErrKept, "newest complete"},
		"only one of its chain":    {[]store.Snapshot{other}, store.ErrKept, "source-2"},
		"pinned":                   {[]store.Snapshot{one}, store.ErrKept, "before the emptying"},
		"not there":                {[]store.Snapshot{{ID: store.SnapshotID{1}}}, store.ErrNoSnapshot, ""},
		"one of several is enough": {[]store.Snapshot{missed, two, one}, store.ErrKept, "pinned"},
	} {
		if err := r.Forget(t.Context(), c.some, "", ""); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := wanted(t, r); len(got) != 5 {
		t.Errorf("%d snapshots are left", len(got))
	}
	must(t, r.Record(t.Context(), tree.LedgerEntry{Kind: tree.Unpin, Snapshots: []tree.LedgerSnapshot{one.Name()}}))
	must(t, r.Forget(t.Context(), []store.Snapshot{one, missed}, "", ""))
	if err := r.Record(t.Context(), tree.LedgerEntry{Kind: tree.Forget, Snapshots: []tree.LedgerSnapshot{two.Name()}}); err == nil {
		t.Error("Record forgets the newest")
	}
	l.sound(t, r)
}

// TestForgottenCounts forgets the head of a chain, and takes its manifest away
// as a prune will: numbers go on, and no rollback is seen.
func TestForgottenCounts(t *testing.T) {
	for _, pruned := range []bool{false, true} {
		for _, stateless := range []bool{false, true} {
			t.Run(fmt.Sprintf("pruned=%v,stateless=%v", pruned, stateless), func(t *testing.T) {
				l := newLibrary(t)
				dir := l.stateDir(t)
				r, err := l.TryOpen(t.Context())
				must(t, err)
				w := begin(t, r)
				head := publish(t, w, 1, folder{}, func(m *tree.Snapshot) { m.Basis = tree.InProgress })
				finish(t, w)
				must(t, r.Forget(t.Context(), []store.Snapshot{head}, "", ""))
				if pruned {
					must(t, os.Remove(l.object(store.SnapshotName(head.ID))))
				}
				must(t, r.Close())
				if stateless {
					must(t, os.RemoveAll(dir))
				}
				r, err = l.TryOpen(t.Context())
				must(t, err)
				defer r.Close()
				next := keep(t, r, 1, photos())
				if stateless {
					if i := slices.IndexFunc(next.Heads, func(h tree.Head) bool { return h.ID == head.ID }); i < 0 || next.Heads[i].Number != head.Number {
						t.Errorf("heads %v do not name the forgotten one", next.Heads)
					}
				} else if next.Number != head.Number+1 || *next.Previous != head.ID {
					t.Errorf("number %d after %d, previous %x", next.Number, head.Number, *next.Previous)
				}
				if pruned {
					if err := r.Undelete(t.Context(), []store.Snapshot{head}, "", ""); !errors.Is(err, store.ErrNoSnapshot) {
						t.Errorf("undelete of a pruned one: %v", err)
					}
				}
				l.sound(t, r)
			})
		}
	}
}

// TestLostIsNoForgotten takes manifests away that the ledger does not explain,
// or no longer: check must say so.
func TestLostIsNoForgotten(t *testing.T) {
	for name, spoil := range map[string]func(l *library, r *store.Repository){
		"never forgotten": func(*library, *store.Repository) {},
		"pinned only": func(l *library, r *store.Repository) {
			must(t, r.Record(t.Context(), tree.LedgerEntry{Kind: tree.Pin, Snapshots: []tree.LedgerSnapshot{l.snapshots[0].Name()}}))
		},
		"forgotten and brought back": func(l *library, r *store.Repository) {
			must(t, r.Forget(t.Context(), l.snapshots[:1], "", ""))
			must(t, r.Undelete(t.Context(), l.snapshots[:1], "", ""))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLibrary(t)
			r := l.Open(t)
			spoil(l, r)
			l.sound(t, r)
			must(t, os.Remove(l.object(store.SnapshotName(l.snapshots[0].ID))))
			if problems, _ := check(t, r, store.CheckOptions{}); len(problems) != 1 || problems[0].Kind != store.BrokenChain {
				t.Errorf("check says %v", problems)
			}
		})
	}
}

// TestFoldInAnyOrder has entries of several writers at few different times, and
// reads them in many orders: all give one view.
func TestFoldInAnyOrder(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	const snapshots, entries, orders = 4, 12, 50
	for round := range 100 {
		var all []store.FoldEntry
		for i := range entries {
			e := tree.LedgerEntry{
				Kind: []tree.LedgerKind{tree.Forget, tree.Undelete, tree.Pin, tree.Unpin, tree.Tag}[rnd.IntN(5)],
				Time: tree.Time{Sec: 1_000 + int64(rnd.IntN(3))}, Writer: [16]byte{byte(i % 2)},
			}
			for n := range snapshots {
				if rnd.IntN(2) == 0 {
					e.Snapshots = append(e.Snapshots, tree.LedgerSnapshot{ID: [32]byte{byte(n)}, Number: uint64(n + 1)})
				}
			}
			if e.Kind == tree.Tag {
				e.Tags = []string{fmt.Sprint(i)}
			}
			all = append(all, store.FoldEntry{ID: [32]byte{byte(rnd.IntN(256)), byte(i)}, Entry: &e})
		}
		want := store.Fold(all, snapshots)
		for range orders {
			rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			if got := store.Fold(append(all, all[:3]...), snapshots); got != want {
				t.Fatalf("seed %d, round %d:\n%s\n%s", seed, round, got, want)
			}
		}
	}
}

// TestLastWordCounts says things one after the other with a clock that is set
// back between them.
func TestLastWordCounts(t *testing.T) {
	l := newLibrary(t)
	now := time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC)
	l.Now = func() time.Time { return now }
	r, err := l.TryOpen(t.Context())
	must(t, err)
	one := l.snapshots[0]
	for range 3 {
		must(t, r.Forget(t.Context(), []store.Snapshot{one}, "", ""))
		r = again(t, l, r)
		if got := wanted(t, r); slices.Contains(got, one.ID) {
			t.Error("not forgotten")
		}
		now = now.AddDate(-5, 0, 0)
		must(t, r.Undelete(t.Context(), []store.Snapshot{one}, "", ""))
		r = again(t, l, r)
		if got := wanted(t, r); !slices.Contains(got, one.ID) {
			t.Error("still forgotten")
		}
	}
	must(t, r.Close())
}

func TestPinsAndTags(t *testing.T) {
	l := newLibrary(t)
	r, err := l.TryOpen(t.Context())
	must(t, err)
	one, two := l.snapshots[0], l.snapshots[1]
	until := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	must(t, r.Record(t.Context(), tree.LedgerEntry{Kind: tree.Pin, Snapshots: []tree.LedgerSnapshot{two.Name(), one.Name()}, Until: tree.TimeOf(until), Why: "wedding"}))
	must(t, r.Record(t.Context(), tree.LedgerEntry{Kind: tree.Tag, Snapshots: []tree.LedgerSnapshot{one.Name()}, Tags: []string{"b", "a", "b"}}))
	r = again(t, l, r)
	defer r.Close()
	ledger, err := r.Ledger(t.Context())
	must(t, err)
	if why, ok := ledger.Pinned(one.ID, until.Add(-1)); !ok || why != "wedding" {
		t.Errorf("%q, %v", why, ok)
	}
	if _, ok := ledger.Pinned(one.ID, until); ok {
		t.Error("pinned for ever")
	}
	if s, err := r.Find(t.Context(), one.ID.Short()); err != nil || !slices.Equal(s.Tags, []string{"a", "b"}) {
		t.Errorf("tags %v, %v", s.Tags, err)
	}
	must(t, r.Record(t.Context(), tree.LedgerEntry{Kind: tree.Tag, Snapshots: []tree.LedgerSnapshot{one.Name()}}))
	if s, err := r.Find(t.Context(), one.ID.Short()); err != nil || len(s.Tags) != 0 {
		t.Errorf("tags %v, %v", s.Tags, err)
	}
	l.sound(t, r)
}

// TestUnreadableEntry damages an entry: reading goes on and says so, nothing is
// forgotten, and a snapshot can still be brought back and pinned.
func TestUnreadableEntry(t *testing.T) {
	l := newLibrary(t)
	r, err := l.TryOpen(t.Context())
	must(t, err)
	one, other := l.snapshots[0], l.snapshots[2]
	must(t, r.Record(t.Context(), tree.LedgerEntry{Kind: tree.Pin, Snapshots: []tree.LedgerSnapshot{other.Name()}}))
	pin := l.names(t, "ledger/")[0]
	undo := flip(t, l.object(pin), 100, 1)
	r = again(t, l, r)
	defer r.Close()
	all, damaged, err := r.Snapshots(t.Context())
	if err != nil || len(all) != 3 || len(damaged) != 1 || !strings.Contains(damaged[0].Error(), pin) {
		t.Errorf("%d snapshots, %v, %v", len(all), damaged, err)
	}
	if err := r.Forget(t.Context(), []store.Snapshot{one}, "", ""); !errors.Is(err, store.ErrLedger) || !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), pin) {
		t.Errorf("%v", err)
	}
	for _, dry := range []bool{true, false} {
		if _, err := r.Expire(t.Context(), store.ExpireOptions{Source: one.Source, DryRun: dry}); !errors.Is(err, store.ErrLedger) {
			t.Errorf("%v", err)
		}
	}
	must(t, r.Record(t.Context(), tree.LedgerEntry{Kind: tree.Pin, Snapshots: []tree.LedgerSnapshot{one.Name()}}))
	if problems, _ := check(t, r, store.CheckOptions{}); len(problems) != 1 || problems[0].Object != pin {
		t.Errorf("check says %v", problems)
	}
	undo()
	must(t, r.Record(t.Context(), tree.LedgerEntry{Kind: tree.Unpin, Snapshots: []tree.LedgerSnapshot{one.Name()}}))
	must(t, r.Forget(t.Context(), []store.Snapshot{one}, "", ""))
	l.sound(t, r)
}

// TestForeignFileInLedger is not keepsake's, and keeps nothing from being forgotten.
func TestForeignFileInLedger(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	must(t, os.MkdirAll(l.object("ledger"), 0o700))
	must(t, os.WriteFile(l.object("ledger/.DS_Store"), []byte("x"), 0o600))
	must(t, r.Forget(t.Context(), l.snapshots[:1], "", ""))
	if got := wanted(t, r); len(got) != 2 {
		t.Errorf("%v", got)
	}
}

// TestPurgedNeverComesBack: what was purged is hidden, and no undelete helps.
func TestPurgedNeverComesBack(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	one := l.snapshots[0]
	e := tree.LedgerEntry{Kind: tree.Purge, Time: tree.Time{Sec: 1}, Snapshots: []tree.LedgerSnapshot{one.Name()}, Paths: [][]byte{[]byte("photos/a.jpg")}}
	plain, err := e.Marshal()
	must(t, err)
	_, err = r.PutRecord(t.Context(), object.Ledger, plain)
	must(t, err)
	if err := r.Undelete(t.Context(), []store.Snapshot{one}, "", ""); !errors.Is(err, store.ErrNoSnapshot) {
		t.Errorf("%v", err)
	}
	if got := wanted(t, r); slices.Contains(got, one.ID) {
		t.Error("shown")
	}
}
