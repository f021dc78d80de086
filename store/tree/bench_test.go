package tree_test

import (
	"fmt"
	"testing"

	"keepsake/store/tree"
)

func BenchmarkNodeEncode(b *testing.B) {
	n := photo(1)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = n.Append(buf[:0]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(buf)), "B/node")
}

func BenchmarkNodeDecode(b *testing.B) {
	enc := marshal(b, photo(1))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tree.ParseNode(enc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPageBuild(b *testing.B) {
	const n = 10000
	nodes := make([]*tree.Node, n)
	for i := range nodes {
		nodes[i] = photo(i)
	}
	c := newChunks()
	builder := tree.NewPageBuilder(cutName, c.put)
	for b.Loop() {
		for _, n := range nodes {
			if err := builder.Add(n); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := builder.Finish(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/node")
}

func BenchmarkPageWalk(b *testing.B) {
	const n = 10000
	nodes := make([]*tree.Node, n)
	for i := range nodes {
		nodes[i] = photo(i)
	}
	c := newChunks()
	root := buildDir(b, c, cutName, nodes)
	b.ReportAllocs()
	for b.Loop() {
		count := 0
		for _, err := range tree.Entries(b.Context(), c.fetch, root) {
			if err != nil {
				b.Fatal(err)
			}
			count++
		}
		if count != n {
			b.Fatal(fmt.Sprint(count))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/node")
}
