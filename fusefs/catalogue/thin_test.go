package catalogue_test

import (
	"slices"
	"testing"
	"time"

	"keepsake/fusefs/catalogue"
	"keepsake/store"
	"keepsake/store/tree"
)

// TestThinned has a studio take a snapshot every so often, and looks at what
// Samba is shown of them.
func TestThinned(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		every time.Duration
		n     int
		gap   time.Duration // the longest between two of the older half that are listed
	}{
		"few":                   {time.Hour, catalogue.MostListed, time.Hour},
		"one too many":          {time.Hour, catalogue.MostListed + 1, 2 * time.Hour},
		"two days of work":      {10 * time.Second, 17_280, 8 * time.Minute},
		"years":                 {17 * time.Minute, 100_000, 137 * time.Hour},
		"all of nearly the day": {time.Second, 3_000, 16 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			var all []*store.Brief
			for i := range test.n {
				s := taken(1, "lib", begin.Add(time.Duration(i)*test.every), 0, tree.Scanned)
				s.ID = store.SnapshotID{byte(i), byte(i >> 8), byte(i >> 16)}
				s.Number = uint64(i)
				all = append(all, s)
			}
			src := catalogue.New(all).Sources[0]
			if len(src.Previous) != test.n || len(src.Snapshots) != test.n || len(src.Listed) > catalogue.MostListed {
				t.Fatalf("%d snapshots, %d for Samba, of which %d are listed", len(src.Snapshots), len(src.Previous), len(src.Listed))
			}
			half := catalogue.MostListed / 2
			if !slices.Equal(src.Listed[max(0, len(src.Listed)-half):], src.Previous[max(0, test.n-half):]) {
				t.Error("the newest are not all listed")
			}
			for i := range len(src.Listed) - half {
				a, b := src.Listed[i], src.Listed[i+1]
				if gap := b.Started.Time().Sub(a.Started.Time()); gap <= 0 || gap > test.gap {
					t.Fatalf("listed are %s and %s after it, %v later", a.Previous(), b.Previous(), gap)
				}
			}
			if first := src.Listed[0].Started.Time().Sub(begin); first > test.gap {
				t.Errorf("the first one is listed %v late", first)
			}
			// What is not listed is found.
			for i := 0; i < test.n; i += 1 + test.n/50 {
				if s := src.Previous[i]; src.PreviousAt(s.Previous()) != s {
					t.Errorf("%s is not found", s.Previous())
				}
			}
		})
	}
}

// TestThinnedWithoutTime has clocks that know nothing of time.
func TestThinnedWithoutTime(t *testing.T) {
	var all []*store.Brief
	for i := range 3000 {
		s := taken(1, "lib", time.Unix(0, 0), 0, tree.Scanned)
		s.ID, s.Number = store.SnapshotID{byte(i), byte(i >> 8)}, uint64(i)
		s.Started.Sec = int64(i) * 3_000_000_000_000_000 * int64(1-i%2*2) // hither and thither, over all that fits
		all = append(all, s)
	}
	if listed := catalogue.New(all).Sources[0].Listed; len(listed) < catalogue.MostListed/2 || len(listed) > catalogue.MostListed {
		t.Errorf("%d are listed", len(listed))
	}
}
