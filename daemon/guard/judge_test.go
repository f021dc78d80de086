package guard_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"keepsake/daemon/guard"
)

// library is an observation of a run that found a source of so many files, and
// left as many.
func library(files uint64, change func(*guard.Observation)) guard.Observation {
	o := guard.Observation{Time: noon, Base: [32]byte{1}, Before: guard.Totals{Files: files, Bytes: files * 1000}}
	o.After = o.Before
	if change != nil {
		change(&o)
	}
	return o
}

func lose(o *guard.Observation, files uint64) {
	o.Deleted += files
	o.After.Files -= files
	o.After.Bytes -= files * 1000
}

func names(found []guard.Finding) []string {
	all := []string{}
	for _, f := range found {
		all = append(all, f.Guard)
	}
	return all
}

// TestJudge calibrates the defaults on both sides of each limit.
func TestJudge(t *testing.T) {
	type change = func(*guard.Observation)
	tests := []struct {
		name   string
		files  uint64
		change change
		want   []string
	}{
		{"nothing happened", 1000, nil, nil},
		{"the first snapshot", 0, func(o *guard.Observation) { o.New, o.NewMisfit, o.After.Files = 5000, 100, 5000 }, nil},

		{"all is gone", 1000, func(o *guard.Observation) { lose(o, 1000) }, []string{"emptied", "shrunk"}},
		{"the only file is gone", 1, func(o *guard.Observation) { lose(o, 1) }, []string{"emptied"}},
		{"nothing was there, nothing is", 0, nil, nil},
		{"another file system", 1000, func(o *guard.Observation) { o.Elsewhere = true }, []string{"other-file-system"}},
		{"an empty mount point", 1000, func(o *guard.Observation) { lose(o, 1000); o.Elsewhere = true }, []string{"emptied", "other-file-system", "shrunk"}},

		{"a third deleted with its folder", 1000, func(o *guard.Observation) { lose(o, 350); o.DeletedWhole = 350 }, nil},
		{"more than half deleted with their folders", 1000, func(o *guard.Observation) { lose(o, 510); o.DeletedWhole = 510 }, []string{"shrunk"}},
		{"more than half left out by a rule", 1000, func(o *guard.Observation) {
			o.LeftOut = guard.Totals{Files: 900, Bytes: 900_000}
			o.After.Files, o.After.Bytes = 100, 100_000
		}, nil},
		{"seven of eight files deleted", 8, func(o *guard.Observation) { lose(o, 7) }, nil},
		{"one large file rebuilt", 1000, func(o *guard.Observation) { o.Before.Bytes, o.Modified = 4<<30, 1 }, nil},
		{"all films cut to nothing", 100, func(o *guard.Observation) { o.Modified, o.After.Bytes = 100, 0 }, []string{"shrunk"}},

		{"3,000 files ingested", 400, func(o *guard.Observation) { o.New = 3000; o.After.Files += 3000 }, nil},
		{"2,000 files retagged", 2000, func(o *guard.Observation) { o.Modified, o.Checked = 2000, 2000 }, nil},
		{"a few files spoilt", 2000, func(o *guard.Observation) { o.Modified, o.Checked, o.Misfit = 500, 500, 9 }, nil},
		{"30 % overwritten", 300, func(o *guard.Observation) { o.Modified, o.Checked, o.Misfit = 90, 90, 90 }, []string{"mass-change"}},
		{"30 % of 40 overwritten", 40, func(o *guard.Observation) { o.Modified, o.Checked, o.Misfit = 12, 12, 12 }, []string{"mass-change"}},
		{"one in ten thousand of a large library overwritten", 1_000_000, func(o *guard.Observation) { o.Modified, o.Checked, o.Misfit = 100, 100, 100 }, []string{"mass-change"}},
		{"notes encrypted", 2000, func(o *guard.Observation) { o.Modified, o.Checked, o.Random = 19, 19, 19 }, nil},
		{"all sidecars encrypted", 2000, func(o *guard.Observation) { o.Modified, o.Checked, o.Random = 500, 500, 500 }, []string{"mass-change"}},

		{"renamed to .locked", 300, func(o *guard.Observation) { o.New, o.Deleted, o.DeletedIn, o.Renamed, o.Wrapped = 90, 90, 5, 90, 90 }, []string{"mass-change"}},
		{"moved, wrapped", 300, func(o *guard.Observation) { o.New, o.Deleted, o.DeletedWhole, o.Wrapped = 90, 90, 90, 90 }, []string{"mass-change"}},
		{"wrapped copies beside the originals", 300, func(o *guard.Observation) { o.New, o.Wrapped = 90, 90 }, nil},
		{"temporary copies that came and went", 300, func(o *guard.Observation) { o.New, o.Wrapped, o.Deleted, o.NewMisfit = 300, 90, 90, 90 }, nil},
		{"a handful renamed", 3000, func(o *guard.Observation) { o.New, o.Deleted, o.Renamed = 15, 15, 15 }, nil},
		{"500 RAW made DNG", 2000, func(o *guard.Observation) { o.New, o.Deleted, o.DeletedIn = 500, 500, 12 }, nil},
		{"1,000 batch-renamed", 1000, func(o *guard.Observation) { o.New, o.Deleted, o.DeletedIn = 1000, 1000, 12 }, nil},
		{"a project folder moved", 1000, func(o *guard.Observation) { o.New, o.Deleted, o.DeletedWhole = 900, 900, 900 }, nil},
		{"replaced by noise under other names", 300, func(o *guard.Observation) { o.New, o.Deleted, o.DeletedMedia, o.NewMisfit = 90, 90, 90, 90 }, []string{"mass-change"}},
		{"strange files ingested", 300, func(o *guard.Observation) { o.New, o.NewMisfit = 90, 90 }, nil},

		{"two shoots culled", 5000, func(o *guard.Observation) { lose(o, 1500); o.DeletedIn = 6 }, nil},
		{"30 % deleted here and there", 1000, func(o *guard.Observation) { lose(o, 300); o.DeletedIn = 40 }, []string{"mass-change"}},
		{"10 % deleted here and there", 1000, func(o *guard.Observation) { lose(o, 100); o.DeletedIn = 40 }, nil},
		{"90 of 200 deleted here and there", 200, func(o *guard.Observation) { lose(o, 90); o.DeletedIn = 40 }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := library(tt.files, tt.change)
			found := guard.Judge(guard.Thresholds{}, guard.Window{}, o)
			if got := names(found); !slices.Equal(got, append([]string{}, tt.want...)) {
				t.Errorf("found %+v, want %v", found, tt.want)
			}
			for _, f := range found {
				if f.Good != o.Base || !f.Since.Equal(o.Time) || f.Detail == "" {
					t.Errorf("finding %+v", f)
				}
			}
			if off := guard.Judge(guard.None(), guard.Window{}, o); len(off) != 0 {
				t.Errorf("with all guards off: %v", off)
			}
		})
	}
}

// TestSlicesAddUp spreads one attack over many runs, whatever their distance.
func TestSlicesAddUp(t *testing.T) {
	for _, every := range []time.Duration{time.Second, time.Minute, 20 * time.Minute, time.Hour} {
		for _, kind := range []string{"overwritten", "renamed", "copied, then deleted", "random", "deleted", "shrunk"} {
			t.Run(fmt.Sprint(kind, " every ", every), func(t *testing.T) {
				files := uint64(1000)
				var w guard.Window
				var found []guard.Finding
				first := noon.Add(6 * every)
				runs := 0
				for ; runs < 20 && len(found) == 0; runs++ {
					o := library(files, nil)
					o.Time, o.Base[0] = noon.Add(time.Duration(runs)*every), byte(runs+1)
					if runs < 6 { // the day began well
						o.New = 1
						w = w.Add(o)
						continue
					}
					attack(&o, kind, runs)
					files = o.After.Files
					found = guard.Judge(guard.Thresholds{}, w, o)
					w = w.Add(o)
				}
				if len(found) != 1 || runs < 8 {
					t.Fatalf("after %d runs: %+v", runs, found)
				}
				if !found[0].Since.Equal(first) || found[0].Good != [32]byte{7} {
					t.Errorf("since %v, good %d; want %v, 7", found[0].Since, found[0].Good[0], first)
				}
			})
		}
	}
}

// attack does one slice of an attack on a library of 1,000 files.
func attack(o *guard.Observation, kind string, run int) {
	switch kind {
	case "overwritten":
		o.Modified, o.Checked, o.Misfit = 4, 4, 4
	case "renamed":
		o.New, o.Deleted, o.DeletedIn, o.Renamed, o.Wrapped = 7, 7, 1, 7, 7
	case "copied, then deleted":
		if run%2 == 0 {
			o.New, o.Wrapped = 12, 12
			o.After.Files += 12
		} else {
			lose(o, 12)
			o.DeletedIn, o.DeletedMedia, o.Renamed = 1, 12, 12
		}
	case "random":
		o.Modified, o.Checked, o.Random = 7, 7, 7
	case "deleted":
		lose(o, 60)
		o.DeletedIn = 6
	case "shrunk":
		lose(o, 120)
		o.DeletedWhole = 120
	}
}

// TestInnocentRunIsNotMarked after an attack that still counts.
func TestInnocentRunIsNotMarked(t *testing.T) {
	w := guard.Window{}.Add(library(300, func(o *guard.Observation) { o.Modified, o.Checked, o.Misfit = 90, 90, 90 }))
	after := library(300, func(o *guard.Observation) { o.Time = noon.Add(time.Hour); o.New, o.Modified = 3, 3 })
	if found := guard.Judge(guard.Thresholds{}, w, after); len(found) != 0 {
		t.Errorf("found %+v", found)
	}
}

func TestThresholds(t *testing.T) {
	o := library(1000, func(o *guard.Observation) { o.Modified, o.Checked, o.Misfit = 50, 50, 50 })
	for _, tt := range []struct {
		limit guard.Limit
		want  bool
	}{
		{guard.Limit{}, true},
		{guard.Limit{Off: true}, false},
		{guard.Limit{Share: 0.05}, true},
		{guard.Limit{Share: 0.06}, false},
		{guard.Limit{Share: 1, Most: 50}, true},
		{guard.Limit{Least: 51}, false},
		{guard.Limit{Least: 5000}, false},
		{guard.Limit{Most: 3}, true},
	} {
		th := guard.Thresholds{Overwritten: tt.limit}
		if err := th.Validate(); err != nil {
			t.Errorf("%+v: %v", tt.limit, err)
		}
		if found := guard.Judge(th, guard.Window{}, o); (len(found) > 0) != tt.want {
			t.Errorf("%+v: found %v", tt.limit, found)
		}
	}
	for _, bad := range []guard.Limit{{Share: -0.1}, {Share: 1.5}, {Share: nan()}, {Least: 10, Most: 5}} {
		if (guard.Thresholds{Shrunk: bad}).Validate() == nil {
			t.Errorf("%+v is valid", bad)
		}
	}
	if got := (guard.Thresholds{}).WithDefaults(); got != guard.Default() {
		t.Errorf("zero thresholds are %+v", got)
	}
}

func nan() float64 {
	zero := 0.0
	return zero / zero
}
