package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"keepsake/store"
	"keepsake/store/backend"
	"keepsake/store/durable"
	"keepsake/store/retention"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// days publishes one snapshot of source 1 for each of some days at noon in
// Tokyo.
func days(t testing.TB, r *store.Repository, n int, change func(day int, m *tree.Snapshot)) (all []store.Snapshot) {
	t.Helper()
	w := begin(t, r)
	first := time.Date(2026, 11, 1, 12, 0, 0, 0, time.FixedZone("", 9*3600))
	for day := range n {
		all = append(all, publish(t, w, 1, folder{}, func(m *tree.Snapshot) {
			m.Started = tree.TimeOf(first.AddDate(0, 0, day))
			m.ZoneOffset = 9 * 3600
			if change != nil {
				change(day, m)
			}
		}))
	}
	finish(t, w)
	return all
}

func verdicts(all []store.Expiry) (out []string) {
	for _, x := range all {
		out = append(out, fmt.Sprintf("%d %v %s", x.Number, x.Keep, strings.Join(x.Reasons, "; ")))
	}
	return out
}

func TestExpire(t *testing.T) {
	place := storetest.New(t)
	r := place.Open(t)
	all := days(t, r, 8, func(day int, m *tree.Snapshot) {
		if day == 7 {
			m.Marks = []string{"emptied"}
		}
	})
	other := keep(t, r, 2, folder{})
	must(t, r.Record(t.Context(), tree.LedgerEntry{Kind: tree.Pin, Snapshots: []tree.LedgerSnapshot{all[1].Name()}}))
	must(t, r.Record(t.Context(), tree.LedgerEntry{Kind: tree.Tag, Snapshots: []tree.LedgerSnapshot{all[2].Name()}, Tags: []string{"delivered"}}))
	o := store.ExpireOptions{Source: all[0].Source, Policy: retention.Policy{Daily: 2, Tags: []string{"delivered"}}, Who: "anna@nas"}
	want := []string{
		"1 false ", "2 true pinned", "3 true tag delivered", "4 false ", "5 false ", "6 false ",
		"7 true newest complete; daily 2026-11-07", "8 true newest; daily 2026-11-08",
	}

	o.DryRun = true
	made, err := r.Expire(t.Context(), o)
	must(t, err)
	if got := verdicts(made); !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	o.DryRun, o.Paused = false, "a guard waits for somebody"
	made, err = r.Expire(t.Context(), o)
	must(t, err)
	if got := verdicts(made); got[0] != "1 true expiry is paused: a guard waits for somebody" || got[1] != want[1] {
		t.Errorf("paused: %q", got)
	}
	if got := wanted(t, r); len(got) != 9 {
		t.Errorf("%d snapshots are left", len(got))
	}

	o.Paused = ""
	made, err = r.Expire(t.Context(), o)
	must(t, err)
	if got := verdicts(made); !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if got := wanted(t, r); !slices.Equal(got, []store.SnapshotID{all[1].ID, all[2].ID, all[6].ID, all[7].ID, other.ID}) {
		t.Errorf("left %v", got)
	}
	// A second time there is nothing to do, and nothing is written.
	made, err = r.Expire(t.Context(), o)
	if err != nil || len(made) != 4 {
		t.Errorf("%q, %v", verdicts(made), err)
	}
	if problems, _ := check(t, r, store.CheckOptions{}); len(problems) > 0 {
		t.Errorf("check says %v", problems)
	}
}

// TestExpireKeepsMarked keeps both the newest that missed nothing and the newest
// that no guard has marked, though the policy wants neither.
func TestExpireKeepsMarked(t *testing.T) {
	r := storetest.New(t).Open(t)
	all := days(t, r, 6, func(day int, m *tree.Snapshot) {
		switch day {
		case 2, 3:
			m.Marks = []string{"emptied"}
		case 4, 5:
			m.MissedCount, m.Missed = 1, []tree.Missed{{Path: []byte("x"), Reason: tree.ReasonPermission}}
		}
	})
	_, err := r.Expire(t.Context(), store.ExpireOptions{Source: all[0].Source, Policy: retention.Policy{Last: 1}})
	must(t, err)
	if got := wanted(t, r); !slices.Equal(got, []store.SnapshotID{all[1].ID, all[3].ID, all[5].ID}) {
		t.Errorf("left %v", got)
	}
}

func TestExpireRefuses(t *testing.T) {
	r := storetest.New(t).Open(t)
	all := days(t, r, 3, nil)
	if _, err := r.Expire(t.Context(), store.ExpireOptions{Source: all[0].Source, Policy: retention.Policy{Daily: -1}}); err == nil {
		t.Error("a negative number was accepted")
	}
	made, err := r.Expire(t.Context(), store.ExpireOptions{Source: all[0].Source})
	if err != nil || len(made) != 3 || len(wanted(t, r)) != 3 {
		t.Errorf("without a rule: %q, %v", verdicts(made), err)
	}
	if made, err := r.Expire(t.Context(), store.ExpireOptions{Source: [16]byte{9}, Policy: retention.Default()}); err != nil || len(made) != 0 {
		t.Errorf("unknown source: %q, %v", verdicts(made), err)
	}
}

// TestForgetThroughFaults fails each operation on the disk in turn while a
// snapshot is forgotten: afterwards it is forgotten or not, and the repository
// is sound.
func TestForgetThroughFaults(t *testing.T) {
	broken := errors.New("the disk is broken")
	outcomes := map[string]int{}
	for at := 1; ; at++ {
		place := storetest.New(t)
		r, err := place.TryOpen(t.Context())
		must(t, err)
		all := days(t, r, 2, nil)
		must(t, r.Close())

		armed, n := false, 0
		good := place.Backend
		place.Backend, err = backend.OpenLocal(place.Dir, &durable.Disk{Hook: func(durable.Op, string) error {
			if !armed {
				return nil
			}
			if n++; n >= at {
				return broken
			}
			return nil
		}})
		must(t, err)
		r, err = place.TryOpen(t.Context())
		must(t, err)
		armed = true
		failed := r.Forget(t.Context(), all[:1], "", "")
		armed = false
		must(t, r.Close())
		must(t, place.Backend.Close())
		place.Backend = good
		r, err = place.TryOpen(t.Context())
		must(t, err)
		left := wanted(t, r)
		if failed == nil && len(left) != 1 {
			t.Errorf("fault %d: forgotten, and shown", at)
		}
		if failed != nil && !errors.Is(failed, broken) {
			t.Errorf("fault %d: %v", at, failed)
		}
		outcomes[fmt.Sprintf("failed=%v shown=%v", failed != nil, len(left) == 2)]++
		if problems, _ := check(t, r, store.CheckOptions{}); len(problems) > 0 {
			t.Errorf("fault %d: check says %v", at, problems)
		}
		must(t, r.Close())
		if failed == nil {
			break // no fault reached it
		}
	}
	t.Log(outcomes)
	if outcomes["failed=true shown=true"] == 0 || outcomes["failed=true shown=false"] == 0 {
		t.Error("the faults show nothing")
	}
}
