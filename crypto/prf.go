package crypto

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// PRF is a keyed pseudo-random function for one use, named by its label: where to cut pages
// and lists, under which key to keep a path. Without the repository's key its results cannot
// be predicted. It is safe for concurrent use; the zero PRF is not usable. It prints as "[secret]".
//
// It is HMAC-SHA-256 because that is the one keyed hash this format needs anyway, it is
// beyond doubt, and it is cheap enough: a file name took 185 ns on an x86 server core (BenchmarkPRF),
// a fifth of a second for a million names. Faster ones (an AES-based MAC, SipHash)
// are either not in the standard library or assembled by hand.
type PRF struct{ pool *macPool }

// PRF returns the pseudo-random function of the label. It comes from epoch 1 and survives
// rotation. Make it once and keep it: making it derives a key.
func (k *Keyring) PRF(label string) PRF {
	return PRF{newMACPool(subkey(k.repo, k.masters[0], labelPRF+label, 1, suiteNone))}
}

// Sum returns HMAC-SHA-256 over the parts, each preceded by its length (u64be), so that
// ("ab", "c") and ("a", "bc") differ. It allocates nothing.
func (p PRF) Sum(parts ...[]byte) [32]byte {
	m := p.pool.get()
	for _, part := range parts {
		binary.BigEndian.PutUint64(m.buf[:8], uint64(len(part)))
		m.hash.Write(m.buf[:8])
		m.hash.Write(part)
	}
	sum := m.sum()
	p.pool.put(m)
	return sum
}

// Sum64 returns the first eight bytes of [PRF.Sum], big-endian.
func (p PRF) Sum64(parts ...[]byte) uint64 {
	sum := p.Sum(parts...)
	return binary.BigEndian.Uint64(sum[:8])
}

// macPool keeps HMAC states of one key: setting one up costs two compressions and three
// allocations, resetting it a copy.
type macPool struct {
	key  [keySize]byte
	pool sync.Pool // of *macState
}

type macState struct {
	hash hash.Hash
	buf  [sha256.Size]byte // input of fixed size and output; on the heap once
}

func newMACPool(key [keySize]byte) *macPool { return &macPool{key: key} }

func (p *macPool) get() *macState {
	if m, ok := p.pool.Get().(*macState); ok {
		return m
	}
	return &macState{hash: hmac.New(sha256.New, p.key[:])}
}

func (p *macPool) put(m *macState) {
	m.hash.Reset()
	p.pool.Put(m)
}

func (m *macState) sum() [sha256.Size]byte {
	m.hash.Sum(m.buf[:0])
	return m.buf
}

// mac returns HMAC-SHA-256(key, parts…) without separation; for keys used rarely.
func mac(key [keySize]byte, parts ...[]byte) [sha256.Size]byte {
	h := hmac.New(sha256.New, key[:])
	for _, p := range parts {
		h.Write(p)
	}
	return [sha256.Size]byte(h.Sum(nil))
}
