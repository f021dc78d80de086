package store

import (
	"context"
	"errors"
	"fmt"

	"keepsake/chunking"
	"keepsake/crypto"
	"keepsake/store/object"
	"keepsake/store/tree"
)

// Key is a secret that will open a new repository, and what to call it.
type Key struct {
	Secret crypto.Secret
	Label  string
}

// Create makes a repository behind o.Objects that opens with any of the given
// keys. Only Objects, Now and Rand of the options count. The configuration is
// published last: a repository without it does not exist.
func Create(ctx context.Context, o Options, keys ...Key) (crypto.RepositoryID, error) {
	o = o.withDefaults()
	if _, err := Identify(ctx, o.Objects); !errors.Is(err, ErrNoRepository) {
		if err == nil {
			err = ErrExists
		}
		return crypto.RepositoryID{}, err
	}
	if len(keys) == 0 {
		return crypto.RepositoryID{}, errors.New("a repository needs at least one key")
	}
	if err := removeStaleKeys(ctx, o.Objects); err != nil {
		return crypto.RepositoryID{}, err
	}
	id, err := crypto.NewRepositoryID(o.Rand)
	if err != nil {
		return id, err
	}
	ring, err := crypto.NewKeyring(id, o.Rand)
	if err != nil {
		return id, err
	}
	for _, k := range keys {
		if _, err := putSlot(ctx, o, ring, k.Secret, k.Label); err != nil {
			return id, fmt.Errorf("making the key slot %q: %w", k.Label, err)
		}
	}
	settings, err := newSettings(o)
	if err != nil {
		return id, err
	}
	sealed, err := object.Seal(ring, object.Config, settings, o.Rand)
	if err != nil {
		return id, err
	}
	return id, putTwins(ctx, o.Objects, nameConfig, config{id: id, settings: sealed}.marshal())
}

// newSettings draws what is decided once for a repository.
func newSettings(o Options) ([]byte, error) {
	polynomial, err := chunking.NewPolynomial(o.Rand)
	if err != nil {
		return nil, err
	}
	p := chunking.Default(polynomial)
	s := &tree.Settings{
		Polynomial: uint64(p.Polynomial),
		Head:       uint64(p.Head),
		Fine:       tree.Grade{Min: p.Fine.Min, Max: p.Fine.Max, Bits: p.Fine.Bits},
		Coarse:     tree.Grade{Min: p.Coarse.Min, Max: p.Coarse.Max, Bits: p.Coarse.Bits},
		Created:    tree.TimeOf(o.Now()),
		Creator:    o.Version,
	}
	return s.Marshal()
}

// removeStaleKeys clears what an interrupted Create left: key slots of a
// repository that never came to be.
func removeStaleKeys(ctx context.Context, o objects) error {
	var stale []string
	err := o.List(ctx, prefixKeys, func(name string, _ int64) error {
		stale = append(stale, name)
		return nil
	})
	if err != nil || len(stale) == 0 {
		return err
	}
	return o.Remove(ctx, stale...)
}
