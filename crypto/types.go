package crypto

import (
	"encoding/hex"
	"fmt"
	"io"
)

// Epoch numbers a master key: 1 for the first, one more after each rotation.
type Epoch uint32

// MaxEpoch bounds the number of epochs, and with it the size of an epoch record
// (32 bytes for each predecessor). One rotation a week reaches it after 78 years.
const MaxEpoch Epoch = 4096

// Suite names the cipher that seals objects, packs and keys. It is stored with
// everything sealed, so that another can follow without guessing.
type Suite byte

// SuiteAES256GCM is AES-256-GCM with 12-byte nonces and 16-byte tags: the only suite so far.
const SuiteAES256GCM Suite = 1

// String returns the suite's name.
func (s Suite) String() string {
	if s == SuiteAES256GCM {
		return "AES-256-GCM"
	}
	return fmt.Sprintf("suite %d", byte(s))
}

// RepositoryID is the random, public name of a repository. It salts every sub-key, so that
// two repositories never share a key even if they shared a master.
type RepositoryID [16]byte

// NewRepositoryID draws a repository id.
func NewRepositoryID(rand io.Reader) (RepositoryID, error) {
	var id RepositoryID
	if _, err := io.ReadFull(rand, id[:]); err != nil {
		return RepositoryID{}, fmt.Errorf("drawing a repository id: %w", err)
	}
	return id, nil
}

// String returns the id in hexadecimal.
func (id RepositoryID) String() string { return hex.EncodeToString(id[:]) }

// ChunkID names a chunk by its content, to holders of the key only.
type ChunkID [32]byte

// String returns the id in hexadecimal.
func (id ChunkID) String() string { return hex.EncodeToString(id[:]) }

// SlotID is the random name of a key slot.
type SlotID [16]byte

// String returns the id in hexadecimal.
func (id SlotID) String() string { return hex.EncodeToString(id[:]) }

// SlotKind says what kind of secret opens a slot.
type SlotKind byte

// The kinds of slots. The numbers are stored.
const (
	SlotPassphrase   SlotKind = 1
	SlotKeyFile      SlotKind = 2
	SlotRecoveryCode SlotKind = 3
)

// String returns the kind in words.
func (k SlotKind) String() string {
	switch k {
	case SlotPassphrase:
		return "passphrase"
	case SlotKeyFile:
		return "key file"
	case SlotRecoveryCode:
		return "recovery code"
	}
	return fmt.Sprintf("kind %d", byte(k))
}
