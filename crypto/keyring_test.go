package crypto_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"keepsake/crypto"
)

func TestAEADRefusals(t *testing.T) {
	k := newKeyring(t)
	salt := make([]byte, crypto.SaltSize)
	for _, v := range []struct {
		name  string
		epoch crypto.Epoch
		suite crypto.Suite
		salt  []byte
		want  error
	}{
		{"epoch 0", 0, crypto.SuiteAES256GCM, salt, crypto.ErrUnknownEpoch},
		{"an epoch to come", 2, crypto.SuiteAES256GCM, salt, crypto.ErrUnknownEpoch},
		{"suite 0", 1, 0, salt, crypto.ErrSuite},
		{"suite 2", 1, 2, salt, crypto.ErrSuite},
		{"no salt", 1, crypto.SuiteAES256GCM, nil, crypto.ErrSalt},
		{"short salt", 1, crypto.SuiteAES256GCM, salt[1:], crypto.ErrSalt},
		{"long salt", 1, crypto.SuiteAES256GCM, append(salt, 0), crypto.ErrSalt},
	} {
		t.Run(v.name, func(t *testing.T) {
			a, err := k.AEAD(v.epoch, v.suite, "pack", v.salt)
			wantErr(t, err, v.want)
			if a != nil {
				t.Error("a cipher beside an error")
			}
		})
	}
}

// Anything that differs between two objects must give them different keys.
func TestAEADKeysAreDistinct(t *testing.T) {
	k := newKeyring(t)
	_, two := rotate(t, k, keyFileSlot(t, k, "a").slot)
	other, err := crypto.NewKeyring(crypto.RepositoryID{1}, noise(1)) // the same master key
	if err != nil {
		t.Fatal(err)
	}
	salt := func(b byte) []byte { return bytes.Repeat([]byte{b}, crypto.SaltSize) }
	seen := make(map[string]string)
	for _, v := range []struct {
		name    string
		k       *crypto.Keyring
		epoch   crypto.Epoch
		purpose string
		salt    []byte
	}{
		{"base", two, 1, "pack", salt(0)},
		{"epoch", two, 2, "pack", salt(0)},
		{"purpose", two, 1, "pack2", salt(0)},
		{"empty purpose", two, 1, "", salt(0)},
		{"purpose with a NUL", two, 1, "pack\x00", salt(0)},
		{"salt", two, 1, "pack", salt(1)},
		{"repository", other, 1, "pack", salt(0)},
	} {
		a, err := v.k.AEAD(v.epoch, crypto.SuiteAES256GCM, v.purpose, v.salt)
		if err != nil {
			t.Fatal(err)
		}
		sealed := string(a.Seal(nil, make([]byte, crypto.NonceSize), make([]byte, 32), nil))
		if before, ok := seen[sealed]; ok {
			t.Errorf("%s and %s share a key", before, v.name)
		}
		seen[sealed] = v.name
	}
}

func TestPRFSeparatesPartsAndLabels(t *testing.T) {
	k := newKeyring(t)
	p := k.PRF("a")
	seen := make(map[uint64]string)
	for name, sum := range map[string]uint64{
		"ab c":        p.Sum64([]byte("ab"), []byte("c")),
		"a bc":        p.Sum64([]byte("a"), []byte("bc")),
		"abc":         p.Sum64([]byte("abc")),
		"abc empty":   p.Sum64([]byte("abc"), nil),
		"nothing":     p.Sum64(),
		"empty":       p.Sum64(nil),
		"other label": k.PRF("b").Sum64([]byte("abc")),
	} {
		if before, ok := seen[sum]; ok {
			t.Errorf("%q and %q have one sum", before, name)
		}
		seen[sum] = name
	}
	if p.Sum64([]byte("x")) != k.PRF("a").Sum64([]byte("x")) {
		t.Error("one label, two functions")
	}
}

// ChunkID runs for every chunk and Sum64 for every name: neither may feed the collector.
func TestHotPathsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop items")
	}
	k := newKeyring(t)
	p := k.PRF("pages")
	plain, name := make([]byte, 4096), []byte("IMG_0001.CR3")
	for what, f := range map[string]func(){
		"ChunkID": func() { k.ChunkID(1, plain) },
		"Sum64":   func() { p.Sum64(name) },
		"Sum":     func() { p.Sum(name, plain) },
	} {
		if n := testing.AllocsPerRun(200, f); n >= 1 {
			t.Errorf("%s allocates %v times", what, n)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	k := newKeyring(t)
	p := k.PRF("pages")
	input := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 100+i) }
	var ids [64]crypto.ChunkID
	var sums [64]uint64
	for i := range ids {
		ids[i], sums[i] = k.ChunkID(byte(i), input(i)), p.Sum64(input(i))
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 64 {
				i = (i + g*8) % 64
				if k.ChunkID(byte(i), input(i)) != ids[i] || p.Sum64(input(i)) != sums[i] {
					t.Errorf("result %d changed under concurrency", i)
				}
			}
		})
	}
	wg.Wait()
}

func TestRotationKeepsIdentities(t *testing.T) {
	k := newKeyring(t)
	_, two := rotate(t, k, keyFileSlot(t, k, "a").slot)
	if two.Newest() != 2 || !slices.Equal(two.Epochs(), []crypto.Epoch{1, 2}) || k.Newest() != 1 {
		t.Fatalf("epochs: %v after %v", two.Epochs(), k.Epochs())
	}
	if two.ChunkID(1, nil) != k.ChunkID(1, nil) || two.Fingerprint() != k.Fingerprint() ||
		two.PRF("a").Sum64() != k.PRF("a").Sum64() {
		t.Error("a rotation changed chunk ids, PRFs or the fingerprint")
	}
}

func TestShortRandomness(t *testing.T) {
	broken := errors.New("no entropy")
	short := func() io.Reader { return io.MultiReader(bytes.NewReader(make([]byte, 7)), iotest.ErrReader(broken)) }
	k := newKeyring(t)
	h := keyFileSlot(t, k, "a")
	_, err := crypto.NewKeyring(testRepository, short())
	wantErr(t, err, broken)
	_, err = crypto.NewRepositoryID(short())
	wantErr(t, err, broken)
	_, err = crypto.NewSlot(k, h.secret, "", noon, short())
	wantErr(t, err, broken)
	_, err = crypto.NewSlot(k, h.secret, "", noon, io.MultiReader(bytes.NewReader(make([]byte, 50)), iotest.ErrReader(broken)))
	wantErr(t, err, broken)
	_, _, err = k.Rotate(slots(h), short())
	wantErr(t, err, broken)
	_, _, err = crypto.GenerateKeyFile(short())
	wantErr(t, err, broken)
	_, err = crypto.GenerateRecoveryCode(short())
	wantErr(t, err, broken)
}

func TestSecretsDoNotPrint(t *testing.T) {
	k := newKeyring(t)
	code, err := crypto.GenerateRecoveryCode(noise(3))
	if err != nil {
		t.Fatal(err)
	}
	type around struct {
		K *crypto.Keyring
		S crypto.Secret
		C crypto.RecoveryCode
		P crypto.PRF
	}
	in := around{k, crypto.Passphrase("hunter2"), code, k.PRF("a")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{in.K, in.S, in.C, in.P, &in.S, &in.C, &in.P} {
			if got := fmt.Sprintf(verb, v); got != "[secret]" {
				t.Errorf("%T with %s prints %q", v, verb, got)
			}
		}
		got := fmt.Sprintf(verb, in)
		if strings.Count(got, "[secret]") != 4 || strings.Contains(got, "hunter") {
			t.Errorf("%s of a struct prints %q", verb, got)
		}
	}
	for _, v := range []interface {
		fmt.Stringer
		fmt.GoStringer
	}{in.K, in.S, in.C, in.P} {
		if v.String() != "[secret]" || v.GoString() != "[secret]" {
			t.Errorf("%T prints itself", v)
		}
	}
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("x", "k", in.K, "s", in.S, "c", in.C, "p", in.P)
	}
	if strings.Count(log.String(), "[secret]") != 8 || strings.Contains(log.String(), "hunter") {
		t.Errorf("logged %s", log.String())
	}
}
