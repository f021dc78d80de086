package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"keepsake/crypto"
	"keepsake/store/backend"
	"keepsake/store/index"
	"keepsake/store/object"
	"keepsake/store/pack"
)

// errNotStored is the cause of a DamageError for a chunk that no pack holds.
var errNotStored = errors.New("no pack of the repository holds it")

func interrupted(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// locate returns where a chunk lies. If the index does not know, packs that
// appeared behind its back are taken up; if that does not help, its leaf may
// have rotted away, and once a session all tables are read again.
func (r *Repository) locate(ctx context.Context, id crypto.ChunkID) (index.Place, error) {
	for _, mend := range []func(context.Context) error{r.adopt, r.reindexOnce} {
		p, ok, err := r.lookup(ctx, id)
		if err != nil || ok {
			return p, err
		}
		err = mend(ctx)
		if errors.Is(err, index.ErrDamaged) {
			err = r.rebuild(ctx)
		}
		if err != nil {
			return p, err
		}
	}
	p, ok, err := r.lookup(ctx, id)
	if err == nil && !ok {
		err = &DamageError{Chunk: id, Err: errNotStored}
	}
	return p, err
}

// lookup asks the index, and makes a new one if it cannot be read any more.
func (r *Repository) lookup(ctx context.Context, id crypto.ChunkID) (index.Place, bool, error) {
	p, ok, err := r.index.Lookup(id)
	if !errors.Is(err, index.ErrDamaged) {
		return p, ok, err
	}
	if err := r.rebuild(ctx); err != nil {
		return p, false, err
	}
	return r.index.Lookup(id)
}

// Place returns the pack and the offset in it at which a chunk lies, so that
// many reads can be put in the order of the disk.
func (r *Repository) Place(ctx context.Context, id crypto.ChunkID) (pack.ID, uint64, error) {
	p, err := r.locate(ctx, id)
	return p.Pack.ID, p.Entry.Offset, err
}

// ReadChunk appends the plaintext of a whole chunk to dst[:0], reading it from
// the repository in one piece and past the cache. Damage is a *DamageError.
func (r *Repository) ReadChunk(ctx context.Context, id crypto.ChunkID, t pack.ChunkType, dst []byte) ([]byte, error) {
	var out []byte
	err := r.withPlace(ctx, id, t, nil, func(p index.Place, o opener) error {
		stored := r.buffers.get(int(p.Entry.Stored))
		defer r.buffers.put(stored)
		if err := r.readExactly(ctx, p, *stored, p.Entry.Offset); err != nil {
			return err
		}
		var err error
		out, err = o.OpenChunk(dst[:0], p.Entry, *stored)
		return err
	})
	return out, err
}

// SetCache bounds the memory for decrypted data from now on, in bytes; 0 means
// what the repository was opened with.
func (r *Repository) SetCache(limit int64) {
	if limit == 0 {
		limit = r.options.Cache
	}
	r.cache.resize(limit)
}

// block returns one decoded block of a chunk through the cache; whoever gets it
// releases it. known is where the chunk lay when it was last seen, and is set to
// where it lies now.
func (r *Repository) block(ctx context.Context, id crypto.ChunkID, t pack.ChunkType, i int, known *index.Place) (*block, error) {
	return r.cache.get(ctx, blockKey{id, i}, func(ctx context.Context) (b *block, err error) {
		err = r.withPlace(ctx, id, t, known, func(p index.Place, o opener) error {
			b, err = r.readBlock(ctx, p, o, i)
			return err
		})
		return b, err
	})
}

func (r *Repository) readBlock(ctx context.Context, p index.Place, o opener, i int) (*block, error) {
	if i >= p.Entry.Blocks() {
		return nil, fmt.Errorf("block %d of %d: %w", i, p.Entry.Blocks(), object.ErrCorrupt)
	}
	at, plain, off, n := p.Entry.Block(i)
	stored := r.buffers.get(n)
	defer r.buffers.put(stored)
	if err := r.readExactly(ctx, p, *stored, off); err != nil {
		return nil, err
	}
	b := &block{off: at, plain: int(p.Entry.Plain)}
	var dst []byte
	if p.Entry.Type == pack.Data { // metadata goes to callers who never give it back
		b.room = r.cache.memory.get(plain)
		dst = b.room.bytes[:0]
	}
	var err error
	b.data, err = o.OpenBlock(dst, p.Entry, i, *stored)
	return b, err
}

// withPlace runs read with the place of a chunk, and once more if the index
// turns out to have had another place than the packs themselves. A place that is
// known from before, if it is not nil, is tried first, and set if that has become
// wrong: the chunk may have moved.
func (r *Repository) withPlace(ctx context.Context, id crypto.ChunkID, t pack.ChunkType, known *index.Place, read func(index.Place, opener) error) error {
	if known != nil {
		if err := r.tryPlace(*known, t, read); err == nil || interrupted(err) || errors.Is(err, backend.ErrNoRepository) {
			return err
		}
	}
	p, err := r.locate(ctx, id)
	if err != nil {
		return err
	}
	first := r.tryPlace(p, t, read)
	if first == nil && known != nil {
		*known = p
	}
	if first == nil || interrupted(first) || errors.Is(first, backend.ErrNoRepository) {
		return first // a disk that was unplugged has damaged nothing
	}
	q, ok, err := r.correct(ctx, p, id)
	if err != nil {
		return err
	}
	if ok {
		if err := r.tryPlace(q, t, read); err == nil || interrupted(err) {
			if known != nil {
				*known = q
			}
			return err
		}
	}
	return &DamageError{Object: packName(p.Pack.Kind, p.Pack.ID), Chunk: id, Err: first}
}

func (r *Repository) tryPlace(p index.Place, t pack.ChunkType, read func(index.Place, opener) error) error {
	if p.Entry.Type != t {
		return fmt.Errorf("chunk is of type %d, not %d: %w", p.Entry.Type, t, object.ErrCorrupt)
	}
	o, err := r.openers.get(r.keys, p.Pack)
	if err != nil {
		return err
	}
	return read(p, o)
}

// correct asks the table of the pack at a place that led to nothing good, and
// those of all packs if that one does not know the chunk, puts what they say
// into the index and returns it. The error is the context's.
func (r *Repository) correct(ctx context.Context, p index.Place, id crypto.ChunkID) (_ index.Place, ok bool, err error) {
	q, ok, err := r.askTable(ctx, p, id)
	switch {
	case err != nil:
		return q, false, ctx.Err()
	case ok:
		err = r.index.Add(index.Table{Pack: q.Pack, Entries: []pack.Entry{q.Entry}})
	default:
		if err = r.reindexOnce(ctx); err == nil {
			q, ok, err = r.index.Lookup(id)
		}
	}
	if err != nil {
		r.options.Log.Warn("the index is wrong and could not be corrected", "chunk", id, "err", err)
	}
	return q, ok, ctx.Err()
}

// askTable looks a chunk up in the table of the pack that the index names. An
// error means that the table cannot be read.
func (r *Repository) askTable(ctx context.Context, p index.Place, id crypto.ChunkID) (_ index.Place, ok bool, err error) {
	t, err := r.readTable(ctx, p.Pack)
	if err != nil {
		return p, false, err
	}
	for i := range t.Entries {
		if t.Entries[i].Chunk == id {
			p.Entry = t.Entries[i]
			p.Pack.Kind, p.Pack.Epoch, p.Pack.Chunks = t.Kind, t.Epoch, uint32(len(t.Entries))
			return p, true, nil
		}
	}
	return p, false, nil
}

func (r *Repository) readTable(ctx context.Context, p index.Pack) (*pack.Table, error) {
	return pack.ReadTable(&objectReader{ctx, r.objects, packName(p.Kind, p.ID)}, p.Size, r.keys, p.ID)
}

func (r *Repository) readExactly(ctx context.Context, p index.Place, buf []byte, off uint64) error {
	name := packName(p.Pack.Kind, p.Pack.ID)
	n, err := r.objects.ReadAt(ctx, name, buf, int64(off))
	switch {
	case n == len(buf):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("the pack is missing")
	case err == nil || errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	default:
		return err
	}
}

// objectReader reads one object as an io.ReaderAt.
type objectReader struct {
	ctx  context.Context // of the one call that it is made for
	o    objects
	name string
}

func (o *objectReader) ReadAt(p []byte, off int64) (int, error) {
	return o.o.ReadAt(o.ctx, o.name, p, off)
}

// opener decrypts chunks of one pack and verifies them; *pack.Opener does it.
type opener interface {
	OpenBlock(dst []byte, e pack.Entry, i int, stored []byte) ([]byte, error)
	OpenChunk(dst []byte, e pack.Entry, stored []byte) ([]byte, error)
}

// openers keeps the key schedules of recently read packs.
type openers struct {
	mu  sync.Mutex
	lru []opener // most recent last; few enough to search
	ids []pack.ID
	// wrap is nil but in tests, which show with it that they would notice if
	// nothing were verified.
	wrap func(*pack.Opener) opener
}

const keptOpeners = 64

func (s *openers) get(keys *crypto.Keyring, p index.Pack) (opener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.ids) - 1; i >= 0; i-- {
		if s.ids[i] != p.ID {
			continue
		}
		o := s.lru[i]
		copy(s.lru[i:], s.lru[i+1:])
		copy(s.ids[i:], s.ids[i+1:])
		s.lru[len(s.lru)-1], s.ids[len(s.ids)-1] = o, p.ID
		return o, nil
	}
	made, err := pack.NewOpener(keys, p.Kind, p.Epoch, p.ID)
	if err != nil {
		return nil, err
	}
	o := opener(made)
	if s.wrap != nil {
		o = s.wrap(made)
	}
	if len(s.ids) == keptOpeners {
		s.lru, s.ids = append(s.lru[:0], s.lru[1:]...), append(s.ids[:0], s.ids[1:]...)
	}
	s.lru, s.ids = append(s.lru, o), append(s.ids, p.ID)
	return o, nil
}

// buffers lends byte slices for ciphertext.
type buffers struct{ pool sync.Pool }

func (b *buffers) get(n int) *[]byte {
	if p, ok := b.pool.Get().(*[]byte); ok && cap(*p) >= n {
		*p = (*p)[:n]
		return p
	}
	p := make([]byte, n)
	return &p
}

func (b *buffers) put(p *[]byte) { b.pool.Put(p) }
