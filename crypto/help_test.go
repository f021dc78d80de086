package crypto_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"keepsake/crypto"
)

// noise is a reproducible source of randomness. HPKE draws from the system all the same.
func noise(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

var testRepository = crypto.RepositoryID(count(0xA0, 16))

func newKeyring(t testing.TB) *crypto.Keyring {
	t.Helper()
	k, err := crypto.NewKeyring(testRepository, noise(1))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// held is a slot with the secret that opens it.
type held struct {
	slot   *crypto.Slot
	secret crypto.Secret
}

// keyFileSlot makes a slot for a fresh key file. Tests use key files wherever a passphrase is
// not the point, since Argon2id has no cheap setting.
func keyFileSlot(t testing.TB, k *crypto.Keyring, label string) held {
	t.Helper()
	seed := byte(100)
	for _, c := range []byte(label) {
		seed = seed*31 + c
	}
	r := noise(seed)
	_, secret, err := crypto.GenerateKeyFile(r)
	if err != nil {
		t.Fatal(err)
	}
	return held{newSlot(t, k, secret, label, r), secret}
}

func newSlot(t testing.TB, k *crypto.Keyring, secret crypto.Secret, label string, r io.Reader) *crypto.Slot {
	t.Helper()
	s, err := crypto.NewSlot(k, secret, label, noon, r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func rotate(t testing.TB, k *crypto.Keyring, slots ...*crypto.Slot) (*crypto.EpochRecord, *crypto.Keyring) {
	t.Helper()
	r, next, err := k.Rotate(slots, noise(byte(k.Newest())+50))
	if err != nil {
		t.Fatal(err)
	}
	return r, next
}

func slots(hs ...held) []*crypto.Slot {
	var all []*crypto.Slot
	for _, h := range hs {
		all = append(all, h.slot)
	}
	return all
}

func records(rs ...*crypto.EpochRecord) []*crypto.EpochRecord { return rs }

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// sameKeys checks that two keyrings hold the same epochs and derive the same from each.
func sameKeys(t testing.TB, got, want *crypto.Keyring) {
	t.Helper()
	if got.Newest() != want.Newest() || got.Repository() != want.Repository() {
		t.Fatalf("got epoch %d of %v, want %d of %v", got.Newest(), got.Repository(), want.Newest(), want.Repository())
	}
	for _, e := range want.Epochs() {
		if got.Subkey("test", e, 1) != want.Subkey("test", e, 1) {
			t.Fatalf("the keys of epoch %d differ", e)
		}
	}
	if got.ChunkID(1, []byte("x")) != want.ChunkID(1, []byte("x")) || got.Fingerprint() != want.Fingerprint() {
		t.Fatal("chunk ids or fingerprints differ")
	}
}
