package store_test

import (
	"os"
	"testing"
	"time"

	"keepsake/store"
	"keepsake/store/pack"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

func TestZZPerf(t *testing.T) {
	if os.Getenv("ZZ") == "" {
		t.Skip()
	}
	p := storetest.New(t)
	r := p.Open(t)
	w := begin(t, r)
	b := &builder{t, w}
	root := tree.Node{Type: tree.Dir}
	pb := tree.NewPageBuilder(odds, b.page)
	began := time.Now()
	for i := range 190 {
		f := b.file(&document{data: noise(uint64(i), 8<<20), chunk: 1500000})
		f.Name = []byte{byte('a' + i/26), byte('a' + i%26)}
		must(t, pb.Add(f))
	}
	root.Pages, _ = pb.Finish()
	if _, err := w.Publish(t.Context(), tree.Snapshot{Source: [16]byte{1}, Basis: tree.Scanned, Root: root}); err != nil {
		t.Fatal(err)
	}
	finish(t, w)
	t.Logf("wrote %d in %v", w.Written().StoredBytes, time.Since(began))
	l := &library{Place: p}
	for _, name := range l.names(t, "meta/") {
		lay := l.layout(t, r, name)
		t.Log(name[:12], lay.size, len(lay.entries))
		for _, e := range lay.entries {
			pl, ok, _ := r.Index().Lookup(e.Chunk)
			t.Log(e.Type, e.Plain, ok, pl.Pack.ID.String()[:6])
		}
	}
	for range 1 {
		began = time.Now()
		problems, res := check(t, r, store.CheckOptions{ReadData: true})
		t.Logf("check %v %+v %v", time.Since(began), res, problems)
		began = time.Now()
		if _, err := store.Scrub(t.Context(), p.Backend, nil, nil); err != nil {
			t.Fatal(err)
		}
		t.Logf("scrub %v", time.Since(began))
	}
	_ = pack.Data
}
