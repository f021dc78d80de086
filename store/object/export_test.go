package object

import (
	"encoding/binary"
	"io"

	"keepsake/crypto"
)

// Rechecksum makes the last bytes of b the checksum of those before them.
func Rechecksum(b []byte) []byte {
	if len(b) < ChecksumSize {
		return b
	}
	return appendChecksum(b[: len(b)-ChecksumSize : len(b)-ChecksumSize])
}

// SealInner seals a plaintext that is padded already.
func SealInner(k *crypto.Keyring, kind Kind, inner []byte, rand io.Reader) []byte {
	b := AppendHeader(nil, Header{Kind: kind, Suite: crypto.SuiteAES256GCM, Epoch: k.Newest()})
	salt := make([]byte, saltSize)
	io.ReadFull(rand, salt)
	b = append(b, salt...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(inner)+tagSize))
	aead, err := k.AEAD(k.Newest(), crypto.SuiteAES256GCM, kind.Purpose(), salt)
	if err != nil {
		panic(err)
	}
	nonce := crypto.SegmentNonce(0, 0, true)
	return appendChecksum(aead.Seal(b, nonce[:], inner, b))
}
