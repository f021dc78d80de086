package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keepsake/crypto"
	"keepsake/store"
	"keepsake/store/backend"
	"keepsake/store/tree"
)

// judge looks at every file of every snapshot of a storm, at each version once.
type judge struct {
	t       *testing.T
	weather *weather
	r       *store.Repository

	dirs  map[crypto.ChunkID][]finding
	files map[[32]byte]opinion

	snapshots, nodes       int
	kept, torn, listed     int
	excused                int // half-written versions that lasted as long as the settle time
	why                    map[string]int
	complete, wrong, bases int
}

// opinion is about the content of a file.
type opinion struct {
	err     error // why it is no version of the file
	excused bool  // the file was like this for so long that it was at rest
}

// finding is a file in a directory of which a snapshot has something to say.
type finding struct {
	path  string // below the directory
	flags tree.Flags
	opinion
}

// doubts are the flags that make a snapshot incomplete.
const doubts = tree.KeptPrevious | tree.Torn | tree.SuspectRot

// judgeAll judges all snapshots, as another machine would: with nothing but the
// repository and the key.
func judgeAll(k *kept) *judge {
	k.t.Helper()
	text, err := os.ReadFile(filepath.Join(k.m.home, ".config/keepsake/key"))
	check(k.t, err)
	secret, err := crypto.ParseKeyFile(text)
	check(k.t, err)
	local, err := backend.OpenLocal(k.m.repository(), nil)
	check(k.t, err)
	defer local.Close()
	r, err := store.Open(k.t.Context(), store.Options{
		Objects: local, StateBase: k.m.path("judge"), Version: "test",
		Secret: func(context.Context, []crypto.SlotKind) (crypto.Secret, error) { return secret, nil },
	})
	check(k.t, err)
	defer r.Close()
	j := &judge{
		t: k.t, weather: k.weather, r: r, dirs: map[crypto.ChunkID][]finding{}, files: map[[32]byte]opinion{}, why: map[string]int{},
	}
	all, damaged, err := r.Snapshots(k.t.Context())
	check(k.t, err)
	for _, err := range damaged {
		k.t.Error(err)
	}
	for i := range all {
		j.snapshot(&all[i])
	}
	j.report()
	return j
}

func (j *judge) report() {
	var why []string
	for _, word := range slices.Sorted(maps.Keys(j.why)) {
		why = append(why, fmt.Sprintf("%d %s", j.why[word], word))
	}
	j.t.Logf("%d snapshots, %d of them complete, %d from events; scanned for: %s", j.snapshots, j.complete, j.bases, strings.Join(why, ", "))
	j.t.Logf("%d nodes, %d distinct versions verified; listed: %d paths, of them %d kept as they were and %d torn; %d excused",
		j.nodes, len(j.files), j.listed, j.kept, j.torn, j.excused)
}

// snapshot holds one snapshot to what is promised of all of them.
func (j *judge) snapshot(s *store.Snapshot) {
	j.t.Helper()
	j.snapshots++
	for _, word := range s.Why {
		j.why[word]++
	}
	if s.Complete() {
		j.complete++
	}
	if s.Basis == tree.Events {
		j.bases++
	}
	listed := j.missed(s)
	j.listed += len(listed)
	for _, f := range j.directory(&s.Root) {
		reason, told := listed[f.path]
		switch {
		case f.flags&tree.Torn != 0 && told:
			j.torn++
		case f.flags&doubts != 0 && !told:
			j.fail(s, "%s has flags %b and is not listed", f.path, f.flags)
		case f.err != nil && f.excused:
			j.excused++
		case f.err != nil:
			j.fail(s, "%s is stored as good (flags %b, listed as %q): %v", f.path, f.flags, reason, f.err)
		default:
			j.kept++
		}
	}
	steady, err := j.r.Resolve(j.t.Context(), &s.Root, "steady")
	if err != nil || steady.Below.Files != steadyFiles {
		j.fail(s, "what nobody touched is not there: %v", err)
	}
}

func (j *judge) fail(s *store.Snapshot, format string, args ...any) {
	if j.wrong++; j.wrong <= 20 {
		j.t.Errorf("snapshot %d (%v, for %v): "+format, append([]any{s.Number, s.Basis, s.Why}, args...)...)
	}
}

// missed are all paths that a snapshot lists, with the reasons.
func (j *judge) missed(s *store.Snapshot) map[string]string {
	j.t.Helper()
	all, err := j.r.Missed(j.t.Context(), &s.Snapshot)
	check(j.t, err)
	if uint64(len(all)) != s.MissedCount {
		j.fail(s, "%d paths are missed, %d listed", s.MissedCount, len(all))
	}
	reasons := map[string]string{}
	for _, m := range all {
		reasons[string(m.Path)] = m.Reason.String()
	}
	return reasons
}

// directory returns what there is to say of the files in a directory. Most
// directories are in many snapshots.
func (j *judge) directory(dir *tree.Node) []finding {
	if known, ok := j.dirs[dir.Pages]; ok {
		return known
	}
	var found []finding
	for n, err := range j.r.Entries(j.t.Context(), dir) {
		check(j.t, err)
		j.nodes++
		name := string(n.Name)
		switch n.Type {
		case tree.Dir:
			for _, f := range j.directory(n) {
				f.path = name + "/" + f.path
				found = append(found, f)
			}
		case tree.File:
			if v := j.file(n); v.err != nil || n.Flags&doubts != 0 {
				found = append(found, finding{name, n.Flags, v})
			}
		}
	}
	j.dirs[dir.Pages] = found
	return found
}

// file reads the content of a file, once for all files with it.
func (j *judge) file(n *tree.Node) opinion {
	if n.SHA256 != nil {
		if v, ok := j.files[*n.SHA256]; ok {
			return v
		}
	}
	f, err := j.r.OpenFile(n)
	check(j.t, err)
	b := make([]byte, f.Size())
	if _, err := f.ReadAt(j.t.Context(), b, 0); err != nil && err != io.EOF {
		return opinion{err: err}
	}
	sum := sha256.Sum256(b)
	v := opinion{err: whole(b)}
	_, v.excused = j.weather.excused.Load(sum)
	if n.SHA256 != nil && *n.SHA256 != sum {
		v = opinion{err: fmt.Errorf("its digest is not that of its content")}
	}
	j.files[sum] = v
	return v
}
