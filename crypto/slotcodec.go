package crypto

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"unicode"
	"unicode/utf8"
)

const (
	slotLayout = 1
	// maxSlotLabel bounds a label in bytes.
	maxSlotLabel = 64

	// Offsets of a slot's fields; store/FORMAT.md explains them.
	slotOffID         = 4
	slotOffCreated    = slotOffID + 16
	slotOffMemory     = slotOffCreated + 8
	slotOffTime       = slotOffMemory + 4
	slotOffThreads    = slotOffTime + 4
	slotOffReserved   = slotOffThreads + 1
	slotOffSalt       = slotOffReserved + 3
	slotOffCommitment = slotOffSalt + SaltSize
	slotOffPublic     = slotOffCommitment + keySize
	slotOffPrivate    = slotOffPublic + publicKeySize
	slotOffEpoch      = slotOffPrivate + sealedPrivateSize
	slotOffGrant      = slotOffEpoch + 4
	slotOffLabel      = slotOffGrant + sealedMasterSize
	slotFixedSize     = slotOffLabel + sha256.Size // with the authentication code after the label

	// MaxSlotSize is the length of the longest marshalled slot, in bytes.
	MaxSlotSize = slotFixedSize + maxSlotLabel
)

// MarshalBinary returns the slot's canonical bytes. It fails only for a slot whose fields
// [ParseSlot] would refuse. It implements encoding.BinaryMarshaler.
func (s *Slot) MarshalBinary() ([]byte, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	return s.encode(), nil
}

// encode marshals a valid slot.
func (s *Slot) encode() []byte {
	b := make([]byte, slotOffLabel, slotFixedSize+len(s.Label))
	b[0], b[1], b[2], b[3] = slotLayout, byte(s.Kind), slotSuite, byte(len(s.Label))
	copy(b[slotOffID:], s.ID[:])
	binary.BigEndian.PutUint64(b[slotOffCreated:], uint64(s.Created))
	binary.BigEndian.PutUint32(b[slotOffMemory:], s.KDF.Memory)
	binary.BigEndian.PutUint32(b[slotOffTime:], s.KDF.Time)
	b[slotOffThreads] = s.KDF.Threads
	copy(b[slotOffSalt:], s.Salt[:])
	copy(b[slotOffCommitment:], s.Commitment[:])
	copy(b[slotOffPublic:], s.PublicKey[:])
	copy(b[slotOffPrivate:], s.SealedPrivate[:])
	binary.BigEndian.PutUint32(b[slotOffEpoch:], uint32(s.Grant.Epoch))
	copy(b[slotOffGrant:], s.Grant.Sealed[:])
	b = append(b, s.Label...)
	return append(b, s.Auth[:]...)
}

// ParseSlot reads a slot. It accepts exactly what [Slot.MarshalBinary] writes and keeps no
// reference to b. Errors match [ErrMalformed], [ErrVersion], [ErrKDFLimits] or [ErrLabel].
// A slot that parses is well formed; whether it is genuine only its secret can tell.
func ParseSlot(b []byte) (*Slot, error) {
	if len(b) < slotFixedSize || len(b) > MaxSlotSize {
		return nil, fmt.Errorf("%w: a key slot of %d bytes", ErrMalformed, len(b))
	}
	if b[0] != slotLayout || b[2] != slotSuite {
		return nil, fmt.Errorf("key slot with layout %d and suite %d: %w", b[0], b[2], ErrVersion)
	}
	if len(b) != slotFixedSize+int(b[3]) {
		return nil, fmt.Errorf("%w: a key slot of %d bytes with a label of %d", ErrMalformed, len(b), b[3])
	}
	if [3]byte(b[slotOffReserved:]) != [3]byte{} {
		return nil, fmt.Errorf("%w: reserved bytes of a key slot are in use", ErrMalformed)
	}
	end := len(b) - sha256.Size
	s := &Slot{
		ID:      SlotID(b[slotOffID:]),
		Kind:    SlotKind(b[1]),
		Label:   string(b[slotOffLabel:end]),
		Created: int64(binary.BigEndian.Uint64(b[slotOffCreated:])),
		KDF: KDFParams{
			Memory:  binary.BigEndian.Uint32(b[slotOffMemory:]),
			Time:    binary.BigEndian.Uint32(b[slotOffTime:]),
			Threads: b[slotOffThreads],
		},
		Salt:          [SaltSize]byte(b[slotOffSalt:]),
		Commitment:    [keySize]byte(b[slotOffCommitment:]),
		PublicKey:     [publicKeySize]byte(b[slotOffPublic:]),
		SealedPrivate: [sealedPrivateSize]byte(b[slotOffPrivate:]),
		Grant: Grant{
			Epoch:  Epoch(binary.BigEndian.Uint32(b[slotOffEpoch:])),
			Sealed: [sealedMasterSize]byte(b[slotOffGrant:]),
		},
		Auth: [sha256.Size]byte(b[end:]),
	}
	if err := s.validate(); err != nil {
		return nil, err
	}
	return s, nil
}

// validate checks what can be checked without a secret.
func (s *Slot) validate() error {
	switch s.Kind {
	case SlotPassphrase, SlotKeyFile, SlotRecoveryCode:
	default:
		return fmt.Errorf("%w: a key slot of %v", ErrMalformed, s.Kind)
	}
	if s.Grant.Epoch < 1 || s.Grant.Epoch > MaxEpoch {
		return fmt.Errorf("%w: a key slot for epoch %d", ErrMalformed, s.Grant.Epoch)
	}
	if err := s.KDF.validate(s.Kind); err != nil {
		return err
	}
	return validateLabel(s.Label)
}

// validateLabel refuses labels that could not be shown as they are: a label is printed on
// terminals, and whoever owns the storage may have written it.
func validateLabel(label string) error {
	if len(label) > maxSlotLabel {
		return fmt.Errorf("%w: %d bytes; at most %d", ErrLabel, len(label), maxSlotLabel)
	}
	if !utf8.ValidString(label) {
		return fmt.Errorf("%w: not UTF-8", ErrLabel)
	}
	for _, r := range label {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%w: it contains %U", ErrLabel, r)
		}
	}
	return nil
}

// hash identifies the slot's bytes in epoch records.
func (s *Slot) hash() [sha256.Size]byte { return sha256.Sum256(s.encode()) }

// name is how errors call the slot.
func (s *Slot) name() string {
	if s.Label == "" {
		return "key slot " + s.ID.String()
	}
	return "key slot " + s.ID.String() + " (" + s.Label + ")"
}
