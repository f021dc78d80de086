package crypto

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

const (
	epochLayout = 1

	// Sizes of an epoch record's parts; store/FORMAT.md explains them.
	epochHeaderSize = 8
	epochGrantSize  = 16 + sha256.Size + sealedMasterSize

	// MaxEpochRecordSize is the length of the longest marshalled epoch record, in bytes.
	MaxEpochRecordSize = epochHeaderSize + keySize*(int(MaxEpoch)-1) + TagSize + MaxSlots*epochGrantSize + sha256.Size
)

// predecessorsSize is the length of the sealed predecessors of epoch e.
func predecessorsSize(e Epoch) int { return keySize*int(e-1) + TagSize }

// MarshalBinary returns the record's canonical bytes. It fails only for a record that
// [ParseEpochRecord] would refuse. It implements encoding.BinaryMarshaler.
func (r *EpochRecord) MarshalBinary() ([]byte, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	return r.encode(), nil
}

// encode marshals a valid record.
func (r *EpochRecord) encode() []byte {
	b := make([]byte, 0, epochHeaderSize+len(r.SealedPredecessors)+len(r.Grants)*epochGrantSize+sha256.Size)
	b = append(b, r.header()...)
	b = append(b, r.SealedPredecessors...)
	for i := range r.Grants {
		g := &r.Grants[i]
		b = append(b, g.Slot[:]...)
		b = append(b, g.SlotHash[:]...)
		b = append(b, g.Sealed[:]...)
	}
	return append(b, r.Auth[:]...)
}

// header returns layout ‖ suite ‖ number of grants u16be ‖ epoch u32be.
func (r *EpochRecord) header() []byte {
	b := []byte{epochLayout, slotSuite}
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Grants)))
	return binary.BigEndian.AppendUint32(b, uint32(r.Epoch))
}

// ParseEpochRecord reads an epoch record. It accepts exactly what [EpochRecord.MarshalBinary]
// writes and keeps no reference to b. Errors match [ErrMalformed] or [ErrVersion]. A record
// that parses is well formed; whether it is genuine only its keys can tell.
func ParseEpochRecord(b []byte) (*EpochRecord, error) {
	if len(b) < epochHeaderSize || len(b) > MaxEpochRecordSize {
		return nil, fmt.Errorf("%w: an epoch record of %d bytes", ErrMalformed, len(b))
	}
	if b[0] != epochLayout || b[1] != slotSuite {
		return nil, fmt.Errorf("epoch record with layout %d and suite %d: %w", b[0], b[1], ErrVersion)
	}
	n, e := int(binary.BigEndian.Uint16(b[2:])), Epoch(binary.BigEndian.Uint32(b[4:]))
	if n < 1 || n > MaxSlots || e < 2 || e > MaxEpoch {
		return nil, fmt.Errorf("%w: an epoch record of epoch %d with %d grants", ErrMalformed, e, n)
	}
	if want := epochHeaderSize + predecessorsSize(e) + n*epochGrantSize + sha256.Size; len(b) != want {
		return nil, fmt.Errorf("%w: an epoch record of %d bytes instead of %d", ErrMalformed, len(b), want)
	}
	rest := b[epochHeaderSize:]
	r := &EpochRecord{
		Epoch:              e,
		SealedPredecessors: bytes.Clone(rest[:predecessorsSize(e)]),
		Grants:             make([]EpochGrant, n),
	}
	rest = rest[predecessorsSize(e):]
	for i := range r.Grants {
		r.Grants[i] = EpochGrant{
			Slot:     SlotID(rest),
			SlotHash: [sha256.Size]byte(rest[16:]),
			Sealed:   [sealedMasterSize]byte(rest[16+sha256.Size:]),
		}
		rest = rest[epochGrantSize:]
	}
	r.Auth = [sha256.Size]byte(rest)
	if err := r.validate(); err != nil {
		return nil, err
	}
	return r, nil
}

// validate checks what can be checked without a key.
func (r *EpochRecord) validate() error {
	if r.Epoch < 2 || r.Epoch > MaxEpoch {
		return fmt.Errorf("%w: an epoch record of epoch %d", ErrMalformed, r.Epoch)
	}
	if len(r.SealedPredecessors) != predecessorsSize(r.Epoch) {
		return fmt.Errorf("%w: %d bytes of predecessors in the record of epoch %d", ErrMalformed, len(r.SealedPredecessors), r.Epoch)
	}
	if len(r.Grants) < 1 || len(r.Grants) > MaxSlots {
		return fmt.Errorf("%w: an epoch record with %d grants", ErrMalformed, len(r.Grants))
	}
	for i := 1; i < len(r.Grants); i++ {
		if bytes.Compare(r.Grants[i-1].Slot[:], r.Grants[i].Slot[:]) >= 0 {
			return fmt.Errorf("%w: grants of an epoch record out of order", ErrMalformed)
		}
	}
	return nil
}
