package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"golang.org/x/time/rate"

	"keepsake/store"
	"keepsake/store/state"
	"keepsake/store/tree"
)

// A file that nobody writes to is read once, when it is captured, and then
// never again: what its disk makes of it would be noticed by whoever opens it
// years later. The rolling re-read reads a few files each day and compares them
// with the digests in the newest snapshot. What was captured last comes first:
// it has no second look behind it, and whoever copied it still has the card.
//
// The disk is to be read, not the memory of this machine. Files are read around
// the page cache (O_DIRECT) where the file system can; elsewhere the kernel is
// asked to drop their pages first, which it does unless somebody has them
// mapped or is writing them. Caches inside drives and controllers, of a file
// server, and of file systems with a cache of their own (ZFS, which checks its
// blocks itself) are beyond reach. Of a mirror, the copy is read that the file
// system chooses.

// RereadOptions says what to read again. Repository, Source, Path and Budget
// are required.
type RereadOptions struct {
	Repository *store.Repository
	Source     state.Source
	Path       []byte // absolute path of the source's root
	// Budget is how many bytes are read. The last file may exceed it; the
	// result says by how much, and the caller can save it the next time.
	Budget int64
	Cursor Cursor        // where the last call ended
	Limit  *rate.Limiter // in bytes; nil does not limit
	// Candidates bounds how many files are remembered at the same time; 0 means
	// 16,384, about 5 MB. With fewer, the snapshot's tree is walked more often.
	Candidates int
	Log        *slog.Logger
	Now        func() time.Time
}

const (
	defaultCandidates = 16 << 10
	// openCost is what a file costs besides its bytes: a disk seeks.
	openCost = 4 << 10
)

func (o RereadOptions) withDefaults() (RereadOptions, error) {
	switch {
	case o.Repository == nil:
		return o, errors.New("reading again needs a repository")
	case !filepath.IsAbs(string(o.Path)):
		return o, fmt.Errorf("source path %q is not absolute", o.Path)
	case o.Budget <= 0:
		return o, errors.New("reading again needs a budget of bytes")
	}
	if o.Candidates <= 0 {
		o.Candidates = defaultCandidates
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

// Cursor says how far a cycle has come: every file whose position lies after Low,
// up to High, was looked at. The zero Cursor begins a cycle. It can be kept as
// CBOR.
type Cursor struct {
	Low  Position `cbor:"0,keyasint,omitzero"`
	High Position `cbor:"1,keyasint,omitzero"`
}

// RereadResult is what a call found. Lists of paths are relative to the root,
// and end at a bound; the numbers do not.
type RereadResult struct {
	Files, Bytes int64 // verified, and read for it
	Changed      int64 // files that were written to since, or are gone: captures see to them

	Rotten []string // other content than captured, twice the same or not, though nothing says that it was written to
	Mended []string // suspected before, and as captured again
	// Known, of Rotten and Unreadable, are those that the snapshot flags already:
	// they are kept and listed, and nothing new.
	Known []string
	// Transient were read wrong once and right the second time: memory, cables,
	// controllers.
	Transient  []string
	Unreadable []tree.Missed // in two attempts

	// Of is the number of the snapshot that was compared with, and Marks what guards
	// found about it.
	Of    uint64
	Marks []string

	Cursor Cursor
	Cycle  time.Time // when the last file was done; zero if some are left
}

// maxNamed bounds each list of a result. Where so much has rotted the disk is
// to be replaced, whatever else is on it.
const maxNamed = 10_000

func noted[T any](list []T, one T) []T {
	if len(list) < maxNamed {
		list = append(list, one)
	}
	return list
}

// Reread reads files of the newest snapshot again that nobody wrote to since,
// and compares. Its result is good for what was done even if there is an error.
func Reread(ctx context.Context, options RereadOptions) (RereadResult, error) {
	result := RereadResult{Cursor: options.Cursor}
	o, err := options.withDefaults()
	if err != nil {
		return result, err
	}
	newest, ok, err := previous(ctx, o.Repository, o.Source.ID)
	if err != nil || !ok {
		return result, err
	}
	result.Of, result.Marks = newest.Number, newest.Marks
	v, err := newVerifier(&o, &newest)
	if err != nil {
		return result, err
	}
	defer v.close()
	for result.Cycle.IsZero() && v.spent < o.Budget {
		newer, older, err := candidates(ctx, &o, &newest.Root, result.Cursor)
		if err != nil {
			return result, err
		}
		if err := v.round(ctx, newer, older, &result); err != nil {
			return result, err
		}
	}
	return result, nil
}

// round looks at some candidates, those above the verified stretch upwards and
// then those below it downwards, so that it stays one stretch.
func (v *verifier) round(ctx context.Context, newer, older *selection, result *RereadResult) error {
	c := &result.Cursor
	for _, f := range newer.sorted() {
		if v.spent >= v.o.Budget {
			return nil
		}
		if err := v.look(ctx, f, result); err != nil {
			return err
		}
		c.High = f.at
	}
	if newer.more {
		return nil
	}
	for _, f := range older.sorted() {
		if v.spent >= v.o.Budget {
			return nil
		}
		if err := v.look(ctx, f, result); err != nil {
			return err
		}
		if c.High == (Position{}) {
			c.High = f.at
		}
		c.Low = f.at
	}
	if !older.more {
		result.Cycle, *c = v.o.Now(), Cursor{}
	}
	return nil
}
