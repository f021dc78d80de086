package crypto

import (
	"bytes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
)

// EpochRecord announces the master key of an epoch after the first: sealed to each slot that
// is served, with all earlier master keys sealed under it. Epoch 1 has no record; its key is
// in the slots' own grants.
type EpochRecord struct {
	Epoch Epoch // 2 or more
	// SealedPredecessors are the master keys of epochs 1 to Epoch-1, sealed under this epoch.
	SealedPredecessors []byte
	// Grants are sorted by slot, 1 to [MaxSlots] of them.
	Grants []EpochGrant
	// Auth authenticates all of the above under this epoch.
	Auth [32]byte
}

// EpochGrant is an epoch's master key for one slot.
type EpochGrant struct {
	Slot SlotID
	// SlotHash is the SHA-256 of the slot's bytes: who is served now, and what the next
	// rotation may serve.
	SlotHash [32]byte
	Sealed   [sealedMasterSize]byte
}

// Rotate draws the master key of the next epoch and seals it to the given slots, whose secrets
// need not be present. A slot left out is shut out of everything sealed from now on; what it
// could read before, it still can. Every slot must pass [Keyring.VerifySlot], and there must
// be between one and [MaxSlots] of them, each once.
//
// The keyring itself does not change. The caller stores the record durably first and uses the
// returned keyring afterwards; in the other order a crash would lose what was sealed in between.
func (k *Keyring) Rotate(slots []*Slot, rand io.Reader) (*EpochRecord, *Keyring, error) {
	if len(slots) == 0 {
		return nil, nil, fmt.Errorf("rotating the keys: %w", ErrNoSlots)
	}
	if len(slots) > MaxSlots {
		return nil, nil, fmt.Errorf("rotating the keys: %w: %d; at most %d", ErrTooManySlots, len(slots), MaxSlots)
	}
	r := &EpochRecord{Epoch: k.Newest() + 1}
	if r.Epoch > MaxEpoch {
		return nil, nil, fmt.Errorf("rotating the keys: %w", ErrTooManyEpochs)
	}
	var m master
	if _, err := io.ReadFull(rand, m[:]); err != nil {
		return nil, nil, fmt.Errorf("rotating the keys: %w", err)
	}
	served := make(map[SlotID][sha256.Size]byte, len(slots))
	for _, s := range slots {
		if err := k.VerifySlot(s); err != nil {
			return nil, nil, fmt.Errorf("rotating the keys: %w", err)
		}
		if _, twice := served[s.ID]; twice {
			return nil, nil, fmt.Errorf("rotating the keys: %w: %s given twice", ErrMalformed, s.name())
		}
		sealed, err := sealMaster(s.PublicKey[:], k.repo, s.ID, r.Epoch, m)
		if err != nil {
			return nil, nil, fmt.Errorf("rotating the keys: %s: %w", s.name(), err)
		}
		served[s.ID] = s.hash()
		r.Grants = append(r.Grants, EpochGrant{s.ID, s.hash(), sealed})
	}
	slices.SortFunc(r.Grants, func(a, b EpochGrant) int { return bytes.Compare(a.Slot[:], b.Slot[:]) })
	r.sealPredecessors(k.repo, m, k.masters)
	r.Auth = r.authCode(k.repo, m)
	return r, newKeyring(k.repo, append(slices.Clone(k.masters), m), served), nil
}

// VerifyRecord reports whether the record was made by a holder of its epoch's key.
// Errors match [ErrTampered] or [ErrUnknownEpoch].
func (k *Keyring) VerifyRecord(r *EpochRecord) error {
	if err := r.validate(); err != nil {
		return err
	}
	m, err := k.master(r.Epoch)
	if err != nil {
		return err
	}
	opened, err := r.open(k.repo, m)
	if err != nil {
		return err
	}
	if !slices.Equal(opened, k.masters[:r.Epoch]) {
		return &TamperedError{r.name(), "it holds other keys"}
	}
	return nil
}

func (r *EpochRecord) sealPredecessors(repo RepositoryID, m master, before []master) {
	plain := make([]byte, 0, len(before)*keySize)
	for _, p := range before {
		plain = append(plain, p[:]...)
	}
	var nonce [NonceSize]byte // every epoch has a key of its own, which seals this once
	r.SealedPredecessors = r.wrapper(repo, m).Seal(nil, nonce[:], plain, r.predecessorsAD(repo))
}

// open returns the keys of all epochs up to the record's own, whose key is m. The record must
// be valid. Everything in it is authenticated.
func (r *EpochRecord) open(repo RepositoryID, m master) ([]master, error) {
	if want := r.authCode(repo, m); !hmac.Equal(want[:], r.Auth[:]) {
		return nil, &TamperedError{r.name(), "its authentication code is wrong"}
	}
	var nonce [NonceSize]byte
	plain, err := r.wrapper(repo, m).Open(nil, nonce[:], r.SealedPredecessors, r.predecessorsAD(repo))
	if err != nil {
		return nil, &TamperedError{r.name(), "the earlier keys do not open"}
	}
	masters := make([]master, 0, r.Epoch)
	for p := range slices.Chunk(plain, keySize) {
		masters = append(masters, master(p))
	}
	return append(masters, m), nil
}

// grant returns the record's grant for a slot.
func (r *EpochRecord) grant(id SlotID) (*EpochGrant, bool) {
	i, ok := slices.BinarySearchFunc(r.Grants, id, func(g EpochGrant, id SlotID) int {
		return bytes.Compare(g.Slot[:], id[:])
	})
	if !ok {
		return nil, false
	}
	return &r.Grants[i], true
}

// served returns the slots the record serves.
func (r *EpochRecord) served() map[SlotID][sha256.Size]byte {
	all := make(map[SlotID][sha256.Size]byte, len(r.Grants))
	for _, g := range r.Grants {
		all[g.Slot] = g.SlotHash
	}
	return all
}

func (r *EpochRecord) name() string { return fmt.Sprintf("epoch record %d", r.Epoch) }

// wrapper is the cipher that seals the predecessors.
func (r *EpochRecord) wrapper(repo RepositoryID, m master) cipher.AEAD {
	return newGCM(subkey(repo, m, labelWrap, r.Epoch, SuiteAES256GCM))
}

// predecessorsAD is "keepsake/1" ‖ 0 ‖ "epoch predecessors" ‖ 0 ‖ repository ‖ header.
func (r *EpochRecord) predecessorsAD(repo RepositoryID) []byte {
	ad := append([]byte(scheme+"\x00"+labelWrap+"\x00"), repo[:]...)
	return append(ad, r.header()...)
}

// authCode is the HMAC of the record's bytes before the code.
func (r *EpochRecord) authCode(repo RepositoryID, m master) [sha256.Size]byte {
	b := r.encode()
	return mac(subkey(repo, m, labelEpochAuth, r.Epoch, suiteNone), b[:len(b)-sha256.Size])
}
