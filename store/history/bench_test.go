package history_test

import (
	"fmt"
	"runtime"
	"testing"

	"keepsake/store/history"
)

func alive() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkNames takes in a directory of 200,000 photos, and one more state of
// it in which one has changed.
func BenchmarkNames(b *testing.B) {
	const names = 200_000
	c := newChunks()
	c.odds = 64 // as a backup cuts
	root := directory()
	for i := range names {
		root.in[fmt.Sprintf("IMG_%06d.JPG", i)] = &thing{text: "photo"}
	}
	p := new(history.Past)
	p.AddRoot(rootOf(b, c, root))
	root.in["IMG_100000.JPG"].text = "edited"
	p.AddRoot(rootOf(b, c, root))
	grow := func(n *history.Names, states int) *history.Names {
		n, err := n.Grow(b.Context(), c, p.States[:states], mode)
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	b.Run("first", func(b *testing.B) {
		before := alive()
		var n *history.Names
		for range b.N {
			n = grow(new(history.Names), 1)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/names, "ns/name")
		b.ReportMetric(float64(alive()-before)/names, "B/name")
		runtime.KeepAlive(n)
	})
	b.Run("one change", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			n := grow(new(history.Names), 1)
			b.StartTimer()
			grow(n, 2)
		}
	})
}
