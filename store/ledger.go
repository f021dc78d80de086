package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"keepsake/store/object"
	"keepsake/store/state"
	"keepsake/store/tree"
)

// Ledger is what the entries in ledger/ say, taken together. It holds about a
// hundred bytes for each snapshot that an entry ever named. It is safe for
// concurrent use, and learns of entries that Repository.Ledger reads later.
type Ledger struct {
	mu      sync.RWMutex
	folded  map[[32]byte]bool // entries, by id
	fates   map[SnapshotID]*fate
	chains  map[chainID]*chainID // each once, since most fates share a few
	damaged []error              // of the last reading
}

// fate is what became of one snapshot. Of the entries that speak of the same
// thing, being forgotten, the pin or the tags, the last one in the order of
// stamps holds, in whatever order they are read.
type fate struct {
	chain     *chainID
	number    uint64
	forget    *stamp // of the last forget or undelete
	forgotten bool
	purged    bool // for good
	pin       *pin
	tags      *tags
}

// stamp orders entries: by time, then by id. Entries share theirs with the
// fates they decide.
type stamp struct {
	time tree.Time
	id   [32]byte
}

// after reports whether s comes after o; anything comes after nothing.
func (s *stamp) after(o *stamp) bool {
	if o == nil {
		return true
	}
	return cmp.Or(s.time.Compare(o.time), bytes.Compare(s.id[:], o.id[:])) > 0
}

type pin struct {
	stamp *stamp
	on    bool
	until tree.Time
	why   string
}

type tags struct {
	stamp *stamp
	words []string
}

func newLedger() *Ledger {
	return &Ledger{folded: map[[32]byte]bool{}, fates: map[SnapshotID]*fate{}, chains: map[chainID]*chainID{}}
}

// fold takes an entry in. l.mu is held.
func (l *Ledger) fold(id [32]byte, e *tree.LedgerEntry) {
	at := &stamp{e.Time, id}
	for i := range e.Snapshots {
		f := l.fate(&e.Snapshots[i])
		switch e.Kind {
		case tree.Forget, tree.Undelete:
			if at.after(f.forget) {
				f.forget, f.forgotten = at, e.Kind == tree.Forget
			}
		case tree.Purge:
			f.purged = true
		case tree.Pin, tree.Unpin:
			if f.pin == nil || at.after(f.pin.stamp) {
				f.pin = &pin{at, e.Kind == tree.Pin, e.Until, e.Why}
			}
		case tree.Tag:
			if f.tags == nil || at.after(f.tags.stamp) {
				f.tags = &tags{at, e.Tags}
			}
		}
	}
	l.folded[id] = true
}

func (l *Ledger) fate(s *tree.LedgerSnapshot) *fate {
	f := l.fates[s.ID]
	if f == nil {
		chain := chainID{s.Source, s.Writer}
		if l.chains[chain] == nil {
			l.chains[chain] = &chain
		}
		f = &fate{chain: l.chains[chain], number: s.Number}
		l.fates[s.ID] = f
	}
	return f
}

func (f *fate) hidden() bool { return f != nil && (f.forgotten || f.purged) }

// Forgotten reports whether a snapshot is no longer wanted.
func (l *Ledger) Forgotten(id SnapshotID) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.fates[id].hidden()
}

// Pinned reports whether a snapshot must be kept at a time, and why.
func (l *Ledger) Pinned(id SnapshotID, now time.Time) (why string, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	f := l.fates[id]
	if f == nil || f.pin == nil || !f.pin.on || !f.pin.until.IsZero() && !now.Before(f.pin.until.Time()) {
		return "", false
	}
	return f.pin.why, true
}

// Damaged returns an error for each entry that the last reading found and
// could not read.
func (l *Ledger) Damaged() []error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Clone(l.damaged)
}

// tagsOf returns the tags that entries gave a snapshot; ok is false if none
// did.
func (l *Ledger) tagsOf(id SnapshotID) (words []string, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	f := l.fates[id]
	if f == nil || f.tags == nil {
		return nil, false
	}
	return slices.Clone(f.tags.words), true
}

// explained calls fn for each number that a forget or a purge explains.
func (l *Ledger) explained(fn func(h state.Head, purged bool)) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for id, f := range l.fates {
		if f.hidden() {
			fn(state.Head{Source: f.chain.source, Writer: f.chain.writer, Number: f.number, ID: id}, f.purged)
		}
	}
}

// follow dates an entry: now, or right after all entries about the same
// snapshots, if a clock that was ahead has dated one of them later.
func (l *Ledger) follow(e *tree.LedgerEntry, now tree.Time) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	e.Time = now
	for i := range e.Snapshots {
		f := l.fates[e.Snapshots[i].ID]
		if f == nil {
			continue
		}
		stamps := []*stamp{f.forget}
		if f.pin != nil {
			stamps = append(stamps, f.pin.stamp)
		}
		if f.tags != nil {
			stamps = append(stamps, f.tags.stamp)
		}
		for _, s := range stamps {
			if s != nil && s.time.Compare(e.Time) >= 0 {
				e.Time = justAfter(s.time)
			}
		}
	}
}

func justAfter(t tree.Time) tree.Time {
	switch {
	case t.Nsec < 1e9-1:
		t.Nsec++
	case t.Sec < math.MaxInt64:
		t.Sec, t.Nsec = t.Sec+1, 0
	}
	return t
}

// Ledger returns what the ledger says now. Entries that cannot be read are
// reported by its method Damaged and do not prevent the use of the others.
// Entries never change, so each is read once and a call costs one listing.
func (r *Repository) Ledger(ctx context.Context) (*Ledger, error) {
	l := r.ledger
	type found struct {
		id [32]byte
		e  *tree.LedgerEntry
	}
	var news []found
	var damaged []error
	err := eachName(ctx, r.objects, prefixLedger, func(name string) error {
		id, ok := parseSealedName(prefixLedger, name)
		if !ok || l.has(id) {
			return nil // check tells of files that are not keepsake's
		}
		plain, err := r.openSealed(ctx, object.Ledger, name, id)
		if fatal(err) {
			return err
		}
		var e *tree.LedgerEntry
		if err == nil {
			if e, err = tree.ParseLedgerEntry(plain); err != nil {
				err = &DamageError{Object: name, Err: err}
			}
		}
		if err != nil {
			damaged = append(damaged, err)
			return nil
		}
		news = append(news, found{id, e})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the ledger: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range news {
		l.fold(n.id, n.e)
	}
	l.damaged = damaged
	return l, nil
}

func (l *Ledger) has(id [32]byte) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.folded[id]
}

// wholeLedger is Ledger for those who are about to remove something: every
// entry has to be known, since any may say that it is still wanted.
func (r *Repository) wholeLedger(ctx context.Context) (*Ledger, error) {
	l, err := r.Ledger(ctx)
	if err != nil {
		return nil, err
	}
	if damaged := l.Damaged(); len(damaged) > 0 {
		return nil, fmt.Errorf("%w, which may keep what this would forget: run keepsake check: %w", ErrLedger, errors.Join(damaged...))
	}
	return l, nil
}
