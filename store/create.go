package store

import (
	"context"
	"errors"
	"fmt"

	"keepsake/chunking"
	"keepsake/crypto"
	"keepsake/store/backend"
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
// published last: a repository without it does not exist, and after an error
// there is none. Where objects lie without their configuration, nothing is
// touched: ErrConfigMissing.
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
	settings, err := newSettings(o)
	if err != nil {
		return id, err
	}
	sealed, err := object.Seal(ring, object.Config, settings, o.Rand)
	if err != nil {
		return id, err
	}
	var made []string
	for _, k := range keys {
		slot, err := putSlot(ctx, o, ring, k.Secret, k.Label)
		if slot != nil {
			made = append(made, slotName(slot.ID), slotName(slot.ID)+suffixCopy)
		}
		if err != nil {
			return id, takeBack(ctx, o.Objects, fmt.Errorf("making the key slot %q: %w", k.Label, err), made)
		}
	}
	err = putConfig(ctx, o.Objects, config{id: id, settings: sealed}.marshal())
	switch {
	case errors.Is(err, ErrExists):
		return id, takeBack(ctx, o.Objects, err, made)
	case err != nil:
		return id, takeBack(ctx, o.Objects, err, configNames, made)
	}
	return id, nil
}

// configNames are the copies of the configuration in the order of publication.
var configNames = []string{nameConfig + suffixCopy, nameConfig}

// putConfig publishes the configuration, both copies in one go. Whoever gets
// the first name has made the repository; of two that try at once, the other
// has shown nothing and gets ErrExists.
func putConfig(ctx context.Context, o objects, data []byte) error {
	var staged []*backend.Staged
	for _, name := range configNames {
		s, err := o.Stage(ctx, name)
		if err == nil {
			defer s.Discard() // does nothing once it was handed to Publish
			_, err = s.Write(data)
		}
		if err != nil {
			return err
		}
		staged = append(staged, s)
	}
	err := o.Publish(ctx, staged...)
	if errors.Is(err, backend.ErrExists) {
		return ErrExists
	}
	return err
}

// takeBack removes what a Create that failed with err has made. What cannot be
// removed keeps what follows it: no configuration may be left without its keys.
func takeBack(ctx context.Context, o objects, err error, made ...[]string) error {
	for _, names := range made {
		if failed := o.Remove(context.WithoutCancel(ctx), names...); failed != nil {
			return errors.Join(err, failed)
		}
	}
	return err
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
