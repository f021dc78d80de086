package daemon

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"keepsake/daemon/capture"
	"keepsake/daemon/config"
	"keepsake/daemon/guard"
	"keepsake/daemon/health"
)

// rereadEvery is the distance between two rounds of the rolling re-read. Each
// has its share of a day's budget.
const (
	rereadEvery  = time.Hour
	roundsPerDay = int64(24 * time.Hour / rereadEvery)
)

// maxSuspects bounds the files that are noted as suspects. A disk with more of
// them needs another kind of help.
const maxSuspects = 10_000

// rereadNote is how far the re-read of a source has come.
type rereadNote struct {
	Cursor capture.Cursor `cbor:"0,keyasint"`
	Cycle  time.Time      `cbor:"1,keyasint"` // when everything had been read the last time
	// Overdrawn is by how much the last budget was exceeded: a file is read whole.
	Overdrawn int64 `cbor:"2,keyasint,omitempty"`
	// Round is when the last round began.
	Round time.Time `cbor:"3,keyasint"`
}

// keepReading re-reads the source a little every hour until ctx ends. The hours
// go on over restarts: a machine that is never on for a whole one reads, too.
func (s *sourceKeeper) keepReading(ctx context.Context) {
	var n rereadNote
	if _, err := s.memory.state.Note(s.source.ID, noteReread, &n); err != nil {
		s.k.o.Log.Error("how far the re-read has come is not known; it begins anew", "source", s.label(), "error", err)
	}
	s.note(func(f *facts) { f.reread.RoundEnded = n.Cycle })
	if n.Round.IsZero() {
		// A first backup is not to be slowed down by its own second look.
		n.Round = s.now().Round(0)
		s.noteReread(&n)
	}
	for {
		select {
		case <-s.k.o.Clock.After(slice):
		case <-ctx.Done():
			return
		}
		// A clock that was set back makes it read now rather than in a year.
		now := s.now().Round(0)
		if since := now.Sub(n.Round); since >= 0 && since < rereadEvery {
			continue
		}
		n.Round = now
		conf := s.config()
		if !s.rereads(conf) {
			continue
		}
		if err := s.rereadOnce(ctx, &n, conf.Reread/roundsPerDay); err != nil && ctx.Err() == nil {
			s.k.o.Log.Warn("the re-read of a source failed; it goes on in an hour", "source", conf.Label, "error", err)
		}
	}
}

func (s *sourceKeeper) noteReread(n *rereadNote) {
	if err := s.memory.state.SetNote(s.source.ID, noteReread, n); err != nil {
		s.k.o.Log.Error("how far the re-read has come cannot be noted", "source", s.label(), "error", err)
	}
}

// rereadOnce reads some files again, and raises an alarm for those that are not
// what they were.
func (s *sourceKeeper) rereadOnce(ctx context.Context, n *rereadNote, budget int64) error {
	if budget -= n.Overdrawn; budget <= 0 {
		n.Overdrawn = -budget
		return s.memory.state.SetNote(s.source.ID, noteReread, n)
	}
	conf := s.config()
	r, failed := capture.Reread(ctx, capture.RereadOptions{
		Repository: s.k.o.Repository, Source: s.source, Path: []byte(conf.Path), Budget: budget,
		Cursor: n.Cursor, Limit: s.k.reads.now().Limit, Log: s.k.o.Log.With("source", conf.Label), Now: s.k.now,
	})
	if ctx.Err() != nil {
		return ctx.Err() // what was found is found again
	}
	if len(r.Marks) > 0 && !s.judgedTo(r.Of) {
		return failed // compared with what is about to raise an alarm; see rereads
	}
	// What was done counts, whatever ended it.
	n.Cursor, n.Overdrawn = r.Cursor, max(0, r.Bytes-budget)
	if !r.Cycle.IsZero() {
		n.Cycle = r.Cycle
	}
	bad := slices.Clone(r.Rotten)
	for _, m := range r.Unreadable {
		bad = append(bad, string(m.Path))
	}
	s.note(func(f *facts) {
		f.reread.Bytes += uint64(r.Bytes)
		f.reread.Files += uint64(r.Files)
		f.reread.Mismatches += uint64(len(bad) + len(r.Transient))
		f.reread.RoundEnded = n.Cycle
	})
	if len(r.Transient) > 0 {
		s.k.o.Log.Warn("files were read wrong once and right the second time: memory, a cable or a controller may be failing",
			"source", conf.Label, "files", len(r.Transient))
	}
	// Those that a snapshot flags already were told of, and perhaps acknowledged.
	if bad = without(bad, r.Known); len(bad)+len(r.Mended) > 0 {
		// Noted before the cursor moves on: a kill in between finds them again.
		if err := s.suspect(ctx, bad, r.Mended); err != nil {
			return err
		}
	}
	return errors.Join(failed, s.memory.state.SetNote(s.source.ID, noteReread, n))
}

// rereads reports whether the source is to be read again now. While a guard's
// alarm stands, what lies there may not be the source, nor the newest snapshot
// what the source was: reading that in full would prove nothing.
func (s *sourceKeeper) rereads(c config.Source) bool {
	if c.Reread <= 0 || s.paused(s.now()) > 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(s.memory.alarms, func(a Alarm) bool { return a.Guard != health.GuardRot })
}

// judgedTo reports whether a snapshot's marks have become alarms.
func (s *sourceKeeper) judgedTo(number uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return number <= s.memory.job.Judged
}

// suspect notes files whose content changed though their times did not, and
// those that are well again, and has the source looked at, so that a snapshot
// says so, too.
func (s *sourceKeeper) suspect(ctx context.Context, bad, mended []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Concat(without(texts(s.memory.rot.Paths), mended), bad)
	slices.Sort(all)
	all = slices.Compact(all)
	all = all[:min(len(all), maxSuspects)]
	if len(bad) > 0 {
		finding := guard.Finding{
			Guard: health.GuardRot, Since: s.now(),
			Detail: fmt.Sprintf("%s changed though size and times did not, or cannot be read any more, %s among them: is its disk failing?", countOf(len(all), "file"), printable(bad[0])),
		}
		if err := s.memory.raise(ctx, s.k.o.Repository, s.k.who(), []guard.Finding{finding}, s.facts.newest, math.MaxUint64); err != nil {
			return err
		}
		s.k.o.Log.Warn("files changed although their times did not", "source", s.conf.Label, "files", len(bad))
	}
	s.memory.rot = rotNote{Paths: raw(all), Mended: slices.Concat(s.memory.rot.Mended, raw(mended))}
	if err := s.memory.note(noteRot, s.memory.rot); err != nil {
		return err
	}
	s.asked = append(s.asked, &request{done: make(chan Looked, 1)}) // nobody waits for the answer
	s.poke()
	return nil
}

// suspects are what the next capture has to know of files that were read again.
func (n rotNote) suspects() map[string]bool {
	m := map[string]bool{}
	for _, p := range n.Mended {
		m[string(p)] = false
	}
	for _, p := range n.Paths {
		m[string(p)] = true
	}
	return m
}

func raw(paths []string) (all [][]byte) {
	for _, p := range paths {
		all = append(all, []byte(p))
	}
	return all
}

func texts(paths [][]byte) (all []string) {
	for _, p := range paths {
		all = append(all, string(p))
	}
	return all
}
