package catalogue_test

import (
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
func taken(source byte, label string, at time.Time, id byte, basis tree.Basis) store.Snapshot {
	s := store.Snapshot{ID: store.SnapshotID{id, 0xbe, 0xef, 0xed}}
	s.Source, s.Label, s.Basis, s.Number = [16]byte{source, 0xaa}, label, basis, uint64(id)
	s.Started = tree.TimeOf(at)
	_, offset := at.Zone()
	s.ZoneOffset = int32(offset)
	return s
}

// names returns the folder names that snapshots get, by source.
func names(all []store.Snapshot) (folders, previous map[string][]string, latest map[string]string) {
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
	folders, previous, latest := names([]store.Snapshot{
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
