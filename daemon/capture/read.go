package capture

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"keepsake/chunking"
	"keepsake/crypto"
	"keepsake/store/pack"
	"keepsake/store/tree"
)

// pipelineFrom is the size from which the chunks of one file are stored by all
// cores beside its reader. Smaller files are read, hashed and stored by one
// reader while their bytes are in its cache; there, the files run in parallel.
const pipelineFrom = 16 << 20

// fileReader reads files one after the other. Each of a pass's readers has one.
type fileReader struct {
	p        *pass
	splitter *chunking.Splitter
	sum      hash.Hash
	small    []byte // for files of one chunk
	look     look   // at what is read
	content  content
	pages    bool // the file is of a kind that is changed in place
}

func (p *pass) newFileReader() (*fileReader, error) {
	params := p.repository.Chunker()
	s, err := chunking.New(params)
	if err != nil {
		return nil, err
	}
	return &fileReader{p: p, splitter: s, sum: sha256.New(), small: make([]byte, params.Fine.Min)}, nil
}

// sink takes the chunks of one file in order.
type sink interface {
	// buffer returns memory for the next chunk; add takes it back.
	buffer(ctx context.Context) ([]byte, error)
	add(ctx context.Context, chunk []byte) error
	hole(length uint64) error
	// close completes size, content and digest of the node.
	close(n *tree.Node) error
}

// read reads the content of an open file into its node: size as read, extents,
// SHA-256 with holes as zeros.
func (r *fileReader) read(ctx context.Context, f *os.File, s stat, n *tree.Node) error {
	r.look.begin(string(n.Name))
	r.content.open(ctx, f, s.size, r.p.options.Read)
	defer r.content.close()
	if s.size <= uint64(len(r.small)) {
		return r.readSmall(ctx, s, n)
	}
	r.sum.Reset()
	var to sink
	if s.size >= pipelineFrom {
		to = newPipeline(ctx, r.p, r.sum)
	} else {
		to = newInline(ctx, r.p, r.sum)
	}
	err := r.extents(ctx, f, s, to)
	// Closed in any case: chunks may be on their way.
	return errors.Join(err, to.close(n))
}

// readSmall reads a file that is one chunk, by the definition of the grades.
func (r *fileReader) readSmall(ctx context.Context, s stat, n *tree.Node) error {
	got, err := r.content.ReadAt(r.small[:s.size], 0)
	if err != nil && err != io.EOF {
		return err
	}
	data := r.small[:got]
	r.pages = chunking.PageEdited(data[:min(got, pageHead)])
	r.p.progress.read(got)
	r.look.see(data, 0)
	sum := sha256.Sum256(data)
	n.Size, n.SHA256 = uint64(got), &sum
	if got == 0 {
		return nil
	}
	if s.blocks == 0 && allZero(data) {
		n.Content = tree.ExtentList{{Length: uint64(got), Hole: true}}
		return nil
	}
	id, _, err := r.p.writer.Put(ctx, pack.Data, data)
	n.Content = tree.ExtentList{{Length: uint64(got), Chunk: id}}
	return stored(err)
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// extents cuts the data of a file, and notes its holes.
func (r *fileReader) extents(ctx context.Context, f *os.File, s stat, to sink) error {
	fine, err := pageEdited(&r.content)
	if err != nil {
		return err
	}
	r.pages = fine
	sparse := s.blocks*512 < s.size
	for off := int64(0); off < int64(s.size); {
		data, end := off, int64(s.size)
		if sparse {
			if data, end, err = nextData(f, off, int64(s.size)); err != nil {
				return err
			}
		}
		if data > off {
			if err := to.hole(uint64(data - off)); err != nil {
				return err
			}
		}
		if off = end; data == end {
			continue
		}
		if n, err := r.chunks(ctx, r.content.section(data, end-data), data, fine, to); err != nil || n < end-data {
			return err // a file that shrank is found by its size
		}
	}
	return nil
}

// pageHead bytes are enough to know any kind of file that is changed in place.
const pageHead = 64

// pageEdited reads the first bytes to see whether the file is of a kind that
// is changed in place.
func pageEdited(f io.ReaderAt) (bool, error) {
	var head [pageHead]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && err != io.EOF {
		return false, err
	}
	return chunking.PageEdited(head[:n]), nil
}

// chunks cuts one stretch of data that begins at an offset of the file, and
// returns how long it was.
func (r *fileReader) chunks(ctx context.Context, from io.Reader, off int64, fine bool, to sink) (total int64, err error) {
	r.splitter.Reset(from, off, fine)
	for {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		buf, err := to.buffer(ctx)
		if err != nil {
			return total, err
		}
		chunk, err := r.splitter.Next(buf)
		if err != nil {
			r.p.giveBuffer(buf)
			if err == io.EOF {
				return total, nil
			}
			return total, err
		}
		r.look.see(chunk, off+total)
		total += int64(len(chunk))
		r.p.progress.read(len(chunk))
		if err := to.add(ctx, chunk); err != nil {
			return total, err
		}
	}
}

// nextData returns where the next data at or after off begins and ends.
// File systems that do not know their holes report one stretch of data.
func nextData(f *os.File, off, size int64) (data, end int64, err error) {
	data, err = f.Seek(off, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return size, size, nil // a hole to the end
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return off, size, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("looking for holes: %w", err)
	}
	if end, err = f.Seek(data, unix.SEEK_HOLE); err != nil {
		return 0, 0, fmt.Errorf("looking for holes: %w", err)
	}
	return min(data, size), min(end, size), nil
}

// listing is what both sinks build: extents, and the digest over all bytes.
type listing struct {
	p    *pass
	sum  hash.Hash
	list *tree.ListBuilder
	size uint64
	// holes of them; only a file whose list is in chunks of its own needs it said
	holes uint64
}

func newListing(ctx context.Context, p *pass, sum hash.Hash) listing {
	return listing{p: p, sum: sum, list: tree.NewListBuilder(p.cutList, func(encoded []byte) (crypto.ChunkID, error) {
		id, _, err := p.writer.Put(ctx, pack.List, encoded)
		return id, stored(err)
	})}
}

func (l *listing) extent(e tree.Extent) error {
	l.size += e.Length
	if e.Hole {
		l.holes += e.Length
	}
	return l.list.Add(e)
}

func (l *listing) finish(n *tree.Node) (err error) {
	n.Size = l.size
	sum := [32]byte(l.sum.Sum(nil))
	n.SHA256 = &sum
	n.Content, n.List, err = l.list.Finish()
	if n.List != nil {
		n.Holes = l.holes
	}
	return err
}

// zeros are what a hole reads as.
var zeros [64 << 10]byte

func hashHole(sum hash.Hash, length uint64) {
	for length > 0 {
		n := min(length, uint64(len(zeros)))
		sum.Write(zeros[:n])
		length -= n
	}
}
