package tree_test

import (
	"bytes"
	"testing"

	"keepsake/store/tree"
)

// fuzz holds a parser to three promises: it does not panic, it allocates in proportion to its input, and what it accepts is the only
// encoding of its meaning.
func fuzz(f *testing.F, kind marshaler, seeds map[string]marshaler) {
	for _, v := range seeds {
		b, err := v.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var got marshaler
		var err error
		bound := 512<<10 + 300*uint64(len(b))
		run := func() { got, err = parse(kind, b) }
		if n := allocated(1, run); n > bound && allocated(5, run) > bound {
			t.Errorf("%d bytes allocated for %d", n, len(b))
		}
		if err != nil {
			if !classified(err) {
				t.Errorf("error of no class: %v", err)
			}
			return
		}
		if again, err := got.Marshal(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%v\n got %x\nwant %x", err, again, b)
		}
	})
}

// seeds picks the samples of kind's type.
func seeds[T marshaler]() map[string]marshaler {
	picked := map[string]marshaler{}
	for name, v := range samples() {
		if _, ok := v.(T); ok {
			picked[name] = v
		}
	}
	return picked
}

func FuzzNode(f *testing.F)      { fuzz(f, &tree.Node{}, seeds[*tree.Node]()) }
func FuzzPage(f *testing.F)      { fuzz(f, &tree.Page{}, seeds[*tree.Page]()) }
func FuzzList(f *testing.F)      { fuzz(f, &tree.List{}, seeds[*tree.List]()) }
func FuzzSnapshot(f *testing.F)  { fuzz(f, &tree.Snapshot{}, seeds[*tree.Snapshot]()) }
func FuzzMissed(f *testing.F)    { fuzz(f, &tree.MissedPage{}, seeds[*tree.MissedPage]()) }
func FuzzLedger(f *testing.F)    { fuzz(f, &tree.LedgerEntry{}, seeds[*tree.LedgerEntry]()) }
func FuzzCondemned(f *testing.F) { fuzz(f, &tree.Condemned{}, seeds[*tree.Condemned]()) }
func FuzzCatalog(f *testing.F)   { fuzz(f, &tree.Catalog{}, seeds[*tree.Catalog]()) }
func FuzzSettings(f *testing.F)  { fuzz(f, &tree.Settings{}, seeds[*tree.Settings]()) }
