package fusefs

import (
	"context"
	"errors"
	iofs "io/fs"

	"keepsake/fusefs/catalogue"
	"keepsake/store"
	"keepsake/store/history"
	"keepsake/store/tree"
)

// learn reads what is missing about a place. Who wants the same at the same
// time waits for it.
func (v *view) learn(ctx context.Context, key place, names bool) (*known, error) {
	src, at := v.moment(key.source)
	if src == nil {
		return nil, iofs.ErrNotExist
	}
	if k := v.pasts.peek(key, at, names, v.now()); k != nil {
		return k, nil
	}
	if key.path == "" {
		return v.learnRoot(ctx, key, names)
	}
	above, name := key.split()
	up, err := v.learn(ctx, above, true)
	if err != nil {
		return nil, err
	}
	if k := up.unchanged(name); k != nil {
		return k, nil
	}
	return v.learnPast(ctx, key, up, names)
}

// learnRoot looks at the roots of snapshots that are new.
func (v *view) learnRoot(ctx context.Context, key place, names bool) (*known, error) {
	r := v.pasts.open(key)
	r.busy.Lock()
	defer r.busy.Unlock()
	src, at := v.moment(key.source)
	if src == nil {
		return nil, iofs.ErrNotExist
	}
	k := &known{at: at}
	r.begin(v, k, 0)
	for _, s := range src.Snapshots[min(r.past.Looked(), len(src.Snapshots)):] {
		root, err := v.rootInBrief(ctx, s.Brief)
		switch {
		case err == nil:
			r.past.AddRoot(root)
			r.access.Add(root.UID, root.GID, everybody(root))
		case errors.Is(err, store.ErrDamaged) && !errors.Is(err, store.ErrAway):
			r.past.Lost(err)
		case errors.Is(err, iofs.ErrNotExist):
			r.past.Lost(nil) // the next catalogue will be without it
		default:
			return nil, err // what was looked at stays; the next call goes on from there
		}
	}
	k.who = who{uid: r.access.UID, gid: r.access.GID, mode: r.access.Mode(), when: src.Latest.Started}
	return v.finish(ctx, r, k, names)
}

// rootInBrief returns a snapshot's root. Of a hundred thousand nearly all are known
// without reading anything.
func (v *view) rootInBrief(ctx context.Context, s *store.Brief) (*tree.Node, error) {
	if s.Root.ACL {
		return v.manifestRoot(ctx, s.ID)
	}
	return &tree.Node{Type: tree.Dir, Pages: s.Root.Pages, UID: s.Root.UID, GID: s.Root.GID, Mode: s.Root.Mode}, nil
}

// learnPast looks at the states that the directory above has got since.
func (v *view) learnPast(ctx context.Context, key place, up *known, names bool) (*known, error) {
	_, name := key.split()
	d, f := up.names.Dir(name), up.names.File(name)
	if d == nil && f == nil {
		return nil, first(up.damage, iofs.ErrNotExist)
	}
	src, _ := v.moment(key.source)
	if src == nil {
		return nil, iofs.ErrNotExist
	}
	r := v.pasts.open(key)
	r.busy.Lock()
	defer r.busy.Unlock()
	k := &known{at: up.at, way: up.way}
	k.who, _ = up.child(src, name)
	r.begin(v, k, up.series)
	states := up.states
	if up.names.Damage == nil {
		// Outside of these states the name was not there or not changed. With
		// damaged pages that cannot be told: the way through each must be tried.
		begin, end := span(d, f)
		r.past.Skip(begin)
		states = states[:end]
	}
	if err := r.past.Grow(ctx, v.repo, states, []byte(name)); err != nil {
		return nil, err
	}
	return v.finish(ctx, r, k, names)
}

// span returns the states between which a name, as a directory or not, was
// there and changed.
func span(d, f *history.Name) (begin, end int) {
	switch {
	case d == nil:
		return int(f.First), int(f.Last) + 1
	case f == nil:
		return int(d.First), int(d.Last) + 1
	}
	return int(min(d.First, f.First)), int(max(d.Last, f.Last)) + 1
}

// begin forgets what was known if it is of another line or another series of
// the directory above, or if damage is to be looked at again. r.busy is held.
func (r *past) begin(v *view, k *known, above uint64) {
	k.tried = v.now()
	if r.past == nil || r.line != k.at.line || r.above != above || r.damaged() && k.tried.Sub(r.tried).Abs() >= damageAge {
		r.line, r.above, r.tried = k.at.line, above, k.tried
		r.past, r.names, r.access = new(history.Past), nil, history.Access{}
		v.pasts.mu.Lock()
		r.series = v.pasts.number()
		v.pasts.mu.Unlock()
	}
	k.series = r.series
}

func (r *past) damaged() bool { return r.past.Damage != nil || r.names != nil && r.names.Damage != nil }

// finish adds the names, if they are asked for, and keeps k.
func (v *view) finish(ctx context.Context, r *past, k *known, names bool) (*known, error) {
	if names || r.names != nil {
		if r.names == nil {
			r.names = new(history.Names)
		}
		grown, err := r.names.Grow(ctx, v.repo, r.past.States, everybody)
		if err != nil {
			return nil, err
		}
		r.names, k.names = grown, grown
	}
	k.states, k.versions = r.past.States, r.past.Versions
	k.way = first(k.way, r.past.Damage)
	k.damage = k.way
	if k.names != nil {
		k.damage = first(k.way, k.names.Damage)
	}
	if r.damaged() {
		k.tried = r.tried
	}
	v.pasts.keep(r, k)
	return k, nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// everybody is what a directory gives when its ACL is not there to be asked:
// nobody gets more than the ACL would have given.
func everybody(n *tree.Node) uint32 { return masked(n.Mode, n.Xattrs) }

// child says who may enter a name in k, and whether there is such a name. What
// was never a directory is open to those who may read the directory it is in.
func (k *known) child(src *catalogue.Source, name string) (who, bool) {
	d, f := k.names.Dir(name), k.names.File(name)
	if d == nil && f == nil {
		return who{}, false
	}
	w := k.who
	w.flat = d == nil
	if d != nil {
		w.uid, w.gid, w.mode = d.Access.UID, d.Access.GID, d.Access.Mode()
	}
	_, end := span(d, f)
	w.when = src.Snapshots[min(k.states[end-1].Snapshot, len(src.Snapshots)-1)].Started
	return w, true
}
