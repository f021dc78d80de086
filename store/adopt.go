package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"keepsake/store/index"
	"keepsake/store/object"
	"keepsake/store/pack"
)

// adoptEvery bounds how often a chunk that is nowhere makes the repository be
// listed again.
const adoptEvery = 5 * time.Second

// takeUp brings the index up to date with the repository after an unclean end
// of the last session, or from nothing.
func (r *Repository) takeUp(ctx context.Context, fresh bool) error {
	r.mending.Lock()
	defer r.mending.Unlock()
	doubts := r.index.Doubts()
	found, err := r.takeAll(ctx)
	if err != nil {
		return err // a fresh index stays in doubt
	}
	if fresh && found.catalogs+found.packs == 0 {
		// The repository is new as well: no lost index knew of more.
		if err := r.index.ClearDoubt(doubts); err != nil {
			return err
		}
	} else if fresh {
		r.options.Notice(fmt.Sprintf("there was no index; it was rebuilt from %d catalogs and the tables of %d further packs", found.catalogs, found.packs))
	} else if found.packs > 0 {
		r.options.Notice(fmt.Sprintf("the last run did not end in order; %d packs that it had stored were taken up", found.packs))
	}
	return r.index.SetClean(true)
}

// adopt takes up packs that appeared since, of other writers for example.
func (r *Repository) adopt(ctx context.Context) error {
	r.mending.Lock()
	defer r.mending.Unlock()
	if now := r.now(); !r.adopted.IsZero() && now.Sub(r.adopted) < adoptEvery {
		return nil
	}
	_, err := r.reconcile(ctx)
	r.adopted = r.now()
	return err
}

// reconcile compares packs and index one 256th at a time, so that memory does
// not grow with the repository, and returns how many packs it added.
func (r *Repository) reconcile(ctx context.Context) (added int, err error) {
	for prefix := range 256 {
		known := map[pack.ID]bool{}
		if err := r.index.PacksUnder(byte(prefix), func(p index.Pack) { known[p.ID] = false }); err != nil {
			return added, err
		}
		for _, kind := range []string{prefixData, prefixMeta} {
			n, err := r.adoptUnder(ctx, fmt.Sprintf("%s%02x/", kind, prefix), known)
			added += n
			if err != nil {
				return added, err
			}
		}
		for id, exists := range known {
			if exists {
				continue
			}
			r.options.Log.Warn("pack is gone from the repository", "pack", id)
			if err := r.index.Forget(id); err != nil {
				return added, err
			}
		}
	}
	return added, nil
}

// adoptUnder adds the packs below one directory that are not known, and notes
// in known which ones exist.
func (r *Repository) adoptUnder(ctx context.Context, prefix string, known map[pack.ID]bool) (added int, err error) {
	var news []index.Pack
	var names []string
	err = r.objects.List(ctx, prefix, func(name string, size int64) error {
		kind, id, ok := parsePackName(name)
		if !ok {
			return nil
		}
		if _, ok := known[id]; ok {
			known[id] = true
			return nil
		}
		news, names = append(news, index.Pack{ID: id, Kind: kind, Size: size}), append(names, name)
		return nil
	})
	if err != nil || len(news) == 0 {
		return 0, err
	}
	// Their writer may have been killed between the renames and the sync of
	// the directory.
	if err := r.objects.SyncNames(ctx, names...); err != nil {
		return 0, fmt.Errorf("taking up packs below %s: %w", prefix, err)
	}
	for _, p := range news {
		if err := r.addTable(ctx, p); err != nil {
			return added, err
		}
		added++
	}
	return added, nil
}

// addTable adds one pack to the index from its own table. A pack whose table
// cannot be read is left out and logged: it must not keep the rest from being
// used, and check names it.
func (r *Repository) addTable(ctx context.Context, p index.Pack) error {
	t, err := r.readTable(ctx, p)
	if interrupted(err) {
		return err
	}
	if err != nil {
		r.options.Log.Warn("pack is damaged and was left out of the index", "pack", packName(p.Kind, p.ID), "err", err)
		return r.index.SetDoubt(true)
	}
	p.Epoch, p.Chunks = t.Epoch, uint32(len(t.Entries))
	return r.add(index.Table{Pack: p, Entries: t.Entries})
}

// add adds packs to the index, those marked that a record condemned before the
// index heard of them. r.mending is held.
func (r *Repository) add(tables ...index.Table) error {
	for i := range tables {
		p := &tables[i].Pack
		if !r.gone[p.ID] {
			continue
		}
		p.Condemned = true
		if err := r.index.SetDoubt(true); err != nil {
			return err
		}
	}
	return r.index.Add(tables...)
}

// addFound adds a pack that a check came upon.
func (r *Repository) addFound(ctx context.Context, t index.Table) error {
	if err := r.objects.SyncNames(ctx, packName(t.Pack.Kind, t.Pack.ID)); err != nil {
		return err
	}
	r.mending.Lock()
	defer r.mending.Unlock()
	return r.add(t)
}

// reindexOnce reads the tables of all known packs again, once a session: the
// answer to a leaf of the index that has rotted away.
func (r *Repository) reindexOnce(ctx context.Context) error {
	r.mending.Lock()
	defer r.mending.Unlock()
	if r.reindexed {
		return nil
	}
	r.options.Log.Warn("a chunk is missing from the index; reading the tables of all packs again")
	err := r.index.Packs(func(p index.Pack) error { return r.addTable(ctx, p) })
	r.reindexed = err == nil
	return err
}

// rebuild makes a new index in place of one that turned out to be unreadable
// while it was open.
func (r *Repository) rebuild(ctx context.Context) error {
	r.mending.Lock()
	defer r.mending.Unlock()
	if _, err := r.index.Clean(); !errors.Is(err, index.ErrDamaged) {
		return err // somebody else has done it
	}
	return r.replaceIndex(ctx, "could not be read any more")
}

// renew makes a new index in place of one that says what no pack confirms.
func (r *Repository) renew(ctx context.Context) error {
	r.mending.Lock()
	defer r.mending.Unlock()
	return r.replaceIndex(ctx, "was wrong")
}

func (r *Repository) replaceIndex(ctx context.Context, why string) error {
	if err := r.index.Reset(); err != nil {
		return fmt.Errorf("replacing the damaged index: %w", err)
	}
	r.options.Notice(fmt.Sprintf("the index %s and is rebuilt", why))
	if _, err := r.takeAll(ctx); err != nil {
		return err
	}
	applied := r.condemned
	r.condemned = map[[32]byte]bool{}
	if _, err := r.look(ctx); err != nil {
		return err
	}
	// What a Writer under way has not taken into account is still new to it.
	r.condemned = applied
	return nil
}

// filled counts what an index was filled from.
type filled struct{ catalogs, packs int }

// takeAll adds everything that the repository holds and the index does not.
func (r *Repository) takeAll(ctx context.Context) (found filled, err error) {
	if found.catalogs, err = r.applyCatalogs(ctx); err != nil {
		return found, err
	}
	found.packs, err = r.reconcile(ctx)
	return found, err
}

// applyCatalogs adds the packs of all catalogs that were not added before. A
// catalog that cannot be read is passed over: it is derived, the packs' tables
// say the same.
func (r *Repository) applyCatalogs(ctx context.Context) (applied int, err error) {
	err = r.objects.List(ctx, prefixCatalog, func(name string, _ int64) error {
		id, ok := parseSealedName(prefixCatalog, name)
		if !ok {
			return nil
		}
		if known, err := r.index.HasCatalog(id); err != nil || known {
			return err
		}
		tables, err := r.readCatalog(ctx, name, id)
		if interrupted(err) {
			return err
		}
		if err != nil {
			r.options.Log.Warn("catalog is damaged and was passed over", "object", name, "err", err)
			return nil
		}
		applied++
		if err := r.add(tables...); err != nil {
			return err
		}
		return r.index.AddCatalog(id)
	})
	return applied, err
}

// Doubt reports whether chunks that earlier snapshots rely on may be stored no
// longer, so that what has not changed must be looked up before it is taken over.
func (r *Repository) Doubt() (bool, error) { return r.index.Doubt() }

// openSealed reads and opens an object that is named by its own hash.
func (r *Repository) openSealed(ctx context.Context, kind object.Kind, name string, id [32]byte) ([]byte, error) {
	b, err := readObject(ctx, r.objects, name)
	if err != nil {
		return nil, &DamageError{Object: name, Err: err}
	}
	if object.ID(b) != id {
		return nil, &DamageError{Object: name, Err: errName}
	}
	plain, err := object.Open(r.keys, kind, b)
	if err != nil {
		return nil, &DamageError{Object: name, Err: err}
	}
	return plain, nil
}

// putSealed seals and publishes an object under its own hash.
func (r *Repository) putSealed(ctx context.Context, kind object.Kind, prefix string, plain []byte) (id [32]byte, err error) {
	b, err := object.Seal(r.keys, kind, plain, r.rand)
	if err != nil {
		return id, err
	}
	id = object.ID(b)
	return id, putObject(ctx, r.objects, sealedName(prefix, id), b)
}
