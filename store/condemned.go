package store

import (
	"context"

	"keepsake/store/index"
	"keepsake/store/object"
	"keepsake/store/pack"
	"keepsake/store/tree"
)

// applyCondemned marks the packs that records in condemned/ name, so that no
// new snapshot relies on them, and remembers which records were seen.
func (r *Repository) applyCondemned(ctx context.Context) error {
	_, err := r.lookAgain(ctx)
	return err
}

// lookAgain lists condemned/, applies the records that were not seen before,
// and returns how many of them condemn packs. It is the writer's half of
// "publish, then look; condemn, then look".
func (r *Repository) lookAgain(ctx context.Context) (condemning int, err error) {
	r.mending.Lock()
	defer r.mending.Unlock()
	return r.look(ctx)
}

func (r *Repository) look(ctx context.Context) (condemning int, err error) {
	// Closing records are applied last, since a list has no order and what they
	// spare was condemned before.
	var closing []*tree.Condemned
	var seen [][32]byte
	err = r.objects.List(ctx, prefixCondemned, func(name string, _ int64) error {
		id, ok := parseSealedName(prefixCondemned, name)
		if !ok || r.condemned[id] {
			return nil
		}
		plain, err := r.openSealed(ctx, object.Condemned, name, id)
		if err != nil {
			// An unreadable record may condemn anything: nothing may be
			// announced until check has dealt with it.
			return err
		}
		c, err := tree.ParseCondemned(plain)
		if err != nil {
			return &DamageError{Object: name, Err: err}
		}
		seen = append(seen, id)
		if c.Closing() {
			closing = append(closing, c)
			return nil
		}
		condemning++
		return r.condemn(c.Packs, true)
	})
	for _, c := range closing {
		if err == nil {
			err = r.condemn(c.Spared, false)
		}
	}
	if err != nil {
		return 0, err
	}
	for _, id := range seen {
		r.condemned[id] = true
	}
	return condemning, nil
}

// condemn marks packs, those too that the index may hear of later.
func (r *Repository) condemn(packs [][32]byte, condemned bool) error {
	for _, id := range packs {
		if condemned {
			r.gone[pack.ID(id)] = true
		} else {
			delete(r.gone, pack.ID(id))
		}
		if err := r.index.Mark(pack.ID(id), func(p *index.Pack) { p.Condemned = condemned }); err != nil {
			return err
		}
	}
	return nil
}
