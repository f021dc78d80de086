package object_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"keepsake/crypto"
	"keepsake/store/object"
)

var kinds = []object.Kind{
	object.Config, object.Slot, object.Epoch, object.Snapshot, object.Ledger,
	object.Catalog, object.Condemned, object.DataPack, object.MetaPack,
}

// source returns a deterministic stream of random-looking bytes.
func source(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

func keyring(t testing.TB) *crypto.Keyring {
	t.Helper()
	k, err := crypto.NewKeyring(crypto.RepositoryID{1, 2, 3}, source(1))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func seal(t testing.TB, k *crypto.Keyring, kind object.Kind, plain []byte) []byte {
	t.Helper()
	b, err := object.Seal(k, kind, plain, source(2))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFrameVector(t *testing.T) {
	const want = "4b454550434f4e4600010100000000006b656570" +
		"73616b65" + "667a805fd2860e76144e9dfbd2e31d87"
	if got := hex.EncodeToString(object.Frame(object.Config, []byte("keepsake"))); got != want {
		t.Errorf("frame is\n%s, want\n%s", got, want)
	}
}

func TestSealVector(t *testing.T) {
	b := seal(t, keyring(t), object.Snapshot, []byte("a snapshot"))
	if len(b) != 340 {
		t.Errorf("%d bytes, want 340", len(b))
	}
	const want = "9b2491cb74d124f8e727184e3637097a80046946d29ca384ad5a3b5ab71ba844"
	id := object.ID(b)
	if got := hex.EncodeToString(id[:]); got != want {
		t.Errorf("id is %s, want %s", got, want)
	}
}

func TestRoundTrip(t *testing.T) {
	k := keyring(t)
	for _, kind := range kinds {
		for _, n := range []int{0, 1, 251, 252, 253, 5000, 1 << 20} {
			plain := make([]byte, n)
			io.ReadFull(source(3), plain)
			framed, sealed := object.Frame(kind, plain), seal(t, k, kind, plain)
			if got, err := object.Unframe(kind, framed); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("unframe %s of %d bytes: %v", kind, n, err)
			}
			if got, err := object.Open(k, kind, sealed); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("open %s of %d bytes: %v", kind, n, err)
			}
			for _, b := range [][]byte{framed, sealed} {
				if err := check(b, kind); err != nil {
					t.Errorf("check %s of %d bytes: %v", kind, n, err)
				}
			}
		}
	}
}

func TestLargest(t *testing.T) {
	k := keyring(t)
	plain := make([]byte, object.MaxPlain)
	b := seal(t, k, object.Catalog, plain)
	if len(b) != object.MaxSize {
		t.Errorf("largest sealed object has %d bytes, MaxSize is %d", len(b), object.MaxSize)
	}
	if got, err := object.Open(k, object.Catalog, b); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("open: %v", err)
	}
	if _, err := object.Seal(k, object.Catalog, make([]byte, object.MaxPlain+1), source(2)); !errors.Is(err, object.ErrTooLarge) {
		t.Errorf("seal beyond the limit: %v", err)
	}
	if _, err := object.Unframe(object.Config, object.Rechecksum(append(object.Frame(object.Config, plain), 0))); !errors.Is(err, object.ErrCorrupt) {
		t.Errorf("unframe beyond the limit: %v", err)
	}
}

// check runs both keyless checks, which must agree.
func check(b []byte, kind object.Kind) error {
	err := object.CheckFrame(b, kind)
	for _, r := range []io.Reader{bytes.NewReader(b), iotest.OneByteReader(bytes.NewReader(b))} {
		if streamed := object.CheckReader(r, kind); fmt.Sprint(streamed) != fmt.Sprint(err) {
			return fmt.Errorf("CheckFrame says %w, CheckReader says %w", err, streamed)
		}
		if len(b) > 1<<10 {
			break
		}
	}
	return err
}

func TestEveryFlippedBit(t *testing.T) {
	k := keyring(t)
	framed := object.Frame(object.Slot, []byte("public things"))
	sealed := seal(t, k, object.Ledger, []byte("secret things"))
	for i := range 8 * len(framed) {
		b := bytes.Clone(framed)
		b[i/8] ^= 1 << (i % 8)
		if _, err := object.Unframe(object.Slot, b); !errors.Is(err, object.ErrCorrupt) {
			t.Fatalf("bit %d of byte %d of a frame: %v", i%8, i/8, err)
		}
		if err := check(b, object.Slot); !errors.Is(err, object.ErrCorrupt) {
			t.Fatalf("bit %d of byte %d of a frame, check: %v", i%8, i/8, err)
		}
	}
	for i := range 8 * len(sealed) {
		b := bytes.Clone(sealed)
		b[i/8] ^= 1 << (i % 8)
		if _, err := object.Open(k, object.Ledger, b); !errors.Is(err, object.ErrCorrupt) {
			t.Fatalf("bit %d of byte %d: %v", i%8, i/8, err)
		}
		if err := check(b, object.Ledger); !errors.Is(err, object.ErrCorrupt) {
			t.Fatalf("bit %d of byte %d, check: %v", i%8, i/8, err)
		}
		// Whoever changes bytes on purpose fits the checksum as well: the AEAD must notice.
		if i/8 < len(sealed)-object.ChecksumSize {
			if plain, err := object.Open(k, object.Ledger, object.Rechecksum(b)); err == nil {
				t.Fatalf("bit %d of byte %d, checksum fitted: opens to %q", i%8, i/8, plain)
			}
		}
	}
	for n := range sealed {
		if _, err := object.Open(k, object.Ledger, sealed[:n]); !errors.Is(err, object.ErrCorrupt) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
		if err := check(sealed[:n], object.Ledger); !errors.Is(err, object.ErrCorrupt) {
			t.Fatalf("cut to %d bytes, check: %v", n, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	k := keyring(t)
	sealed := seal(t, k, object.Ledger, []byte("x"))
	edit := func(at int, v ...byte) []byte {
		b := bytes.Clone(sealed)
		copy(b[at:], v)
		return object.Rechecksum(b)
	}
	tests := []struct {
		name string
		b    []byte
		want error
	}{
		{"newer version", edit(8, 0, 2), object.ErrVersion},
		{"far newer version", edit(8, 255, 255), object.ErrVersion},
		{"version 0", edit(8, 0, 0), object.ErrCorrupt},
		{"kind byte of another kind", edit(10, byte(object.Snapshot)), object.ErrCorrupt},
		{"suite without epoch", edit(12, 0, 0, 0, 0), object.ErrCorrupt},
		{"epoch without suite", edit(11, 0), object.ErrCorrupt},
		{"epoch that nobody has", edit(12, 0, 0, 0, 9), crypto.ErrUnknownEpoch},
		{"sealed length", edit(48, 0, 0, 0, 1), object.ErrCorrupt},
		{"hostile sealed length", edit(48, 255, 255, 255, 255), object.ErrCorrupt},
		{"another kind", seal(t, k, object.Snapshot, []byte("x")), object.ErrCorrupt},
		{"a frame", object.Frame(object.Ledger, bytes.Repeat([]byte{1}, 400)), object.ErrCorrupt},
		{"an empty frame", object.Frame(object.Ledger, nil), object.ErrCorrupt},
		{"nothing", nil, object.ErrCorrupt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plain, err := object.Open(k, object.Ledger, tt.b)
			if !errors.Is(err, tt.want) || plain != nil {
				t.Errorf("got %q, %v; want %v", plain, err, tt.want)
			}
			if errors.Is(err, object.ErrVersion) && errors.Is(err, object.ErrCorrupt) {
				t.Errorf("%v is both damage and progress", err)
			}
		})
	}
	if _, err := object.Unframe(object.Ledger, sealed); !errors.Is(err, object.ErrCorrupt) {
		t.Errorf("unframe what is sealed: %v", err)
	}
	var c *object.CorruptError
	_, err := object.Open(k, object.Ledger, edit(60, 1, 2, 3))
	if !errors.As(err, &c) || c.Kind != object.Ledger || c.Offset != 52 {
		t.Errorf("damage is described as %#v", c)
	}
}

// A plaintext that was sealed with other padding than ours is authentic and still refused: encodings
// are canonical.
func TestPaddingIsCanonical(t *testing.T) {
	k := keyring(t)
	inner := func(n, length int, last byte) []byte {
		b := make([]byte, length)
		b[2], b[3] = byte(n>>8), byte(n)
		b[length-1] = last
		return b
	}
	tests := []struct {
		name  string
		inner []byte
		ok    bool
	}{
		{"ours", inner(10, 256, 0), true},
		{"too much", inner(10, 272, 0), false},
		{"too little", inner(252, 255, 0), false},
		{"unpadded", inner(300, 304, 0), true},
		{"length beyond the end", inner(5000, 256, 0), false},
		{"not zero", inner(10, 256, 1), false},
	}
	for _, tt := range tests {
		_, err := object.Open(k, object.Ledger, object.SealInner(k, object.Ledger, tt.inner, source(2)))
		if (err == nil) != tt.ok || (err != nil && !errors.Is(err, object.ErrCorrupt)) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestReaderErrors(t *testing.T) {
	broken := errors.New("broken")
	r := io.MultiReader(bytes.NewReader(object.Frame(object.Config, make([]byte, 100))), iotest.ErrReader(broken))
	if err := object.CheckReader(r, object.Config); !errors.Is(err, broken) || errors.Is(err, object.ErrCorrupt) {
		t.Errorf("error of the reader became %v", err)
	}
	if _, err := object.Seal(keyring(t), object.Ledger, nil, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("error of the random source became %v", err)
	}
}

func TestPadme(t *testing.T) {
	for _, tt := range []struct{ n, want uint64 }{
		{0, 0}, {1, 1}, {7, 7}, {8, 8}, {9, 10}, {96, 96}, {97, 104}, {256, 256}, {257, 272},
		{5152, 5376}, {1 << 20, 1 << 20}, {1<<20 + 1, 1<<20 + 32<<10}, {64<<20 + 1, 66 << 20},
		{math.MaxUint64, math.MaxUint64}, {math.MaxUint64 - 5, math.MaxUint64}, {1 << 63, 1 << 63},
	} {
		if got := object.Padme(tt.n); got != tt.want {
			t.Errorf("Padme(%d) = %d, want %d", tt.n, got, tt.want)
		}
	}
	last := uint64(0)
	for n := range uint64(1 << 20) {
		p := object.Padme(n)
		if p < n || p < last || object.Padme(p) != p || p-n > n/8 {
			t.Fatalf("Padme(%d) = %d after %d", n, p, last)
		}
		last = p
	}
}

func FuzzFrame(f *testing.F) {
	k := keyring(f)
	f.Add(object.Frame(object.Config, []byte("keepsake")))
	f.Add(object.Frame(object.Epoch, nil))
	f.Add(seal(f, k, object.Snapshot, []byte("x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		// The fuzzer cannot guess checksums, so each input is tried with one that fits as well.
		for _, b := range [][]byte{b, object.Rechecksum(bytes.Clone(b))} {
			for _, kind := range kinds {
				payload, err := object.Unframe(kind, b)
				if err == nil && !bytes.Equal(object.Frame(kind, payload), b) {
					t.Fatalf("%x is not canonical", b)
				}
				if (check(b, kind) != nil) && err == nil {
					t.Fatal("unframed what does not pass the check")
				}
				if plain, err := object.Open(k, kind, b); err == nil && string(plain) != "x" {
					t.Fatalf("forged %q", plain)
				}
			}
		}
	})
}
