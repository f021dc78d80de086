package main

import (
	"context"
	"fmt"
	"strings"

	"keepsake/store"
	"keepsake/store/tree"
)

// defects are why a snapshot is perhaps not the one that should be restored.
type defects struct {
	snap   store.Snapshot
	rel    string       // what of it was asked for
	missed uint64       // paths of that which it does not hold, or not in their last version
	marks  []string     // of guards
	good   *store.Brief // the newest of the source without any; nil: there is none
}

// defectsOf looks for what is wrong with a snapshot, as far as it concerns the path
// rel inside.
func (s *session) defectsOf(ctx context.Context, snap store.Snapshot, rel string) (defects, error) {
	d := defects{snap: snap, rel: rel, marks: snap.Marks}
	var err error
	if d.missed, err = s.missedOf(ctx, snap, rel); err != nil || !d.any() {
		return d, err
	}
	all, _, err := s.repo.Briefs(ctx)
	if err != nil {
		return d, err
	}
	var some []*store.Brief
	for _, other := range all {
		if other.Origin().Source == snap.Source && other.Complete() && !other.Marked {
			some = append(some, other)
		}
	}
	if len(some) > 0 {
		d.good = store.NewestBrief(some)
	}
	return d, nil
}

// missedOf counts what a snapshot misses at, below and above a path. Paths that
// are not known by name may lie anywhere.
func (s *session) missedOf(ctx context.Context, snap store.Snapshot, rel string) (n uint64, err error) {
	if rel == "" || snap.MissedCount == 0 {
		return snap.MissedCount, nil
	}
	all, err := s.repo.Missed(ctx, &snap.Snapshot)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err != nil {
		return snap.MissedCount, nil // a damaged list must not keep the files from being restored
	}
	for _, m := range all {
		if within(string(m.Path), rel) || within(rel, string(m.Path)) {
			n++
		}
	}
	return n + snap.MissedCount - min(snap.MissedCount, uint64(len(all))), nil
}

// within reports whether a relative path is dir or lies below it.
func within(path, dir string) bool {
	return dir == "" || path == dir || strings.HasPrefix(path, dir+"/")
}

func (d defects) any() bool {
	return d.missed > 0 || len(d.marks) > 0 || d.snap.Basis == tree.InProgress
}

// tell says what is wrong, and how to restore the newest snapshot that is better.
func (d defects) tell(out *output, target string) {
	if !d.any() {
		return
	}
	if d.snap.Basis == tree.InProgress {
		out.note("the snapshot itself was taken of a backup in progress: what had not been reached is not in it")
	}
	if d.missed > 0 {
		out.note("the snapshot itself misses %s; keepsake ls --json %s lists them", count(d.missed, "path"), d.snap.ID.Short())
	}
	if len(d.marks) > 0 {
		out.note("the snapshot was taken under an alarm (%s); keepsake status %s", strings.Join(d.marks, ", "), quote(d.snap.Label))
	}
	if d.good == nil {
		out.note("no snapshot of %s is complete and without an alarm; keepsake snapshots lists what there is", quote(d.snap.Label))
		return
	}
	spec := d.good.ID.Short()
	if d.rel != "" {
		spec += ":" + d.rel
	}
	out.note("the newest complete one of %s is %s, of %s: keepsake restore %s --target %s",
		quote(d.snap.Label), d.good.ID.Short(), localTime(d.good.Started, d.good.Zone()), copyable(spec), copyable(target))
}

// copyable quotes a word so that the command it stands in can be copied into a
// shell.
func copyable(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+,%=/:@"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return fmt.Sprintf("'%s'", strings.ReplaceAll(quote(word), "'", `'\''`))
}
