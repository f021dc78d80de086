package pack

import (
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/zeebo/xxh3"

	"keepsake/crypto"
	"keepsake/store/object"
)

const (
	// maxBehind bounds the stored bytes that have a place in the pack but are not written yet. Beyond
	// it, Add waits before it takes a place, so that one slow chunk cannot pile up all others in memory.
	maxBehind = 16 << 20
	// maxChunkBody bounds what chunks may take of MaxBody: the rest is for padding.
	maxChunkBody = MaxBody - maxPadding - maxPadding/SegmentSize*tagSize
)

// Writer writes one pack, front to back. Add may be called from several goroutines at once: each
// compresses, seals and verifies its own chunk, and whoever completes the chunk that is next in
// order writes it and what has been waiting behind it.
type Writer struct {
	out    io.Writer
	cell   *cell
	id     ID
	sum    *xxh3.Hasher // over what went to out; used by one goroutine at a time, like out
	tamper func([]byte) // nil but in tests: sees each sealed segment before it is verified

	mu       sync.Mutex
	moved    sync.Cond // on mu: written, err or closed changed
	entries  []Entry   // guarded by mu, as everything below
	reserved uint64    // bytes of the body that have been given away
	written  uint64    // bytes of the body that out has received
	head     *turn     // chunks that have a place and are not written, in order
	tail     *turn
	draining bool // a goroutine writes turns without holding mu
	closed   bool
	err      error // the first failure; final
}

// turn is a chunk's place in the order of writing.
type turn struct {
	sealed *buffer // nil until sealed and verified
	next   *turn
}

var turns = sync.Pool{New: func() any { return new(turn) }}

// NewWriter starts a pack of the given kind, DataPack or MetaPack, under the newest epoch of k and
// writes its header to w. The id must be 32 fresh random bytes: it is the salt of the pack's key. A
// Writer holds no resources; it may be dropped without Close, and the pack with it.
func NewWriter(w io.Writer, k *crypto.Keyring, kind object.Kind, id ID) (*Writer, error) {
	c, err := newCell(k, object.Header{Kind: kind, Suite: crypto.SuiteAES256GCM, Epoch: k.Newest()}, id)
	if err != nil {
		return nil, fmt.Errorf("new pack: %w", err)
	}
	p := &Writer{out: w, cell: c, id: id, sum: xxh3.New()}
	p.moved.L = &p.mu
	if err := p.write(c.header[:]); err != nil {
		return nil, fmt.Errorf("new pack: %w", err)
	}
	return p, nil
}

// ID returns the pack's id.
func (w *Writer) ID() ID { return w.id }

// Epoch returns the epoch of the pack's key.
func (w *Writer) Epoch() crypto.Epoch { return w.cell.epoch }

// Size returns how many bytes header and chunks take so far, those included that are still being
// sealed. Table and padding come on top.
func (w *Writer) Size() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int64(HeaderSize + w.reserved)
}

// Count returns the number of chunks added so far.
func (w *Writer) Count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.entries)
}

// Add compresses plain if that is worthwhile, seals it and returns its entry. It does not keep plain,
// which must be the plaintext whose id the caller computed. A nil error says that the chunk is sealed
// and has its place; that it reached the io.Writer is known after Close. Any error but ErrChunkSize,
// ErrFull and ErrClosed fails the pack as a whole.
func (w *Writer) Add(id crypto.ChunkID, t ChunkType, plain []byte) (Entry, error) {
	if len(plain) == 0 || len(plain) > MaxChunk {
		return Entry{}, fmt.Errorf("chunk of %d bytes: %w", len(plain), ErrChunkSize)
	}
	if !t.Valid() {
		return Entry{}, fmt.Errorf("chunk of unknown type %d", t)
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	e := Entry{Chunk: id, Type: t, Plain: uint32(len(plain))}
	body, packed, err := encode(s, &e, plain)
	if packed != nil {
		defer packed.release()
	}
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		return Entry{}, w.fail(err)
	}
	my, err := w.reserve(&e)
	if err != nil {
		return Entry{}, err
	}
	sealed := grab(int(e.Stored))
	sealed.b, err = w.cell.sealChunk(sealed.b, s, &e, body, w.tamper)
	if err == nil && len(sealed.b) != int(e.Stored) {
		panic(fmt.Sprintf("pack: sealed %d bytes of %d", len(sealed.b), e.Stored))
	}
	return e, w.finish(my, sealed, err)
}

// encode decides the codec of e, sets its lengths and returns what is to be sealed. packed, if not
// nil, holds it and is to be released after sealing.
func encode(s *scratch, e *Entry, plain []byte) (body []byte, packed *buffer, err error) {
	if promising(s, plain) {
		packed = grab(len(plain))
		var lens []uint32
		var ok bool
		if packed.b, lens, ok = compress(packed.b, plain, s.lens[:0]); ok {
			if !inflatesTo(s, packed.b, lens, plain) {
				return nil, packed, ErrVerify
			}
			for i := range lens {
				lens[i] = uint32(sealedLen(int(lens[i])))
			}
			e.Codec = Zstd
			e.setFrames(lens)
			return packed.b, packed, nil
		}
	}
	e.Codec, e.Stored = Raw, uint32(sealedLen(len(plain)))
	return plain, packed, nil
}

// reserve gives the entry its number and offset and a turn in the order of writing.
func (w *Writer) reserve(e *Entry) (*turn, error) {
	my := turns.Get().(*turn)
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.err == nil && !w.closed && w.reserved-w.written > maxBehind {
		w.moved.Wait()
	}
	switch {
	case w.err != nil:
		return nil, w.err
	case w.closed:
		return nil, ErrClosed
	case len(w.entries) == MaxEntries || w.reserved+uint64(e.Stored) > maxChunkBody:
		return nil, ErrFull
	}
	e.Number, e.Offset = uint32(len(w.entries)), HeaderSize+w.reserved
	w.entries = append(w.entries, *e)
	w.reserved += uint64(e.Stored)
	if w.tail == nil {
		w.head = my
	} else {
		w.tail.next = my
	}
	w.tail = my
	return my, nil
}

// finish hands a sealed chunk over to be written when its turn comes, now if it has come.
func (w *Writer) finish(my *turn, sealed *buffer, err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		return w.fail(err)
	}
	my.sealed = sealed
	if !w.draining {
		w.drain()
	}
	return w.err
}

// drain writes turns as long as the next one is sealed. Called and left with mu held, which it
// releases while it writes.
func (w *Writer) drain() {
	w.draining = true
	for w.err == nil && w.head != nil && w.head.sealed != nil {
		t := w.head
		if w.head = t.next; w.head == nil {
			w.tail = nil
		}
		w.mu.Unlock()
		err := w.write(t.sealed.b)
		n := len(t.sealed.b)
		t.sealed.release()
		*t = turn{}
		turns.Put(t)
		w.mu.Lock()
		if err != nil {
			w.fail(err)
			break
		}
		w.written += uint64(n)
		w.moved.Broadcast()
	}
	w.draining = false
	w.moved.Broadcast()
}

// fail makes err the pack's failure unless it has one, wakes everyone and returns the failure.
// Called with mu held.
func (w *Writer) fail(err error) error {
	if w.err == nil {
		w.err = fmt.Errorf("write pack %s: %w", w.id, err)
	}
	w.moved.Broadcast()
	return w.err
}

func (w *Writer) write(b []byte) error {
	w.sum.Write(b)
	_, err := w.out.Write(b)
	return err
}

// Close waits for chunks that are still being sealed, writes padding, table and checksum, and returns
// the entries in their order and the pack's size in bytes. The entries are the caller's. The pack is
// complete, though not synced, if the error is nil, and worthless otherwise.
func (w *Writer) Close() ([]Entry, int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, 0, ErrClosed
	}
	w.closed = true
	w.moved.Broadcast()
	for w.draining || (w.err == nil && w.written < w.reserved) {
		w.moved.Wait()
	}
	if w.err != nil {
		return nil, 0, w.err
	}
	size, err := w.finishPack()
	if err != nil {
		return nil, 0, w.fail(err)
	}
	return slices.Clip(w.entries), size, nil
}
