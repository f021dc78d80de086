package crypto

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

const (
	// SaltSize is the length of the salt from which an object's own key is derived. It is fixed
	// because HMAC pads short keys with zeros: salts that differ only in trailing zeros would be one.
	SaltSize = 32
	// NonceSize is the length of the nonces of every suite.
	NonceSize = 12
	// TagSize is what sealing adds to a plaintext in every suite.
	TagSize = 16
)

// infoObject completes the derivation of the key of one object.
const infoObject = scheme + "\x00object key"

// AEAD returns the cipher of one object: AES-256-GCM under HKDF-SHA-256(secret = the sub-key of
// purpose, epoch and suite, salt = salt, info = "keepsake/1" ‖ 0 ‖ "object key").
// The salt is [SaltSize] random bytes that belong to that object alone, which is why nonces may be counters.
// The cipher is safe for concurrent use. An epoch the keyring lacks is [ErrUnknownEpoch].
func (k *Keyring) AEAD(e Epoch, s Suite, purpose string, salt []byte) (cipher.AEAD, error) {
	m, err := k.master(e)
	if err != nil {
		return nil, err
	}
	if s != SuiteAES256GCM {
		return nil, fmt.Errorf("%w %d", ErrSuite, byte(s))
	}
	if len(salt) != SaltSize {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrSalt, len(salt), SaltSize)
	}
	sub := subkey(k.repo, m, labelAEAD+purpose, e, s)
	return newGCM(derive(sub[:], salt, infoObject)), nil
}

// newGCM returns AES-256-GCM under key.
func newGCM(key [keySize]byte) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("crypto: aes: " + err.Error())
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic("crypto: gcm: " + err.Error())
	}
	return gcm
}

// flagLast marks the last segment of a chunk in its nonce, so that a chunk cut short at a
// segment's end does not open.
const flagLast = 1

// SegmentNonce returns chunk u32be ‖ segment u32be ‖ flags u32be, with bit 0 of the flags set
// for a chunk's last segment. It is unique within a pack as long as chunk numbers are never
// reassigned; between packs the keys differ.
func SegmentNonce(chunk, segment uint32, last bool) [NonceSize]byte {
	var n [NonceSize]byte
	binary.BigEndian.PutUint32(n[0:], chunk)
	binary.BigEndian.PutUint32(n[4:], segment)
	if last {
		binary.BigEndian.PutUint32(n[8:], flagLast)
	}
	return n
}
