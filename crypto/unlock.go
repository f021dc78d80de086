package crypto

import (
	"bytes"
	"crypto/hpke"
	"crypto/subtle"
	"errors"
	"fmt"
)

// Unlock opens a repository's keys with a secret. It tries the slots of the secret's kind, at
// most [MaxSlots] slots in all, and returns the keyring and the slot that opened. Slots and
// records given twice (they are stored twice) count once.
//
// What is trusted, and why: the secret vouches for its slot, the slot for its epoch's master
// key, and a later record only if it holds that same key among its predecessors. So whoever
// owns the storage cannot make a client seal under keys of theirs. They can withhold the
// newest record: a client pins the newest epoch it has seen.
//
// Errors match [ErrSecret], [ErrNoSlots], [ErrTooManySlots], [ErrWrongSecret], [ErrTampered]
// (a [*TamperedError]), [ErrNotServed], or [ErrUnknownEpoch] if the slot's epoch has no record.
func Unlock(repo RepositoryID, slots []*Slot, epochs []*EpochRecord, secret Secret) (*Keyring, *Slot, error) {
	if err := secret.validate(); err != nil {
		return nil, nil, err
	}
	candidates, err := slotsOfKind(slots, secret.kind)
	if err != nil {
		return nil, nil, err
	}
	newest, err := newestRecord(epochs)
	if err != nil {
		return nil, nil, err
	}
	var failed error // the first failure other than a wrong secret
	for _, s := range candidates {
		k, err := unlockSlot(repo, s, newest, secret)
		if err == nil {
			return k, s, nil
		}
		if failed == nil && !errors.Is(err, ErrWrongSecret) {
			failed = err
		}
	}
	if failed != nil {
		return nil, nil, failed
	}
	return nil, nil, ErrWrongSecret
}

// slotsOfKind returns the distinct slots of a kind and refuses too many of any kind.
func slotsOfKind(slots []*Slot, kind SlotKind) ([]*Slot, error) {
	seen := make(map[[32]byte]bool, MaxSlots)
	var candidates []*Slot
	for _, s := range slots {
		h := s.hash()
		if seen[h] {
			continue
		}
		seen[h] = true
		if len(seen) > MaxSlots {
			return nil, fmt.Errorf("%w: at most %d are allowed", ErrTooManySlots, MaxSlots)
		}
		if s.Kind == kind {
			candidates = append(candidates, s)
		}
	}
	if len(candidates) == 0 {
		return nil, fmt.Errorf("%w (%v)", ErrNoSlots, kind)
	}
	return candidates, nil
}

// newestRecord returns the record of the highest epoch, nil if there is none. Two different
// ones for that epoch mean that two rotations ran at once or one was planted; choosing either
// could lock out what the other has sealed.
func newestRecord(epochs []*EpochRecord) (*EpochRecord, error) {
	var newest *EpochRecord
	for _, r := range epochs {
		if err := r.validate(); err != nil {
			return nil, err
		}
		if newest != nil && r.Epoch == newest.Epoch && !bytes.Equal(r.encode(), newest.encode()) {
			return nil, &TamperedError{r.name(), "there are two different ones"}
		}
		if newest == nil || r.Epoch > newest.Epoch {
			newest = r
		}
	}
	return newest, nil
}

// unlockSlot opens the keyring through one slot.
func unlockSlot(repo RepositoryID, s *Slot, newest *EpochRecord, secret Secret) (*Keyring, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	keys, err := secret.keysFor(s.Salt, s.KDF)
	if err != nil {
		return nil, err
	}
	if !keys.commitsTo(s) {
		return nil, ErrWrongSecret
	}
	priv, own, err := s.open(repo, keys)
	if err != nil {
		return nil, err
	}
	switch {
	case newest != nil && newest.Epoch > s.Grant.Epoch:
		return followRecord(repo, s, newest, priv, own)
	case newest != nil && newest.Epoch == s.Grant.Epoch:
		masters, err := newest.open(repo, own)
		if err != nil {
			return nil, err
		}
		return newKeyring(repo, masters, newest.served()), nil
	case s.Grant.Epoch == 1:
		return newKeyring(repo, []master{own}, nil), nil
	}
	return nil, fmt.Errorf("%w %d: %s was made in it, but its record is missing", ErrUnknownEpoch, s.Grant.Epoch, s.name())
}

// followRecord goes from a slot's own epoch to a later one through the grant in its record.
func followRecord(repo RepositoryID, s *Slot, r *EpochRecord, priv hpke.PrivateKey, own master) (*Keyring, error) {
	g, ok := r.grant(s.ID)
	if !ok {
		return nil, fmt.Errorf("%s, made in epoch %d, in epoch %d: %w", s.name(), s.Grant.Epoch, r.Epoch, ErrNotServed)
	}
	m, err := openMaster(priv, repo, s.ID, r.Epoch, g.Sealed)
	if err != nil {
		return nil, &TamperedError{r.name(), "its grant to " + s.name() + " does not open"}
	}
	masters, err := r.open(repo, m)
	if err != nil {
		return nil, err
	}
	// Anyone can seal to a public key. Only a holder of the slot's own epoch can name its key.
	if subtle.ConstantTimeCompare(masters[s.Grant.Epoch-1][:], own[:]) != 1 {
		return nil, &TamperedError{r.name(), "it does not follow from " + s.name()}
	}
	if g.SlotHash != s.hash() {
		return nil, &TamperedError{s.name(), "it is not the slot that " + r.name() + " serves"}
	}
	return newKeyring(repo, masters, r.served()), nil
}
