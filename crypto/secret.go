package crypto

import (
	"crypto/subtle"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Secret is what a person or a machine holds to open a slot: a passphrase, a key file or a
// recovery code. The zero Secret opens nothing. It prints as "[secret]".
type Secret struct {
	kind  SlotKind
	bytes string // a string, so that nobody can change it through a shared array
}

// maxPassphrase bounds a passphrase in bytes: enough for anything typed, little enough for a
// file given by mistake to be noticed.
const maxPassphrase = 4096

// Passphrase returns a secret of text. The bytes count as they are: no Unicode normalisation,
// no trimming. An empty or an oversized one is refused where it is used, with [ErrSecret].
func Passphrase(text string) Secret { return Secret{SlotPassphrase, text} }

// Recovery returns the secret of a recovery code.
func Recovery(code RecoveryCode) Secret {
	return Secret{SlotRecoveryCode, string(code.pack())}
}

// Kind returns the kind of slot the secret opens; 0 for the zero Secret.
func (s Secret) Kind() SlotKind { return s.kind }

// validate refuses what must never protect a key.
func (s Secret) validate() error {
	switch s.kind {
	case SlotPassphrase:
		if s.bytes == "" {
			return fmt.Errorf("%w: the passphrase is empty", ErrSecret)
		}
		if len(s.bytes) > maxPassphrase {
			return fmt.Errorf("%w: a passphrase of %d bytes; at most %d", ErrSecret, len(s.bytes), maxPassphrase)
		}
		return nil
	case SlotKeyFile, SlotRecoveryCode:
		if strings.Trim(s.bytes, "\x00") == "" { // a zero RecoveryCode, or a broken random source
			return fmt.Errorf("%w: the %v is all zeros", ErrSecret, s.kind)
		}
		return nil
	}
	return fmt.Errorf("%w: none was given", ErrSecret)
}

// KDFParams are the costs of Argon2id. They are all zero for slots that no passphrase opens:
// key files and recovery codes are random, and guessing them needs no slowing down.
type KDFParams struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8  // lanes
}

// The floor keeps storage from making a passphrase cheap to guess, the ceiling from exhausting
// the machine that opens the slot. No option lowers the floor.
const (
	minMemory  = 64 << 10 // KiB
	maxMemory  = 1 << 20  // KiB
	minTime    = 3
	maxTime    = 10
	minThreads = 1
	maxThreads = 4
)

// defaultKDF is RFC 9106's second recommended choice, for machines without memory to spare: a
// NAS with 1 GiB must open what a workstation wrote. The lanes are fixed, and not taken from
// the machine at hand, because they are part of the result: four help the owner's four cores
// as much as they help an attacker.
var defaultKDF = KDFParams{Memory: 64 << 10, Time: 3, Threads: 4}

// validate checks the bounds for the kind; it takes no memory.
func (p KDFParams) validate(kind SlotKind) error {
	if kind != SlotPassphrase {
		if p != (KDFParams{}) {
			return fmt.Errorf("%w: Argon2id parameters in a slot for a %v", ErrKDFLimits, kind)
		}
		return nil
	}
	if p.Memory < minMemory || p.Memory > maxMemory ||
		p.Time < minTime || p.Time > maxTime ||
		p.Threads < minThreads || p.Threads > maxThreads {
		return fmt.Errorf("%w: Argon2id with %d KiB, %d passes, %d lanes (allowed: %d to %d KiB, %d to %d, %d to %d)",
			ErrKDFLimits, p.Memory, p.Time, p.Threads,
			minMemory, maxMemory, minTime, maxTime, minThreads, maxThreads)
	}
	return nil
}

// slotKeys is what a secret yields for one slot.
type slotKeys struct {
	commitment [keySize]byte // public; tells a wrong secret from a damaged slot
	seal       [keySize]byte // seals the slot's private key, once: hence the zero nonce
}

// keysFor derives the secret's keys for a slot. The salt is the slot's own, so every slot has
// its own keys. The parameters are checked before any memory is taken.
func (s Secret) keysFor(salt [SaltSize]byte, p KDFParams) (slotKeys, error) {
	if err := s.validate(); err != nil {
		return slotKeys{}, err
	}
	if err := p.validate(s.kind); err != nil {
		return slotKeys{}, err
	}
	material := []byte(s.bytes)
	if s.kind == SlotPassphrase {
		material = argon2.IDKey(material, salt[:], p.Time, p.Memory, p.Threads, keySize)
	}
	kind := string([]byte{byte(s.kind)})
	return slotKeys{
		commitment: derive(material, salt[:], scheme+"\x00slot commitment\x00"+kind),
		seal:       derive(material, salt[:], scheme+"\x00slot seal\x00"+kind),
	}, nil
}

// commitsTo reports in constant time whether the keys belong to the slot.
func (k slotKeys) commitsTo(s *Slot) bool {
	return subtle.ConstantTimeCompare(k.commitment[:], s.Commitment[:]) == 1
}
