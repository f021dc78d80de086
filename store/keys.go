package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"keepsake/crypto"
	"keepsake/store/object"
)

const prefixEpoch = prefixKeys + "epoch-"

// keyObjects is what lies under keys/.
type keyObjects struct {
	slots  []*crypto.Slot
	epochs []*crypto.EpochRecord
	bad    []string // names of copies that cannot be read
}

// readKeys reads all key slots and epoch records, each from either copy.
func readKeys(ctx context.Context, o objects) (*keyObjects, error) {
	names := map[string]bool{}
	err := o.List(ctx, prefixKeys, func(name string, _ int64) error {
		names[strings.TrimSuffix(name, suffixCopy)] = true
		if len(names) > 4*maxSlots {
			return crypto.ErrTooManySlots
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	k := &keyObjects{}
	for name := range names {
		err := readTwins(ctx, o, name, func(b []byte) error { return k.parse(name, b) }, func(bad string) { k.bad = append(k.bad, bad) })
		if err != nil {
			// One unreadable slot must not keep the others from opening.
			k.bad = append(k.bad, name)
		}
	}
	return k, nil
}

// maxSlots is how many slots a repository may have; the bound on hostile
// copies of passphrase slots, each of which costs a second to try.
const maxSlots = 16

func (k *keyObjects) parse(name string, b []byte) error {
	if strings.HasPrefix(name, prefixEpoch) {
		payload, err := object.Unframe(object.Epoch, b)
		if err != nil {
			return err
		}
		e, err := crypto.ParseEpochRecord(payload)
		if err != nil {
			return err
		}
		if name != epochName(e.Epoch) {
			return fmt.Errorf("record of epoch %d lies under another name", e.Epoch)
		}
		k.epochs = append(k.epochs, e)
		return nil
	}
	payload, err := object.Unframe(object.Slot, b)
	if err != nil {
		return err
	}
	s, err := crypto.ParseSlot(payload)
	if err != nil {
		return err
	}
	if name != slotName(s.ID) {
		return fmt.Errorf("slot %v lies under another name", s.ID)
	}
	k.slots = append(k.slots, s)
	return nil
}

func slotName(id crypto.SlotID) string { return prefixKeys + id.String() }
func epochName(e crypto.Epoch) string  { return fmt.Sprintf("%s%08d", prefixEpoch, e) }
func (k *keyObjects) kinds() (kinds []crypto.SlotKind) {
	for _, s := range k.slots {
		kinds = append(kinds, s.Kind)
	}
	return kinds
}

// putSlot makes a slot for a secret and publishes it.
func putSlot(ctx context.Context, o Options, keys *crypto.Keyring, secret crypto.Secret, label string) (*crypto.Slot, error) {
	slot, err := crypto.NewSlot(keys, secret, label, o.Now(), o.Rand)
	if err != nil {
		return nil, err
	}
	b, err := slot.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return slot, putTwins(ctx, o.Objects, slotName(slot.ID), object.Frame(object.Slot, b))
}

// Slots returns the key slots.
func (r *Repository) Slots(ctx context.Context) ([]*crypto.Slot, error) {
	k, err := readKeys(ctx, r.objects)
	if err != nil {
		return nil, err
	}
	return k.slots, nil
}

// AddSlot makes a further secret open the repository.
func (r *Repository) AddSlot(ctx context.Context, secret crypto.Secret, label string) (*crypto.Slot, error) {
	slots, err := r.Slots(ctx)
	if err != nil {
		return nil, err
	}
	if len(slots) >= maxSlots {
		return nil, fmt.Errorf("%w: %d of at most %d; remove one first", crypto.ErrTooManySlots, len(slots), maxSlots)
	}
	return putSlot(ctx, r.options, r.keys, secret, label)
}

// ConfirmSecret reports whether a secret opens the repository, by opening it.
// A wrong one is crypto.ErrWrongSecret.
func (r *Repository) ConfirmSecret(ctx context.Context, secret crypto.Secret) (*crypto.Slot, error) {
	k, err := readKeys(ctx, r.objects)
	if err != nil {
		return nil, err
	}
	keys, slot, err := crypto.Unlock(r.keys.Repository(), k.slots, k.epochs, secret)
	if err != nil {
		return nil, err
	}
	if keys.Fingerprint() != r.keys.Fingerprint() {
		return nil, errors.New("the secret opens other keys than those in use; the key slots were tampered with")
	}
	return slot, nil
}
