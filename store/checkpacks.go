package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"

	"golang.org/x/sync/errgroup"

	"keepsake/store/backend"
	"keepsake/store/index"
	"keepsake/store/object"
	"keepsake/store/pack"
)

// packJob is a pack to check.
type packJob struct {
	pack  index.Pack // Size as listed
	known bool       // the index has it
}

// packs checks all packs, or those that the one snapshot needs, on all cores.
func (c *check) packs(ctx context.Context, needed map[pack.ID]struct{}) error {
	err := c.r.index.Packs(func(p index.Pack) error {
		if c.wants(p.ID, needed) {
			c.expect(p)
		}
		return nil
	})
	if err != nil {
		return err
	}
	jobs := make(chan packJob)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(jobs)
		return c.listPacks(ctx, needed, jobs)
	})
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			in := &sequential{buf: make([]byte, readAhead)}
			for j := range jobs {
				if err := c.pack(ctx, j, in); err != nil {
					return err
				}
				c.o.Progress.Packs.Add(1)
			}
			return nil
		})
	}
	return g.Wait()
}

func (c *check) wants(id pack.ID, needed map[pack.ID]struct{}) bool {
	if needed == nil {
		return true
	}
	_, ok := needed[id]
	return ok
}

func (c *check) expect(p index.Pack) {
	c.o.Progress.PacksTotal.Add(1)
	if c.deep(p) {
		c.o.Progress.BytesTotal.Add(p.Size)
	}
}

// deep reports whether the whole pack is read. One that was found damaged is,
// in every check: it is the only way to say exactly what that affects.
func (c *check) deep(p index.Pack) bool {
	return p.Damaged || c.o.ReadData && c.o.Subset.has(p.ID)
}

// listPacks compares index and repository one 256th at a time, so that memory
// does not grow with the repository.
func (c *check) listPacks(ctx context.Context, needed map[pack.ID]struct{}, jobs chan<- packJob) error {
	for prefix := range 256 {
		known := map[pack.ID]index.Pack{}
		err := c.r.index.PacksUnder(byte(prefix), func(p index.Pack) {
			if c.wants(p.ID, needed) {
				known[p.ID] = p
			}
		})
		if err != nil {
			return err
		}
		for _, kind := range []string{prefixData, prefixMeta} {
			err := c.r.objects.List(ctx, fmt.Sprintf("%s%02x/", kind, prefix), func(name string, size int64) error {
				kind, id, ok := parsePackName(name)
				if !ok {
					c.mu.Lock()
					defer c.mu.Unlock()
					c.result.foreign(name)
					return nil
				}
				if !c.wants(id, needed) {
					return nil
				}
				j := packJob{pack: index.Pack{ID: id, Kind: kind}}
				if p, ok := known[id]; ok && p.Kind == kind {
					delete(known, id)
					j = packJob{pack: p, known: true}
				}
				j.pack.Size = size
				if !j.known {
					c.expect(j.pack)
				}
				select {
				case jobs <- j:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
			if err != nil {
				return err
			}
		}
		for _, p := range known {
			c.gone(p)
		}
	}
	return nil
}

// gone notes a pack that the index knows and nobody finds. That a condemned one
// is gone was announced.
func (c *check) gone(p index.Pack) {
	f := packFault(p, MissingPack, errors.New("the pack is gone"))
	f.whole, f.quiet = true, p.Condemned
	f.problem.Chunks = int(p.Chunks)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[p.ID] = f
}

// pack checks one pack against itself and against the index.
func (c *check) pack(ctx context.Context, j packJob, in *sequential) error {
	in.reset(&objectReader{ctx, c.r.objects, packName(j.pack.Kind, j.pack.ID)})
	f := packFault(j.pack, DamagedPack, nil)
	var t *pack.Table
	var err error
	if c.deep(j.pack) {
		t, err = c.readPack(ctx, j, in, f)
	} else {
		t, err = pack.ReadTable(in.r, j.pack.Size, c.r.keys, j.pack.ID)
	}
	switch {
	case fatal(err):
		return err
	case errors.Is(err, fs.ErrNotExist):
		c.gone(j.pack) // between listing and reading
		return nil
	case t == nil && err != nil:
		err = c.confirm(j, in, err)
	case t.Kind != j.pack.Kind:
		err = fmt.Errorf("is a %s: %w", t.Kind, errName)
	}
	c.mu.Lock()
	c.result.Packs++
	c.mu.Unlock()
	if err != nil || f.problem.Chunks > 0 {
		c.addFault(j, f, t, err)
	} else if c.deep(j.pack) && j.pack.Damaged {
		if err := c.r.index.Mark(j.pack.ID, func(p *index.Pack) { p.Damaged = false }); err != nil {
			return err
		}
		c.mu.Lock()
		c.result.Healed++
		c.mu.Unlock()
		j.pack.Damaged = false
	}
	if t == nil || t.Kind != j.pack.Kind {
		return nil
	}
	return c.compare(ctx, j, t)
}

// confirm makes sure that a pack which seems to be of a newer format or epoch is
// intact, and its header not rotten.
func (c *check) confirm(j packJob, in *sequential, err error) error {
	if damageKind(DamagedPack, err) == DamagedPack {
		return err
	}
	if sum := object.CheckReader(io.NewSectionReader(in.r, 0, j.pack.Size), j.pack.Kind); sum != nil && !errors.Is(sum, object.ErrVersion) {
		return sum
	}
	return err
}

// readPack reads a pack from front to back and notes its damaged chunks in f.
func (c *check) readPack(ctx context.Context, j packJob, in *sequential, f *fault) (*pack.Table, error) {
	var done int64
	t, err := pack.Check(in, j.pack.Size, c.r.keys, j.pack.ID, func(e pack.Entry, _ []byte, err error) error {
		if fatal(err) {
			return err
		}
		if err != nil {
			f.addBad(e.Chunk, err)
		}
		done += int64(e.Stored)
		c.o.Progress.Bytes.Add(int64(e.Stored))
		return ctx.Err()
	})
	c.o.Progress.Bytes.Add(j.pack.Size - done)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.result.PacksRead++
	c.result.BytesRead += j.pack.Size
	return t, err
}

// addFault notes a damaged pack. t is nil if its table cannot be read.
func (c *check) addFault(j packJob, f *fault, t *pack.Table, err error) {
	if f.problem.Chunks == 0 {
		f.problem.Err, f.problem.Kind = err, damageKind(DamagedPack, err)
	}
	f.noTable = t == nil || t.Kind != j.pack.Kind
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bad += f.problem.Chunks; c.bad > maxBad {
		f.whole, f.bad = true, nil
	}
	if f.noTable && !j.known {
		// Nothing leads to what it may hold: the index has no word of it.
		f.problem.Remedy = remedyUnknown
		c.reportLocked(f.finish())
		return
	}
	c.faults[j.pack.ID] = f
}

// compare looks whether the index says what the table says, and corrects it.
func (c *check) compare(ctx context.Context, j packJob, t *pack.Table) error {
	p := index.Pack{ID: t.ID, Kind: t.Kind, Epoch: t.Epoch, Size: t.Size, Chunks: uint32(len(t.Entries)), Condemned: j.pack.Condemned, Damaged: j.pack.Damaged}
	table := index.Table{Pack: p, Entries: t.Entries}
	cmp, err := c.r.index.Compare(table)
	if err != nil {
		return err
	}
	if !cmp.Known {
		err = c.r.addFound(ctx, table)
	} else if !cmp.Agrees() {
		err = c.r.index.Add(table)
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.here += uint64(cmp.Here)
	if j.known && !cmp.Agrees() {
		c.wrong += max(1, cmp.Wrong)
		if c.wrongErr == nil {
			c.wrongErr = fmt.Errorf("pack %v has %d chunks that the index has at other places or not at all", t.ID, cmp.Wrong)
		}
	}
	if cmp.Elsewhere > 0 {
		c.twinned = append(c.twinned, p)
	}
	return nil
}

// settlePacks acts on what was found: the index is rebuilt if it has chunks that
// no pack has, damaged packs are marked, and damaged chunks that another pack
// holds whole are looked for there from now on.
func (c *check) settlePacks(ctx context.Context, changes uint64) error {
	if err := c.phantoms(ctx, changes); err != nil {
		return err
	}
	if c.wrong > 0 {
		c.report(Problem{Object: "index.db", Kind: WrongIndex, Err: c.wrongErr, Chunks: c.wrong, Mended: true, Remedy: remedyIndex})
	}
	for id, f := range c.faults {
		if f.marked || f.problem.Kind == NewerFormat || f.problem.Kind == UnknownEpoch {
			continue
		}
		if err := c.r.index.Mark(id, func(p *index.Pack) { p.Damaged = true }); err != nil {
			return err
		}
	}
	if len(c.faults) == 0 {
		return nil
	}
	for _, p := range c.twinned {
		if err := c.useTwin(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// phantoms finds places in the index that no pack confirms: there are more
// places than were compared. It says nothing if packs came meanwhile or if some
// could not be compared.
func (c *check) phantoms(ctx context.Context, changes uint64) error {
	if c.o.Snapshot != nil || c.r.index.Changes() != changes || c.wrong > 0 {
		return nil
	}
	for _, f := range c.faults {
		if f.whole || f.noTable {
			return nil
		}
	}
	live, err := c.r.index.Count()
	if err != nil || live == c.here || c.r.index.Changes() != changes {
		return err
	}
	c.wrong, c.wrongErr = int(live-c.here), errors.New("the index has chunks at places where no pack has them")
	for _, f := range c.faults {
		f.marked = false
	}
	return c.r.renew(ctx)
}

// useTwin moves places of damaged chunks to another pack that holds them too.
func (c *check) useTwin(ctx context.Context, p index.Pack) error {
	t, err := c.r.readTable(ctx, p)
	if fatal(err) {
		return err
	}
	if err != nil {
		return nil
	}
	var whole []pack.Entry
	own := c.faults[p.ID]
	for _, e := range t.Entries {
		if own != nil && (own.whole || own.bad[e.Chunk]) {
			continue
		}
		at, ok, err := c.r.index.Lookup(e.Chunk)
		if err != nil {
			return err
		}
		if f := c.faults[at.Pack.ID]; ok && f != nil && at.Pack.ID != p.ID && (f.whole || f.noTable || f.bad[e.Chunk]) {
			whole = append(whole, e)
		}
	}
	if len(whole) == 0 {
		return nil
	}
	return c.r.index.Add(index.Table{Pack: p, Entries: whole})
}

// fatal reports whether an error says nothing about an object: nobody waits any
// more, or the whole repository is away.
func fatal(err error) bool {
	return interrupted(err) || errors.Is(err, backend.ErrNoRepository)
}

// readAhead is how much of a pack is read at once: enough for a spinning disk
// to stream while two packs are read in turn.
const readAhead = 1 << 20

// sequential reads ahead of someone who reads an object from front to back.
type sequential struct {
	r   io.ReaderAt
	buf []byte
	off int64 // of buf in the object
	n   int   // valid bytes of buf
}

func (s *sequential) reset(r io.ReaderAt) { s.r, s.off, s.n = r, 0, 0 }

// ReadAt implements io.ReaderAt for one goroutine.
func (s *sequential) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	if off >= s.off && off < s.off+int64(s.n) {
		done = copy(p, s.buf[off-s.off:s.n])
	}
	if done == len(p) {
		return done, nil
	}
	off += int64(done)
	if len(p)-done >= len(s.buf)/2 {
		n, err := s.r.ReadAt(p[done:], off)
		return done + n, err
	}
	n, err := s.r.ReadAt(s.buf, off)
	if s.off, s.n = off, n; n < len(p)-done && err != io.EOF {
		// A bad sector further on must not spoil what comes before it.
		s.n = 0
		n, err = s.r.ReadAt(p[done:], off)
		return done + n, err
	}
	if n = copy(p[done:], s.buf[:n]); done+n == len(p) {
		err = nil
	}
	return done + n, err
}
