package history_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"keepsake/crypto"
	"keepsake/store"
	"keepsake/store/history"
	"keepsake/store/tree"
)

// TestDamagedPageHidesOnlyItself damages one page of an old state after the
// other: everything in other pages is still found, and the damage is said.
func TestDamagedPageHidesOnlyItself(t *testing.T) {
	c := newChunks()
	first, second := directory(), directory()
	for i := range 60 {
		name := fmt.Sprintf("%03d", i)
		first.in[name] = &thing{text: "old"}
		if i%2 == 0 {
			second.in[name] = &thing{text: "new"}
		}
	}
	roots := []*tree.Node{rootOf(t, c, first), rootOf(t, c, second)}
	var ids []crypto.ChunkID
	inPage := map[crypto.ChunkID][]string{}
	var at crypto.ChunkID
	err := tree.VisitPages(t.Context(), c.Page, roots[0].Pages, func(id crypto.ChunkID) bool {
		at = id
		ids = append(ids, id)
		return true
	}, func(nodes []tree.Node) error {
		for _, n := range nodes {
			inPage[at] = append(inPage[at], string(n.Name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	leaves := 0
	for _, id := range ids {
		c.fails = map[crypto.ChunkID]error{id: &store.DamageError{Chunk: id, Err: errors.New("rotten")}}
		f := newFollower(c, 0)
		if err := f.grow(t.Context(), roots, nil, false); err != nil {
			t.Fatal(err)
		}
		n := f.names[0]
		if !errors.Is(n.Damage, store.ErrDamaged) {
			t.Errorf("without page %v the damage is %v", id, n.Damage)
		}
		if inPage[id] == nil {
			continue // not a leaf
		}
		leaves++
		for i := range 60 {
			name := fmt.Sprintf("%03d", i)
			hidden := slices.Contains(inPage[id], name) && i%2 == 1
			if (n.File(name) == nil) != hidden {
				t.Errorf("without the page of %q: %s is hidden: %v", inPage[id], name, !hidden)
			}
		}
	}
	if leaves < 5 {
		t.Errorf("only %d leaves", leaves)
	}
}

// TestGoesOnAfterAnError lets fetching fail at random for reasons that pass, and
// asks again until it does not.
func TestGoesOnAfterAnError(t *testing.T) {
	c := newChunks()
	r := rand.New(rand.NewPCG(5, 5))
	models, roots := randomHistory(t, c, r, 60)
	path := []string{"d", "f11"}
	f := newFollower(c, len(path))
	gone := errors.New("the disk was unplugged")
	failed := 0
	for id := range c.m {
		if r.IntN(10) == 0 {
			c.fails[id] = gone
		}
	}
	for added := false; ; added = true {
		some := roots
		if added {
			some = nil
		}
		err := f.grow(t.Context(), some, path, false)
		if err == nil {
			break
		}
		if failed++; !errors.Is(err, gone) {
			t.Fatal(err)
		}
		for id := range c.fails { // one is back
			delete(c.fails, id)
			break
		}
	}
	if failed < 3 {
		t.Errorf("it failed only %d times", failed)
	}
	refer(c, t, models, path).compare(t, f, path[1])
	for i, p := range f.pasts {
		if p.Damage != nil || f.names[i].Damage != nil {
			t.Errorf("what passed is taken for damage: %v, %v", p.Damage, f.names[i].Damage)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newFollower(c, len(path)).grow(ctx, roots, path, false); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestPastGoesOnAfterAnError asks for the past of a name whose page cannot be
// fetched the first time.
func TestPastGoesOnAfterAnError(t *testing.T) {
	c := newChunks()
	root := directory()
	for i := range 60 {
		root.in[fmt.Sprintf("%03d", i)] = &thing{text: "old"}
	}
	n := rootOf(t, c, root)
	states := []history.State{{Pages: n.Pages}}
	gone := errors.New("the disk was unplugged")
	for id := range c.m {
		if id != n.Pages {
			c.fails[id] = gone
		}
	}
	p := new(history.Past)
	if err := p.Grow(t.Context(), c, states, []byte("033")); !errors.Is(err, gone) {
		t.Fatal(err)
	}
	clear(c.fails)
	if err := p.Grow(t.Context(), c, states, []byte("033")); err != nil || len(p.Versions) != 1 || p.Damage != nil {
		t.Errorf("%d versions: %v, %v", len(p.Versions), err, p.Damage)
	}
}

func TestAccess(t *testing.T) {
	type had struct{ uid, gid, mode uint32 }
	for _, test := range []struct {
		name string
		had  []had
		want uint32
	}{
		{"one", []had{{1, 1, 0o750}}, 0o750},
		{"widened", []had{{1, 1, 0o700}, {1, 1, 0o755}}, 0o700},
		{"narrowed", []had{{1, 1, 0o755}, {1, 1, 0o750}}, 0o750},
		{"another owner", []had{{1, 1, 0o755}, {2, 1, 0o755}}, 0o555},
		{"another owner of something private", []had{{1, 1, 0o700}, {2, 1, 0o700}}, 0},
		{"another owner, who was in the group", []had{{1, 1, 0o705}, {2, 1, 0o705}}, 0o005},
		{"another group", []had{{1, 1, 0o750}, {1, 2, 0o750}}, 0o700},
		{"another group, public", []had{{1, 1, 0o755}, {1, 2, 0o755}}, 0o755},
		{"the owner had less than others", []had{{1, 1, 0o077}, {2, 1, 0o777}}, 0},
		{"the group had less than others", []had{{1, 1, 0o707}, {1, 2, 0o777}}, 0o700},
		{"set-id bits do not count", []had{{1, 1, 0o2755}}, 0o755},
		{"back again", []had{{1, 1, 0o700}, {2, 1, 0o700}, {1, 1, 0o700}}, 0},
	} {
		var a history.Access
		for _, h := range test.had {
			a.Add(h.uid, h.gid, h.mode)
		}
		if got := a.Mode(); got != test.want {
			t.Errorf("%s: %o, want %o", test.name, got, test.want)
		}
	}
}
