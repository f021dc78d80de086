package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"
	"unique"

	"keepsake/crypto"
	"keepsake/store/tree"
)

// Brief is what is kept in memory of every snapshot that is wanted: about 200
// bytes, so that 100,000 of them are no burden. It never changes.
type Brief struct {
	ID                SnapshotID
	Number            uint64
	Started, Finished tree.Time
	MissedCount       uint64
	ZoneOffset        int32 // of the captured machine at Started, in seconds east of UTC
	Basis             tree.Basis
	Marked            bool   // a guard found something
	Paths, Bytes      uint64 // of all that it holds
	Root              BriefRoot
	origin            unique.Handle[Origin]
	tags              *[]string // of the manifest, if any; the ledger may have given others
}

// BriefRoot is as much of a snapshot's root node as it takes to see whether it
// changed, and who may read it. If it has an ACL, the rest is in the manifest.
type BriefRoot struct {
	Pages    crypto.ChunkID
	UID, GID uint32
	Mode     uint32
	ACL      bool
}

// xattrACL is what Linux calls an access ACL.
const xattrACL = "system.posix_acl_access"

// Origin is what the snapshots of a chain have in common, as long as nobody
// renames anything.
type Origin struct {
	Source, Writer [16]byte
	Label, Host    string
	RootPath       string // raw bytes
}

// Origin says of what and by whom the snapshot was made.
func (b *Brief) Origin() Origin { return b.origin.Value() }

// Complete reports whether the snapshot holds all it should.
func (b *Brief) Complete() bool { return b.MissedCount == 0 && b.finished() }

// Zone is the time zone of the captured machine when the snapshot was started.
func (b *Brief) Zone() *time.Location { return time.FixedZone("", int(b.ZoneOffset)) }

// InProgress reports whether the run that published it was still under way.
func (b *Brief) InProgress() bool { return b.Basis == tree.InProgress }

func (b *Brief) finished() bool { return !b.InProgress() }

func (b *Brief) chain() chainID {
	o := b.origin.Value()
	return chainID{o.Source, o.Writer}
}

// Brief is a snapshot in brief.
func (s *Snapshot) Brief() *Brief {
	b := &Brief{
		ID: s.ID, Number: s.Number, Started: s.Started, Finished: s.Finished, MissedCount: s.MissedCount,
		ZoneOffset: s.ZoneOffset, Basis: s.Basis, Marked: len(s.Marks) > 0,
		origin: unique.Make(Origin{s.Source, s.Writer, strings.Clone(s.Label), strings.Clone(s.Host), string(s.RootPath)}),
		Root: BriefRoot{
			Pages: s.Root.Pages, UID: s.Root.UID, GID: s.Root.GID, Mode: s.Root.Mode,
			ACL: slices.ContainsFunc(s.Root.Xattrs, func(x tree.Xattr) bool { return string(x.Name) == xattrACL }),
		},
		Paths: s.Stats.Files + s.Stats.Dirs + s.Stats.Others, Bytes: s.Stats.Bytes,
	}
	if len(s.Tags) > 0 {
		tags := slices.Clone(s.Tags)
		b.tags = &tags
	}
	return b
}

// Name is how the ledger names the snapshot.
func (b *Brief) Name() tree.LedgerSnapshot {
	o := b.origin.Value()
	return tree.LedgerSnapshot{ID: b.ID, Source: o.Source, Writer: o.Writer, Number: b.Number}
}

// older is the order of all lists of snapshots.
func older(a, b *Brief) int {
	return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.Number, b.Number), bytes.Compare(a.ID[:], b.ID[:]))
}

// briefs remembers every snapshot that the last listing found, in brief.
type briefs struct {
	mu   sync.Mutex
	byID []*Brief // ascending
	list []*Brief // the same, oldest first; it was given out and never changes
}

// Briefs returns all snapshots that are still wanted in brief, oldest first. A
// manifest is read when it is seen for the first time; after that a call costs
// one listing of the names of the snapshots and one of the ledger's. Damage is
// returned as by Snapshots. The result is shared, and not to be changed.
func (r *Repository) Briefs(ctx context.Context) ([]*Brief, []error, error) {
	l, err := r.Ledger(ctx)
	if err != nil {
		return nil, nil, err
	}
	ids, damaged, err := r.names(ctx, func(id SnapshotID) bool { return !l.Forgotten(id) })
	if err != nil {
		return nil, nil, err
	}
	r.briefs.mu.Lock()
	was, list := r.briefs.byID, r.briefs.list
	r.briefs.mu.Unlock()

	byID, same := make([]*Brief, 0, len(ids)), true
	for _, id := range ids {
		for len(was) > 0 && bytes.Compare(was[0].ID[:], id[:]) < 0 {
			was, same = was[1:], false // no longer wanted
		}
		if len(was) > 0 && was[0].ID == id {
			byID, was = append(byID, was[0]), was[1:]
			continue
		}
		s, err := r.snapshot(ctx, id)
		if fatal(err) {
			return nil, nil, fmt.Errorf("listing snapshots: %w", err)
		}
		if err != nil {
			damaged = append(damaged, err)
			continue
		}
		byID, same = append(byID, s.Brief()), false
	}
	if same = same && len(was) == 0; !same {
		list = slices.Clone(byID)
		slices.SortFunc(list, older)
		r.briefs.mu.Lock()
		r.briefs.byID, r.briefs.list = byID, list
		r.briefs.mu.Unlock()
	}
	return list, append(damaged, l.Damaged()...), nil
}

// names lists the ids of the snapshots that are there and wanted, ascending,
// and as damage what lies among them under other names.
func (r *Repository) names(ctx context.Context, wanted func(SnapshotID) bool) (ids []SnapshotID, damaged []error, err error) {
	err = eachName(ctx, r.objects, prefixSnapshots, func(name string) error {
		id, ok := parseSealedName(prefixSnapshots, name)
		switch {
		case !ok:
			damaged = append(damaged, &DamageError{Object: name, Err: errName})
		case wanted(id):
			ids = append(ids, id)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("listing snapshots: %w", err)
	}
	slices.SortFunc(ids, func(a, b SnapshotID) int { return bytes.Compare(a[:], b[:]) })
	return ids, damaged, nil
}

// Manifests reads the manifests of some snapshots one after the other, with
// the tags that the ledger gave them. One that cannot be read comes as an error.
func (r *Repository) Manifests(ctx context.Context, some []*Brief) iter.Seq2[Snapshot, error] {
	return func(yield func(Snapshot, error) bool) {
		for _, b := range some {
			if !yield(r.Manifest(ctx, b.ID)) {
				return
			}
		}
	}
}

// Manifest reads one snapshot, with the tags that the ledger gave it. One that
// is not there is damage, with fs.ErrNotExist as its cause.
func (r *Repository) Manifest(ctx context.Context, id SnapshotID) (Snapshot, error) {
	s, err := r.snapshot(ctx, id)
	if err != nil {
		if d, ok := errors.AsType[*DamageError](err); ok && fatal(err) {
			return Snapshot{}, d.Err // which says nothing about the manifest
		}
		r.briefs.drop(id) // the next listing tries it again, and tells of it
		return Snapshot{}, err
	}
	if words, ok := r.ledger.tagsOf(id); ok {
		s.Tags = words
	}
	return s, nil
}

// drop forgets a snapshot whose manifest turned out to be damaged.
func (b *briefs) drop(id SnapshotID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.ContainsFunc(b.byID, func(s *Brief) bool { return s.ID == id }) {
		this := func(s *Brief) bool { return s.ID == id }
		b.byID = slices.DeleteFunc(slices.Clone(b.byID), this)
		b.list = slices.DeleteFunc(slices.Clone(b.list), this)
	}
}
