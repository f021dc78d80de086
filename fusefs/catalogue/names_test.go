package catalogue_test

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"keepsake/fusefs/catalogue"
	"keepsake/store"
	"keepsake/store/tree"
)

func TestSafeLabel(t *testing.T) {
	for label, want := range map[string]string{
		"weddings":                     "weddings",
		"Hochzeiten Müller":            "Hochzeiten Müller",
		"写真":                           "写真",
		"a/b":                          "a_b",
		"..":                           "__",
		".":                            "_",
		"":                             "source",
		"   ":                          "source",
		"ends with.":                   "ends with_",
		"new\nline\x00\x7f":            "new_line__",
		"bad\xffutf8":                  "bad_utf8",
		`a\b:c*d?e"f<g>h|i`:            "a_b_c_d_e_f_g_h_i",
		strings.Repeat("x", 300):       strings.Repeat("x", 200),
		"x" + strings.Repeat("ü", 150): "x" + strings.Repeat("ü", 99),
	} {
		if got := catalogue.SafeLabel(label); got != want {
			t.Errorf("%q became %q, want %q", label, got, want)
		}
	}
}

// taken makes a snapshot of the source with that number.
func taken(source byte, label string, at time.Time, id byte, basis tree.Basis) *store.Brief {
	s := store.Snapshot{ID: store.SnapshotID{id, 0xbe, 0xef, 0xed}}
	s.Source, s.Label, s.Basis, s.Number = [16]byte{source, 0xaa}, label, basis, uint64(id)
	s.Started = tree.TimeOf(at)
	_, offset := at.Zone()
	s.ZoneOffset = int32(offset)
	return s.Brief()
}

// names returns the folder names that snapshots get, by source.
func names(all []*store.Brief) (folders, previous map[string][]string, latest map[string]string) {
	folders, previous, latest = map[string][]string{}, map[string][]string{}, map[string]string{}
	for _, s := range catalogue.New(all).Sources {
		for _, snap := range s.Snapshots {
			folders[s.Name] = append(folders[s.Name], snap.Name)
		}
		for _, snap := range s.Previous {
			previous[s.Name] = append(previous[s.Name], snap.Previous()+" "+snap.ID.Short()[:2])
		}
		latest[s.Name] = s.Latest.Name
	}
	return folders, previous, latest
}

func TestNames(t *testing.T) {
	berlin := time.FixedZone("", 3600)
	at := time.Date(2026, 11, 21, 15, 5, 33, 0, berlin)
	folders, previous, latest := names([]*store.Brief{
		taken(1, "Photos", at, 1, tree.InProgress),
		taken(1, "Photos", at.Add(10*time.Minute), 2, tree.Scanned),
		taken(2, "photos", at.Add(11*time.Minute), 3, tree.Scanned),
		taken(3, "photos", at.Add(12*time.Minute), 4, tree.InProgress),
		taken(3, "photos", at.Add(12*time.Minute+time.Millisecond), 5, tree.InProgress),
		taken(1, "Photos", at.Add(20*time.Minute), 6, tree.Scanned),
		taken(1, "Photos", at.Add(20*time.Minute+time.Millisecond), 7, tree.Events),
		taken(1, "Photos", at.Add(30*time.Minute), 8, tree.InProgress),
	})
	want := map[string][]string{
		"Photos": {
			"2026-11-21T15-15-33+0100", "2026-11-21T15-25-33+0100",
			"2026-11-21T15-25-33+0100-07beefed", "2026-11-21T15-35-33+0100",
		},
		"photos-02aa0000": {"2026-11-21T15-16-33+0100"},
		"photos-03aa0000": {"2026-11-21T15-17-33+0100", "2026-11-21T15-17-33+0100-05beefed"},
	}
	if len(folders) != len(want) {
		t.Errorf("sources: %v", folders)
	}
	for source, names := range want {
		if !slices.Equal(folders[source], names) {
			t.Errorf("%s holds %q, want %q", source, folders[source], names)
		}
	}
	for source, name := range map[string]string{
		"Photos":          "2026-11-21T15-25-33+0100-07beefed", // the newest that is finished
		"photos-02aa0000": "2026-11-21T15-16-33+0100",
		"photos-03aa0000": "2026-11-21T15-17-33+0100-05beefed", // none is
	} {
		if latest[source] != name {
			t.Errorf("latest of %s is %q, want %q", source, latest[source], name)
		}
	}
	for source, names := range map[string][]string{
		"Photos":          {"@GMT-2026.11.21-14.15.33 02", "@GMT-2026.11.21-14.25.33 07", "@GMT-2026.11.21-14.35.33 08"},
		"photos-02aa0000": {"@GMT-2026.11.21-14.16.33 03"},
		"photos-03aa0000": {"@GMT-2026.11.21-14.17.33 05"},
	} {
		if !slices.Equal(previous[source], names) {
			t.Errorf("for Samba %s holds %q, want %q", source, previous[source], names)
		}
	}
}

// TestEveryNameIsFound: what is listed is found by its name and nothing else
// is, whatever times and zones the manifests have.
func TestEveryNameIsFound(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		base := []int64{1_800_000_000, 0, -70_000_000_000, 300_000_000_000, 253402300799}[round%5] // years up to 11476
		var all []*store.Brief
		for i := range 50 {
			zone := time.FixedZone("", []int{0, 3600, -12600, 86400, -86400, 3601, 59, -59, 5400}[r.IntN(9)])
			at := time.Unix(base+int64(r.IntN(40)), int64(r.IntN(1e9))).In(zone)
			all = append(all, taken(1, "x", at, byte(i+1), []tree.Basis{tree.Scanned, tree.InProgress}[r.IntN(2)]))
		}
		slices.SortFunc(all, func(a, b *store.Brief) int { return a.Started.Compare(b.Started) })
		src := catalogue.New(all).Sources[0]
		seen := map[string]bool{}
		for _, s := range src.Snapshots {
			if got := src.Snapshot(s.Name); got != s || seen[s.Name] {
				t.Fatalf("round %d: %q is %v, want %v; twice: %v", round, s.Name, got, s, seen[s.Name])
			}
			seen[s.Name] = true
			for _, wrong := range []string{s.Name + "-", s.Name[1:], strings.ToLower(s.Name), s.Name + "-00000000"} {
				if src.Snapshot(wrong) != nil {
					t.Fatalf("round %d: %q is found", round, wrong)
				}
			}
		}
		for _, s := range src.Previous {
			if got := src.PreviousAt(s.Previous()); got != s {
				t.Fatalf("round %d: %q is %v, want %v", round, s.Previous(), got, s)
			}
		}
		if src.PreviousAt("") != nil || src.Snapshot("") != nil || (*catalogue.Source)(nil).Snapshot("x") != nil {
			t.Error("something is found that is not there")
		}
	}
}

// BenchmarkNew makes the catalogue of 100,000 snapshots.
func BenchmarkNew(b *testing.B) {
	var all []*store.Brief
	for i := range 100_000 {
		s := store.Snapshot{ID: store.SnapshotID{byte(i), byte(i >> 8), byte(i >> 16)}}
		s.Number, s.Started, s.Label = uint64(i+1), tree.Time{Sec: 1_700_000_000 + int64(i)*60}, "weddings"
		all = append(all, s.Brief())
	}
	b.ReportAllocs()
	for b.Loop() {
		catalogue.New(all)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	c := catalogue.New(all)
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(all)), "kept-B/snapshot")
	runtime.KeepAlive(c)
}
