package fusefs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"syscall"
	"testing"

	"keepsake/store"
	"keepsake/store/tree"
)

// memory is a repository with one directory of files.
type memory struct {
	repository
	nodes []*tree.Node
	bad   int // entries before one that is damaged; negative if none is
}

func (m *memory) Entries(context.Context, *tree.Node) iter.Seq2[*tree.Node, error] {
	return func(yield func(*tree.Node, error) bool) {
		for i, n := range m.nodes {
			if i == m.bad {
				yield(nil, &store.DamageError{Object: "meta/x", Err: errors.New("rotten")})
				return
			}
			if !yield(n, nil) {
				return
			}
		}
	}
}

func directory(t *testing.T, entries int) (*dir, *memory) {
	m := &memory{bad: -1}
	for i := range entries {
		m.nodes = append(m.nodes, &tree.Node{Type: tree.File, Name: fmt.Appendf(nil, "%06d", i)})
	}
	v := newView(t.Context(), Options{Repository: m}.withDefaults())
	t.Cleanup(v.end)
	return &dir{entry: entry{v: v}, entries: uint64(entries)}, m
}

// TestSeekdir goes to random offsets without a kernel in between, which
// answers most of that from what it has cached.
func TestSeekdir(t *testing.T) {
	const entries = 3*runLength + 17
	d, _ := directory(t, entries)
	names := []string{".", ".."}
	for i := range entries {
		names = append(names, fmt.Sprintf("%06d", i))
	}
	h := &dirHandle{d: d}
	defer h.Releasedir(t.Context(), 0)
	if e, no := h.Readdirent(t.Context()); no != 0 || e.Name != "." || e.Off != 1 {
		t.Fatalf("begins with %+v, %v", e, no)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		at := r.IntN(len(names) + 1)
		if no := h.Seekdir(t.Context(), uint64(at)); no != 0 {
			t.Fatalf("seeking to %d: %v", at, no)
		}
		for range r.IntN(5) {
			e, no := h.Readdirent(t.Context())
			if at == len(names) {
				if e != nil || no != 0 {
					t.Fatalf("after the end: %v, %v", e, no)
				}
				break
			}
			if no != 0 || e == nil || e.Name != names[at] || e.Off != uint64(at)+1 {
				t.Fatalf("at %d: %+v, %v; want %q", at, e, no, names[at])
			}
			at++
		}
	}
	if no := h.Seekdir(t.Context(), uint64(len(names))+1); no != syscall.EINVAL {
		t.Errorf("seeking beyond the end: %v", no)
	}
}

// TestDamagedListing ends with EIO after the entries that are good, every time.
func TestDamagedListing(t *testing.T) {
	d, m := directory(t, 2*runLength)
	m.bad = runLength + 5
	h := &dirHandle{d: d}
	for range 2 {
		for count := 0; ; count++ {
			e, no := h.Readdirent(t.Context())
			if no != 0 {
				if no != syscall.EIO || count != dotCount+runLength {
					t.Errorf("%v after %d entries", no, count)
				}
				break
			}
			if e == nil {
				t.Fatal("the listing ended well")
			}
		}
		if _, no := h.Readdirent(t.Context()); no != syscall.EIO {
			t.Errorf("reading on: %v", no)
		}
		if no := h.Seekdir(t.Context(), 0); no != 0 {
			t.Error(no)
		}
	}
}

func TestRuns(t *testing.T) {
	d, m := directory(t, 3*runLength)
	r := newRuns()
	middle := &run{dir: d, nodes: m.nodes[runLength : 2*runLength]}
	r.add(middle)
	for name, want := range map[string]struct{ found, known bool }{
		"000256":  {true, true},
		"000300":  {true, true},
		"000300x": {false, true}, // between two that follow each other
		"000100":  {false, false},
		"000511x": {false, false},
		"000255x": {false, false},
	} {
		if n, known := r.find(d, name); (n != nil) != want.found || known != want.known {
			t.Errorf("%s: found %v, known %v", name, n != nil, known)
		}
	}
	r.add(&run{dir: d, nodes: m.nodes[2*runLength:], last: true})
	if _, known := r.find(d, "zzz"); !known {
		t.Error("the last run does not know that nothing comes after it")
	}
	for i := range 2 * maxRunNodes / runLength {
		other, n := directory(t, runLength)
		_ = i
		r.add(&run{dir: other, nodes: n.nodes, first: true, last: true})
	}
	if r.nodes > maxRunNodes || len(r.byDir) > maxRunNodes/runLength {
		t.Errorf("%d nodes of %d directories are kept", r.nodes, len(r.byDir))
	}
	r.add(middle)
	r.forget(d)
	if _, known := r.find(d, "000300"); known {
		t.Error("a directory that was forgotten is still known")
	}
}
