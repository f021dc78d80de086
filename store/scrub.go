package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"keepsake/crypto"
	"keepsake/store/object"
	"keepsake/store/pack"
)

// ScrubResult sums a scrub up.
type ScrubResult struct {
	Objects      int
	Bytes        int64
	Problems     int
	Foreign      []string // files that are not keepsake's, at most maxForeign
	ForeignCount int
}

// Scrub reads every object once and checks what can be checked without a key:
// magic, version, checksum, the name where it is a hash, and both copies of the
// configuration and of what lies under keys/. It finds rot; whether somebody
// with a key has put other objects in place of ours, only Check can tell.
//
// progress and report may be nil.
func Scrub(ctx context.Context, o objects, progress *CheckProgress, report func(Problem)) (ScrubResult, error) {
	if progress == nil {
		progress = &CheckProgress{}
	}
	s := &scrub{o: o, progress: progress, report: report}
	err := s.run(ctx)
	return s.result, err
}

type scrub struct {
	o        objects
	progress *CheckProgress
	report   func(Problem)

	mu     sync.Mutex // guards the fields below
	result ScrubResult
}

func (s *scrub) run(ctx context.Context) error {
	err := s.o.List(ctx, "", func(name string, size int64) error {
		if packKind(name) != 0 {
			s.progress.PacksTotal.Add(1)
		}
		s.progress.BytesTotal.Add(size)
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.keys(ctx); err != nil {
		return err
	}
	type job struct {
		name string
		size int64
	}
	jobs := make(chan job)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(jobs)
		return s.o.List(ctx, "", func(name string, size int64) error {
			select {
			case jobs <- job{name, size}:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			for j := range jobs {
				if err := s.object(ctx, j.name, j.size); err != nil {
					return err
				}
				s.progress.Bytes.Add(j.size)
			}
			return nil
		})
	}
	return g.Wait()
}

// keys checks what is stored twice.
func (s *scrub) keys(ctx context.Context) error {
	names, err := keyNames(ctx, s.o, func(string) {})
	if err != nil {
		return err
	}
	slots := 0
	for _, name := range append([]string{nameConfig}, names...) {
		kind := object.Config
		if name != nameConfig {
			kind = keyKind(name)
		}
		if kind == object.Slot {
			slots++
		}
		problems, err := checkTwins(ctx, s.o, name, kind, func(b []byte) error {
			if kind == object.Config {
				_, err := parseConfig(b)
				return err
			}
			return new(keyObjects).parse(name, b)
		})
		if err != nil {
			return err
		}
		for _, p := range problems {
			s.problem(p)
		}
	}
	if slots == 0 {
		s.problem(Problem{Object: prefixKeys, Kind: DamagedKeys, Err: crypto.ErrNoSlots,
			Remedy: "Without a key slot no secret opens the repository. Put keys/ back from another copy of it."})
	}
	return nil
}

// object checks one object that is stored once.
func (s *scrub) object(ctx context.Context, name string, size int64) error {
	base := strings.TrimSuffix(name, suffixCopy)
	known, err := true, error(nil)
	p := Problem{Object: name}
	kind, id, isPack := parsePackName(name)
	switch {
	case isPack:
		p.Kind = DamagedPack
		p.Remedy = "keepsake check names the files that are affected. " + remedyPack
		err = s.pack(ctx, name, size, kind, id)
		s.progress.Packs.Add(1)
	case base == nameConfig || strings.HasPrefix(base, prefixKeys) && keyKind(base) != 0:
		// looked at in keys
	default:
		known = false
		for _, k := range sealedKinds {
			if id, ok := parseSealedName(k.prefix, name); ok {
				known = true
				p.Kind, p.Remedy = recordDamage(k.kind), remedySealed(k.kind)
				err = s.sealed(ctx, name, k.kind, id)
			}
		}
	}
	if fatal(err) {
		return err
	}
	s.mu.Lock()
	if known {
		s.result.Objects++
		s.result.Bytes += size
	} else if s.result.ForeignCount++; len(s.result.Foreign) < maxForeign {
		s.result.Foreign = append(s.result.Foreign, name)
	}
	s.mu.Unlock()
	if err == nil || errors.Is(err, fs.ErrNotExist) { // removed since it was listed
		return nil
	}
	p.Err, p.Kind = err, damageKind(p.Kind, err)
	s.problem(p.withRemedy(p.Remedy))
	return nil
}

// sealedKinds are the kinds of objects that are named by their own hash.
var sealedKinds = [...]struct {
	prefix string
	kind   object.Kind
}{
	{prefixSnapshots, object.Snapshot},
	{prefixLedger, object.Ledger},
	{prefixCatalog, object.Catalog},
	{prefixCondemned, object.Condemned},
}

func (s *scrub) sealed(ctx context.Context, name string, kind object.Kind, id [32]byte) error {
	b, err := readObject(ctx, s.o, name)
	if err != nil {
		return err
	}
	return checkNamed(b, kind, id)
}

func (s *scrub) pack(ctx context.Context, name string, size int64, want object.Kind, id pack.ID) error {
	r := &objectReader{ctx, s.o, name}
	head := make([]byte, object.HeaderSize)
	if n, err := r.ReadAt(head, 0); n == len(head) {
		kind, err := object.Identify(head)
		if err == nil && kind != want {
			return fmt.Errorf("is a %s: %w", kind, errName)
		}
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return pack.Scrub(io.NewSectionReader(r, 0, size), size, id)
}

func (s *scrub) problem(p Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result.Problems++
	if s.report != nil {
		s.report(p)
	}
}

// packKind is the kind of pack that belongs under a name, 0 if none does.
func packKind(name string) object.Kind {
	kind, _, _ := parsePackName(name)
	return kind
}
