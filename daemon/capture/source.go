package capture

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"keepsake/store"
	"keepsake/store/state"
)

// ErrLabelTaken says that a label is bound to another directory.
var ErrLabelTaken = errors.New("label belongs to another directory")

// Bind returns the source that a label stands for, binding it to a directory
// on first use. If this state never heard of the label but the repository holds
// snapshots of the same host, label and path, the source is continued: the
// state directory was lost. continued says so.
func Bind(ctx context.Context, r *store.Repository, label, path, host string) (s state.Source, continued bool, err error) {
	s, ok, err := r.State().Source(label)
	if err != nil {
		return s, false, err
	}
	if ok {
		if string(s.Path) != path {
			return s, false, fmt.Errorf("%w: %q is %s; give %s a label of its own: --source, or label in keepsake.toml", ErrLabelTaken, label, s.Path, path)
		}
		return s, false, nil
	}
	s = state.Source{Label: label, Path: []byte(path)}
	all, _, err := r.Briefs(ctx)
	if err != nil {
		return s, false, err
	}
	for _, b := range all {
		if old := b.Origin(); old.Host == host && old.Label == label && old.RootPath == path {
			s.ID, continued = old.Source, true
		}
	}
	if !continued {
		if _, err := rand.Read(s.ID[:]); err != nil {
			return s, false, err
		}
	}
	return s, continued, r.State().Bind(s)
}

// previous returns the newest snapshot of a source: of this writer's chain if
// it has one, by number, else of any other's; false if there is none that can
// be read. One in progress counts: it has what was stored last.
func previous(ctx context.Context, r *store.Repository, id state.SourceID) (newest store.Snapshot, ok bool, err error) {
	all, _, err := r.Briefs(ctx)
	if err != nil {
		return newest, false, err
	}
	unreadable := map[store.SnapshotID]bool{}
	for {
		var best *store.Brief
		own := false
		for _, s := range all {
			of := s.Origin()
			if of.Source != id || unreadable[s.ID] {
				continue
			}
			mine := of.Writer == r.State().Writer()
			if best == nil || mine && !own || mine == own && (mine && s.Number > best.Number || !mine) {
				best, own = s, mine
			}
		}
		if best == nil {
			return newest, false, nil
		}
		newest, err = r.Manifest(ctx, best.ID)
		if !errors.Is(err, store.ErrDamaged) {
			return newest, err == nil, err
		}
		unreadable[best.ID] = true // it has been damaged since it was listed first
	}
}
