package crypto

import (
	"crypto/hmac"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"time"
)

// MaxSlots is the number of slots a repository may have.
const MaxSlots = 16

// Slot lets one secret open the repository. The secret opens a private key, the private key
// opens grants: the slot's own, made with it, and those of later epoch records. A slot never
// changes once written. It holds nothing secret in the clear.
type Slot struct {
	ID      SlotID
	Kind    SlotKind
	Label   string // at most 64 bytes of printable UTF-8; for people
	Created int64  // Unix seconds
	KDF     KDFParams
	// Salt is the slot's own salt of its secret's keys.
	Salt [SaltSize]byte
	// Commitment is derived from the secret beside the key that seals the private key.
	Commitment [32]byte
	// PublicKey receives the master keys of this and later epochs.
	PublicKey [publicKeySize]byte
	// SealedPrivate is the seed of the private key, sealed by the secret with every other
	// field except Auth as associated data: so the secret also vouches for the grant.
	SealedPrivate [sealedPrivateSize]byte
	// Grant is the master key of the epoch in which the slot was made.
	Grant Grant
	// Auth authenticates all of the above under the grant's epoch, so that a rotation serves
	// no public key that whoever owns the storage has planted.
	Auth [32]byte
}

// Grant is one epoch's master key, sealed to a slot's public key with HPKE:
// encapsulated key ‖ ciphertext.
type Grant struct {
	Epoch  Epoch
	Sealed [sealedMasterSize]byte
}

// NewSlot makes a slot through which the secret opens the newest epoch and all before it. The
// slot is opened once before it is returned. A passphrase takes [KDFParams] worth of memory
// and some hundred milliseconds.
func NewSlot(k *Keyring, secret Secret, label string, now time.Time, rand io.Reader) (*Slot, error) {
	s := &Slot{Kind: secret.kind, Label: label, Created: now.Unix()}
	if err := secret.validate(); err != nil {
		return nil, err
	}
	if err := validateLabel(label); err != nil {
		return nil, err
	}
	if s.Kind == SlotPassphrase {
		s.KDF = defaultKDF
	}
	for _, field := range [][]byte{s.ID[:], s.Salt[:]} {
		if _, err := io.ReadFull(rand, field); err != nil {
			return nil, fmt.Errorf("drawing a key slot: %w", err)
		}
	}
	keys, err := secret.keysFor(s.Salt, s.KDF)
	if err != nil {
		return nil, err
	}
	s.Commitment = keys.commitment
	priv, err := newPrivateKey(rand)
	if err != nil {
		return nil, err
	}
	copy(s.PublicKey[:], priv.PublicKey().Bytes())
	if err := s.fill(k, keys, priv); err != nil {
		return nil, fmt.Errorf("making a key slot: %w", err)
	}
	// A bit that flipped in memory would otherwise be found on the day the slot is needed.
	if _, m, err := s.open(k.repo, keys); err != nil || m != k.masters[k.Newest()-1] {
		return nil, fmt.Errorf("making a key slot: it does not open: %w", errors.Join(err, ErrTampered))
	}
	return s, nil
}

// fill adds the sealed parts in the order in which they depend on each other.
func (s *Slot) fill(k *Keyring, keys slotKeys, priv hpke.PrivateKey) error {
	s.Grant.Epoch = k.Newest()
	sealed, err := sealMaster(s.PublicKey[:], k.repo, s.ID, s.Grant.Epoch, k.masters[s.Grant.Epoch-1])
	if err != nil {
		return err
	}
	s.Grant.Sealed = sealed
	seed, err := priv.Bytes()
	if err != nil {
		return err
	}
	var nonce [NonceSize]byte // the key seals this once
	newGCM(keys.seal).Seal(s.SealedPrivate[:0], nonce[:], seed, s.privateAD(k.repo))
	s.Auth = s.authCode(k.repo, k.masters[s.Grant.Epoch-1])
	return nil
}

// open returns the slot's private key and the master key it was made with. The keys must be
// those of the slot's commitment. Only a genuine slot of this repository opens.
func (s *Slot) open(repo RepositoryID, keys slotKeys) (hpke.PrivateKey, master, error) {
	fail := func(detail string) (hpke.PrivateKey, master, error) {
		return nil, master{}, &TamperedError{s.name(), detail}
	}
	var nonce [NonceSize]byte
	seed, err := newGCM(keys.seal).Open(nil, nonce[:], s.SealedPrivate[:], s.privateAD(repo))
	if err != nil {
		return fail("its private key does not open, or it belongs to another repository")
	}
	priv, err := hpke.MLKEM768X25519().NewPrivateKey(seed)
	if err != nil {
		return fail("its private key is invalid")
	}
	// The associated data covers the public key; this guards against a slot made wrongly.
	if subtle.ConstantTimeCompare(priv.PublicKey().Bytes(), s.PublicKey[:]) != 1 {
		return fail("its public key is not that of its private key")
	}
	m, err := openMaster(priv, repo, s.ID, s.Grant.Epoch, s.Grant.Sealed)
	if err != nil {
		return fail("its master key does not open")
	}
	if !s.authentic(repo, m) {
		return fail("its authentication code is wrong")
	}
	return priv, m, nil
}

// privateAD is what the sealed private key is bound to:
// "keepsake/1" ‖ 0 ‖ "slot private key" ‖ 0 ‖ repository ‖ the slot's bytes without
// SealedPrivate and Auth.
func (s *Slot) privateAD(repo RepositoryID) []byte {
	b := s.encode()
	ad := append([]byte(scheme+"\x00slot private key\x00"), repo[:]...)
	ad = append(ad, b[:slotOffPrivate]...)
	return append(ad, b[slotOffEpoch:len(b)-sha256.Size]...)
}

// authCode is the HMAC of the slot's bytes before the code.
func (s *Slot) authCode(repo RepositoryID, m master) [sha256.Size]byte {
	b := s.encode()
	return mac(subkey(repo, m, labelSlotAuth, s.Grant.Epoch, suiteNone), b[:len(b)-sha256.Size])
}

// authentic reports whether a holder of m, the key of the grant's epoch, made the slot.
func (s *Slot) authentic(repo RepositoryID, m master) bool {
	want := s.authCode(repo, m)
	return hmac.Equal(want[:], s.Auth[:])
}

// VerifySlot reports whether the slot may be served: it was made by a holder of the newest
// keys, or the newest epoch's record serves exactly these bytes. A code under an older epoch
// alone is not enough, since a rotation may have happened because that epoch's key got out.
// Errors match [ErrTampered], [ErrNotServed] or [ErrUnknownEpoch].
func (k *Keyring) VerifySlot(s *Slot) error {
	if err := s.validate(); err != nil {
		return err
	}
	m, err := k.master(s.Grant.Epoch)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name(), err)
	}
	if !s.authentic(k.repo, m) {
		return &TamperedError{s.name(), "its authentication code is wrong"}
	}
	if s.Grant.Epoch == k.Newest() {
		return nil
	}
	want, ok := k.served[s.ID]
	if !ok {
		return fmt.Errorf("%s, made in epoch %d: %w", s.name(), s.Grant.Epoch, ErrNotServed)
	}
	if got := s.hash(); got != want {
		return &TamperedError{s.name(), "it is not the slot the newest epoch serves"}
	}
	return nil
}
