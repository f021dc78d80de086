package state

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"keepsake/crypto"
)

// errSealed says that a value was not sealed by this repository's keys for
// this place.
var errSealed = errors.New("record does not open")

// A sealed value is epoch u32be, 32 random bytes, and the ciphertext under the
// key that these derive. The key serves one value, so the nonce is zero.
const sealedHead = 4 + crypto.SaltSize

// purpose names the keys of records in state.db.
const purpose = "state"

// seal encodes v for one place: what is sealed for one key opens under no other.
func (d *DB) seal(bucket, key []byte, v any) ([]byte, error) {
	plain, err := encode(v)
	if err != nil {
		return nil, err
	}
	out := binary.BigEndian.AppendUint32(nil, uint32(d.keys.Newest()))
	out = append(out, make([]byte, crypto.SaltSize)...)
	if _, err := rand.Read(out[4:]); err != nil {
		return nil, err
	}
	aead, err := d.keys.AEAD(d.keys.Newest(), crypto.SuiteAES256GCM, purpose, out[4:])
	if err != nil {
		return nil, err
	}
	return aead.Seal(out, make([]byte, crypto.NonceSize), plain, d.place(bucket, key)), nil
}

func (d *DB) unseal(bucket, key, sealed []byte, v any) error {
	if len(sealed) < sealedHead {
		return fmt.Errorf("state.db, %s: %w: %d bytes", bucket, errSealed, len(sealed))
	}
	epoch := crypto.Epoch(binary.BigEndian.Uint32(sealed))
	aead, err := d.keys.AEAD(epoch, crypto.SuiteAES256GCM, purpose, sealed[4:sealedHead])
	if err != nil {
		return fmt.Errorf("state.db, %s: %w: %w", bucket, errSealed, err)
	}
	plain, err := aead.Open(nil, make([]byte, crypto.NonceSize), sealed[sealedHead:], d.place(bucket, key))
	if err != nil {
		return fmt.Errorf("state.db, %s: %w", bucket, errSealed)
	}
	return cbor.Unmarshal(plain, v)
}

// place is the associated data of a record: where it lies, and whose it is.
func (d *DB) place(bucket, key []byte) []byte {
	p := append([]byte{}, d.writer[:]...)
	p = append(p, bucket...)
	p = append(p, 0)
	return append(p, key...)
}

func encode(v any) ([]byte, error) {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, err
	}
	return mode.Marshal(v)
}
