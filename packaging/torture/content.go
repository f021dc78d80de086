package torture

import (
	"errors"
	"fmt"
	"os"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// sizes makes files around the sizes at which readers change their ways: blocks, segments, heads and chunks.
func (b *builder) sizes() {
	b.dir("sizes", 0o755)
	b.file("sizes/empty", nil)
	for _, n := range []int{1, 4*kib - 1, 4 * kib, 4*kib + 1, 64*kib - 1, 64 * kib, 64*kib + 1, 256*kib - 1, 256 * kib, 256*kib + 1, mib + 1} {
		rel := fmt.Sprintf("sizes/%d", n)
		b.file(rel, noise(rel, n))
	}
	b.file("sizes/noise of 9 MiB", noise("sizes/noise", 9*mib))
	b.file("sizes/zeros written", make([]byte, 300*kib))
	b.file("sizes/twice", noise("sizes/65536", 64*kib)) // the contents of another file
	text := []byte{}
	for i := range 20_000 {
		text = fmt.Appendf(text, "INSERT INTO photos VALUES (%d, 'IMG_%05d.JPG', 6000, 4000);\n", i, i)
	}
	b.file("sizes/text.sql", text)
}

// part is data within a sparse file.
type part struct {
	offset int64
	length int
}

// sparse makes files with holes. Offsets are multiples of 64 KiB where a hole must survive any block size, and odd elsewhere.
func (b *builder) sparse(big bool) {
	b.dir("sparse", 0o755)
	b.holes("sparse/only a hole", 3*mib)
	b.holes("sparse/hole first", 2*mib+4*kib, part{2 * mib, 4 * kib})
	b.holes("sparse/hole last", 2*mib+5, part{0, 4 * kib})
	b.holes("sparse/several", 16*mib,
		part{0, 64 * kib}, part{mib, 64 * kib}, part{2 * mib, 200 * kib}, part{7*mib + 64*kib, mib}, part{15 * mib, mib})
	b.holes("sparse/odd offsets", 5*mib+77, part{1, 1}, part{mib + 4095, 2}, part{3*mib + 333, 100*kib + 1}, part{5*mib + 76, 1})
	// So many stretches that their list does not fit beside a file's other data.
	var hundred []part
	for i := range int64(100) {
		hundred = append(hundred, part{i * 256 * kib, int(64 * kib * (1 + i%2))})
	}
	b.holes("sparse/a hundred", 26*mib+9, hundred...)
	if big {
		const size = 5*gib + mib + 13
		b.holes("sparse/more than 5 GiB", size, part{0, mib}, part{size / 2 &^ (64*kib - 1), 2*mib + 1}, part{size - 70_000, 70_000})
	}
}

func (b *builder) holes(rel string, size int64, parts ...part) {
	if b.err != nil {
		return
	}
	b.made(rel, writeHoles(b.path(rel), size, parts))
}

func writeHoles(name string, size int64, parts []part) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = errors.Join(f.Chmod(0o644), f.Truncate(size))
	for _, p := range parts {
		if err == nil {
			_, err = f.WriteAt(noise(fmt.Sprint("part at ", p.offset), p.length), p.offset)
		}
	}
	return errors.Join(err, f.Close())
}
