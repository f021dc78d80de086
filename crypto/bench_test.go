package crypto_test

import (
	"fmt"
	"testing"

	"keepsake/crypto"
)

func BenchmarkChunkID(b *testing.B) {
	k := newKeyring(b)
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			plain := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				k.ChunkID(1, plain)
			}
		})
	}
}

// A file's name, and a pair of chunk ids: what decides cuts of pages and lists.
func BenchmarkPRF(b *testing.B) {
	prf := newKeyring(b).PRF("directory pages")
	for _, size := range []int{12, 40, 200} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			name := make([]byte, size)
			b.ReportAllocs()
			for b.Loop() {
				prf.Sum64(name)
			}
		})
	}
}

func segment(b *testing.B) (aead interface {
	Seal(dst, nonce, plaintext, additionalData []byte) []byte
	Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error)
}, nonce, plain []byte) {
	a, err := newKeyring(b).AEAD(1, crypto.SuiteAES256GCM, "pack", make([]byte, crypto.SaltSize))
	if err != nil {
		b.Fatal(err)
	}
	n := crypto.SegmentNonce(0, 0, true)
	return a, n[:], make([]byte, 64<<10)
}

func BenchmarkSeal(b *testing.B) {
	aead, nonce, plain := segment(b)
	dst := make([]byte, 0, len(plain)+crypto.TagSize)
	ad := make([]byte, 100)
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		aead.Seal(dst, nonce, plain, ad)
	}
}

func BenchmarkOpen(b *testing.B) {
	aead, nonce, plain := segment(b)
	ad := make([]byte, 100)
	sealed := aead.Seal(nil, nonce, plain, ad)
	dst := make([]byte, 0, len(plain))
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := aead.Open(dst, nonce, sealed, ad); err != nil {
			b.Fatal(err)
		}
	}
}

// Making the cipher of one object: once per pack and per sealed object.
func BenchmarkAEAD(b *testing.B) {
	k := newKeyring(b)
	salt := make([]byte, crypto.SaltSize)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.AEAD(1, crypto.SuiteAES256GCM, "pack", salt); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnlockKeyFile(b *testing.B) {
	k := newKeyring(b)
	h := keyFileSlot(b, k, "a")
	for b.Loop() {
		if _, _, err := crypto.Unlock(testRepository, slots(h), nil, h.secret); err != nil {
			b.Fatal(err)
		}
	}
}
