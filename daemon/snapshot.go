package daemon

import (
	"context"
	"errors"
	"time"

	"keepsake/daemon/capture"
	"keepsake/daemon/watch"
	"keepsake/store"
	"keepsake/store/tree"
)

// capture takes one snapshot of what a batch names.
func (s *sourceKeeper) capture(ctx context.Context, batch watch.Batch, first bool) error {
	r := s.k.o.Repository
	w, err := r.NewWriter(ctx)
	if err != nil {
		return err
	}
	result, err := capture.Run(ctx, capture.Options{
		Repository:    r,
		Writer:        w,
		Source:        s.source.Source,
		Path:          []byte(s.source.Path),
		Host:          s.k.o.Host,
		User:          s.k.o.User,
		Own:           s.k.o.Own,
		Dirty:         dirty(batch),
		Since:         s.base,
		InFlux:        set(batch.Unsettled),
		Basis:         s.basis(batch),
		OnlyIfChanged: true,
		Progress:      s.k.o.Progress,
		Log:           s.k.o.Log,
		Published: func(snap store.Snapshot) {
			s.note(func(l *SourceState) { l.Newest = snap })
		},
	})
	// A session that was interrupted still ends in order: what it published
	// is in the index.
	err = errors.Join(err, w.Close(context.WithoutCancel(ctx)))
	if err != nil {
		s.note(func(l *SourceState) { l.Err = err })
		return err
	}
	s.base = result.Base
	if batch.All {
		s.scan = time.Now().Add(scanEvery)
	}
	published := result.Snapshot.ID != store.SnapshotID{}
	s.note(func(l *SourceState) {
		l.Err, l.Missing, l.Waiting = nil, result.Missing, len(batch.Unsettled)
		stats := s.watcher.Stats()
		l.Polled = stats.RootPolled || stats.Polled > 0 || len(batch.Rescan) > 0
		if published {
			l.Newest = result.Snapshot
		}
	})
	if published || first {
		s.k.tell(Event{
			Label: s.source.Source.Label, Snapshot: result.Snapshot, First: first, Missed: result.Missed, Missing: result.Missing,
		})
	}
	return nil
}

// basis is how a capture of this batch knows what changed; 0 leaves it to
// capture.
func (s *sourceKeeper) basis(batch watch.Batch) tree.Basis {
	if batch.All && s.watcher.Stats().RootPolled {
		return tree.Polled
	}
	return 0
}

// dirty translates a batch: the watcher calls the root ".", capture "".
func dirty(b watch.Batch) *capture.Dirty {
	if b.All {
		return nil
	}
	return capture.NewDirty(fromRoot(b.Dirs), fromRoot(b.Rescan))
}

func fromRoot(paths []string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		if p != "." {
			out[i] = p
		}
	}
	return out
}

func set(paths []string) map[string]bool {
	m := make(map[string]bool, len(paths))
	for _, p := range paths {
		m[p] = true
	}
	return m
}
