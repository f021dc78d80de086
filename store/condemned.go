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
		condemn, spare := c.Packs, c.Spared
		for _, p := range condemn {
			if err := r.index.Mark(pack.ID(p), func(p *index.Pack) { p.Condemned = true }); err != nil {
				return err
			}
		}
		for _, p := range spare {
			if err := r.index.Mark(pack.ID(p), func(p *index.Pack) { p.Condemned = false }); err != nil {
				return err
			}
		}
		if !c.Closing() {
			condemning++
		}
		r.condemned[id] = true
		return nil
	})
	return condemning, err
}
