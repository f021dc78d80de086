package object

import (
	"encoding/binary"
	"fmt"
	"io"

	"keepsake/crypto"
)

const (
	saltSize = 32
	tagSize  = crypto.TagSize
	// sealedHeader is the header of a sealed object: the shared one, the salt, the sealed length.
	sealedHeader = HeaderSize + saltSize + 4
	// leastPadded is the smallest padded plaintext: a ledger entry that forgets one snapshot shall
	// not be told from one that pins it.
	leastPadded = 256
)

// MaxSize is the largest framed or sealed object in bytes; a reader refuses longer ones unread.
// It is the size of a sealed object with MaxPlain bytes: Padme(4 + MaxPlain) is 33 × 2^19.
const MaxSize = sealedHeader + 33<<19 + tagSize + ChecksumSize

// padded returns the length to which a plaintext of n bytes and its length field are padded.
func padded(n int) int { return int(Padme(uint64(max(leastPadded, 4+n)))) }

// Seal encrypts plain as an object of the given kind under the newest epoch of k. The object's key
// is its own, derived from 32 bytes of rand.
func Seal(k *crypto.Keyring, kind Kind, plain []byte, rand io.Reader) ([]byte, error) {
	if len(plain) > MaxPlain {
		return nil, fmt.Errorf("seal %s of %d bytes: %w", kind, len(plain), ErrTooLarge)
	}
	sealed := padded(len(plain)) + tagSize
	b := make([]byte, 0, sealedHeader+sealed+ChecksumSize)
	b = AppendHeader(b, Header{Kind: kind, Suite: crypto.SuiteAES256GCM, Epoch: k.Newest()})
	b = b[:HeaderSize+saltSize]
	salt := b[HeaderSize:]
	if _, err := io.ReadFull(rand, salt); err != nil {
		return nil, fmt.Errorf("seal %s: salt: %w", kind, err)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(sealed))
	aead, err := k.AEAD(k.Newest(), crypto.SuiteAES256GCM, kind.Purpose(), salt)
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", kind, err)
	}
	inner := make([]byte, padded(len(plain)))
	binary.BigEndian.PutUint32(inner, uint32(len(plain)))
	copy(inner[4:], plain)
	nonce := crypto.SegmentNonce(0, 0, true)
	b = aead.Seal(b, nonce[:], inner, b[:sealedHeader])
	return appendChecksum(b), nil
}

// Open returns the plaintext of a sealed object of the given kind. The result is the caller's.
func Open(k *crypto.Keyring, kind Kind, b []byte) ([]byte, error) {
	h, err := open(kind, b)
	if err != nil {
		return nil, err
	}
	if h.Suite == 0 {
		return nil, Corrupt(kind, 11, "is not sealed")
	}
	if len(b) < sealedHeader+tagSize+ChecksumSize || len(b) > MaxSize {
		return nil, Corrupt(kind, int64(len(b)), "impossible length of a sealed object")
	}
	body := b[sealedHeader : len(b)-ChecksumSize]
	if n := binary.BigEndian.Uint32(b[HeaderSize+saltSize:]); uint64(n) != uint64(len(body)) {
		return nil, Corrupt(kind, HeaderSize+saltSize, "sealed length is %d where %d bytes follow", n, len(body))
	}
	aead, err := k.AEAD(h.Epoch, h.Suite, kind.Purpose(), b[HeaderSize:HeaderSize+saltSize])
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", kind, err)
	}
	nonce := crypto.SegmentNonce(0, 0, true)
	inner, err := aead.Open(nil, nonce[:], body, b[:sealedHeader])
	if err != nil {
		return nil, Corrupt(kind, sealedHeader, "does not authenticate")
	}
	return unpad(kind, inner)
}

// unpad takes the length and the padding off a decrypted plaintext and refuses any padding but ours.
func unpad(kind Kind, inner []byte) ([]byte, error) {
	if len(inner) < leastPadded {
		return nil, Corrupt(kind, sealedHeader, "plaintext is too short")
	}
	n := binary.BigEndian.Uint32(inner)
	if n > MaxPlain || padded(int(n)) != len(inner) {
		return nil, Corrupt(kind, sealedHeader, "%d bytes are not padded to %d", n, len(inner))
	}
	plain, rest := inner[4:4+n:4+n], inner[4+n:]
	for _, c := range rest {
		if c != 0 {
			return nil, Corrupt(kind, sealedHeader, "padding is not zero")
		}
	}
	return plain, nil
}
