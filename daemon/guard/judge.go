package guard

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The guards, as they are marked in manifests.
const (
	Emptied    = "emptied"
	Elsewhere  = "other-file-system"
	Shrunk     = "shrunk"
	MassChange = "mass-change"
)

// Finding is what a guard found.
type Finding struct {
	Guard  string // the mark
	Detail string // for people; names no file
	// Since is when the first run began that counts, and Good the snapshot that
	// it was compared with: the last one before it all began.
	Since time.Time
	Good  [32]byte
}

// Judge returns what the guards find in an observation, given those before it,
// ordered by guard. The window must not hold o yet.
func Judge(t Thresholds, w Window, o Observation) []Finding {
	j := judgement{Thresholds: t.WithDefaults(), now: o, all: append(w.at(o.Time), o)}
	for _, seen := range j.all {
		j.files, j.bytes = max(j.files, seen.Before.Files), max(j.bytes, seen.Before.Bytes)
	}
	j.emptied()
	j.massChange()
	j.elsewhere()
	j.shrunk()
	return j.found
}

// judgement is one look at a window.
type judgement struct {
	Thresholds
	now          Observation
	all          []Observation // of the window, now the last
	files, bytes uint64        // the most that the source had in the window
	found        []Finding
}

// sum adds up a number over the window.
func (j *judgement) sum(number func(*Observation) uint64) (n uint64) {
	for i := range j.all {
		n += number(&j.all[i])
	}
	return n
}

// find notes a finding that goes back to the first observation that counts.
func (j *judgement) find(guard, detail string, counts func(*Observation) bool) {
	f := Finding{Guard: guard, Detail: detail, Since: j.now.Time, Good: j.now.Base}
	for i := range j.all {
		if o := &j.all[i]; counts(o) {
			f.Since, f.Good = o.Time, o.Base
			break
		}
	}
	j.found = append(j.found, f)
}

// only makes a finding about the present observation alone.
func (j *judgement) only(o *Observation) bool { return o == &j.all[len(j.all)-1] }

func (j *judgement) emptied() {
	if o := j.now; !j.Emptied.Off && o.Before.Files > 0 && o.After.Files == 0 {
		j.find(Emptied, fmt.Sprintf("no file is left of %d", o.Before.Files), j.only)
	}
}

func (j *judgement) elsewhere() {
	if !j.Elsewhere.Off && j.now.Elsewhere {
		j.find(Elsewhere, "it lies on another file system than before: is the disk mounted?", j.only)
	}
}

// shrunk compares with the most that the source had in the window. One file
// that loses its bytes is a catalogue being rebuilt: bytes count only if as
// many files were deleted or modified as the limit wants at least.
func (j *judgement) shrunk() {
	l, o := j.Shrunk, j.now
	if l.Off || o.Before.Files == 0 || o.Deleted == 0 && o.After.Bytes >= o.Before.Bytes {
		return
	}
	files := less(j.files, o.After.Files+j.sum(func(o *Observation) uint64 { return o.LeftOut.Files }))
	bytes := less(j.bytes, o.After.Bytes+j.sum(func(o *Observation) uint64 { return o.LeftOut.Bytes }))
	touched := j.sum(func(o *Observation) uint64 { return o.Deleted + o.Modified })
	most := float64(bytes) >= l.Share*float64(j.bytes) && bytes > 0 && touched >= l.Least
	if !most && !l.reached(files, j.files) {
		return
	}
	j.find(Shrunk, fmt.Sprintf("%d of %d files and %s of the bytes are gone", files, j.files, percent(bytes, j.bytes)),
		func(o *Observation) bool { return o.Deleted > 0 || o.After.Bytes < o.Before.Bytes })
}

// sign is one of the ways in which a mass change shows.
type sign struct {
	limit  Limit
	files  uint64
	detail string
	// counts says whether an observation shows it; adds, if set, whether it can
	// be what completes it.
	counts, adds func(*Observation) bool
}

// massChange looks in four ways, and makes one finding of what they show.
func (j *judgement) massChange() {
	scattered, directories := j.scattered()
	// What is new takes the place of something only if as much is gone, before
	// or after. Temporary files, of which a day of copying leaves many to be
	// seen, do not count.
	deleted := j.sum(func(o *Observation) uint64 { return o.DeletedMedia + o.DeletedWhole })
	deletes := func(o *Observation) bool { return o.Deleted > 0 }
	signs := []sign{{
		j.Overwritten,
		j.sum(func(o *Observation) uint64 { return o.Misfit }) + min(deleted, j.sum(func(o *Observation) uint64 { return o.NewMisfit })),
		"files hold what their names do not promise", func(o *Observation) bool { return o.Misfit+o.NewMisfit > 0 }, deletes,
	}, {
		j.Random, j.sum(func(o *Observation) uint64 { return o.Random }),
		"files of compressible kinds became random", func(o *Observation) bool { return o.Random > 0 }, nil,
	}, {
		j.Renamed,
		max(j.sum(func(o *Observation) uint64 { return o.Renamed }), min(deleted, j.sum(func(o *Observation) uint64 { return o.Wrapped }))),
		"files were renamed to extensions that no program knows", func(o *Observation) bool { return o.Renamed+o.Wrapped > 0 }, deletes,
	}, {
		j.Scattered, scattered,
		fmt.Sprintf("files were deleted here and there in %d directories", directories), func(o *Observation) bool { return o.DeletedIn > 0 }, nil,
	}}
	var shown []sign
	var details []string
	for _, s := range signs {
		if s.limit.reached(s.files, j.files) && (s.counts(&j.now) || s.adds != nil && s.adds(&j.now)) {
			shown = append(shown, s)
			details = append(details, fmt.Sprintf("%d %s", s.files, s.detail))
		}
	}
	if len(shown) == 0 {
		return
	}
	j.find(MassChange, fmt.Sprintf("%s; the source had %d", strings.Join(details, ", "), j.files), func(o *Observation) bool {
		return slices.ContainsFunc(shown, func(s sign) bool { return s.counts(o) })
	})
}

// leastDirectories is in how many directories files have to be deleted to be
// scattered: a shoot with its selects, its rejects and its exports has fewer.
const leastDirectories = 10

// scattered returns how many files were deleted without their directory, and in
// how many directories; no files if those are few. What is new about the same
// time may be what was deleted, under another name or in another place.
func (j *judgement) scattered() (files, directories uint64) {
	var before struct {
		at       time.Time
		new, del uint64 // not made up for
	}
	for _, o := range j.all {
		directories += o.DeletedIn
		fresh, deleted := o.New, less(o.Deleted, o.DeletedWhole)
		if o.Base == [32]byte{} {
			fresh = 0 // everything is new in a first snapshot
		}
		if o.Time.Sub(before.at) > 2*slot {
			before.new, before.del = 0, 0
		}
		fresh, deleted = less(fresh, deleted), less(deleted, fresh)
		earlier := min(before.del, fresh) // a move of which the deletion was seen first
		files, fresh = files-earlier, fresh-earlier
		deleted = less(deleted, before.new)
		files += deleted
		before.at, before.new, before.del = o.Time, fresh, deleted
	}
	if directories < leastDirectories {
		return 0, directories
	}
	return files, directories
}

// less is a-b, or 0 if that would be negative.
func less(a, b uint64) uint64 { return a - min(a, b) }

func percent(part, of uint64) string {
	if of == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.0f %%", 100*float64(part)/float64(of))
}
