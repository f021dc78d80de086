package crypto_test

import (
	"bytes"
	"strings"
	"testing"

	"keepsake/crypto"
)

func marshal(t testing.TB, v interface{ MarshalBinary() ([]byte, error) }) []byte {
	t.Helper()
	b, err := v.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzParseSlot(f *testing.F) {
	k := newKeyring(f)
	f.Add(marshal(f, keyFileSlot(f, k, "").slot))
	f.Add(marshal(f, keyFileSlot(f, k, "Büro").slot))
	f.Add(marshal(f, hostilePassphraseSlot(f, k, 64<<10, 3, 4)))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := crypto.ParseSlot(b)
		if err != nil {
			if s != nil {
				t.Fatal("a slot beside an error")
			}
			return
		}
		if got := marshal(t, s); !bytes.Equal(got, b) {
			t.Fatalf("parsed and marshalled: %x, was %x", got, b)
		}
	})
}

func FuzzParseEpochRecord(f *testing.F) {
	k := newKeyring(f)
	a, b := keyFileSlot(f, k, "a"), keyFileSlot(f, k, "b")
	r, k := rotate(f, k, a.slot, b.slot)
	f.Add(marshal(f, r))
	r, _ = rotate(f, k, b.slot)
	f.Add(marshal(f, r))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := crypto.ParseEpochRecord(b)
		if err != nil {
			if r != nil {
				t.Fatal("a record beside an error")
			}
			return
		}
		if got := marshal(t, r); !bytes.Equal(got, b) {
			t.Fatalf("parsed and marshalled: %x, was %x", got, b)
		}
	})
}

func FuzzParseRecoveryCode(f *testing.F) {
	f.Add(vectorCode)
	f.Add(strings.ToLower(newCode(f, 7).Printable()))
	f.Add(strings.ReplaceAll(newCode(f, 8).Printable(), "-", "\u2013"))
	canonical := strings.NewReplacer("O", "0", "I", "1", "L", "1")
	f.Fuzz(func(t *testing.T, typed string) {
		c, err := crypto.ParseRecoveryCode(typed)
		if err != nil {
			if c != (crypto.RecoveryCode{}) {
				t.Fatal("a code beside an error")
			}
			return
		}
		// What remains of the text without separators is the code, and nothing else is.
		letters := strings.Map(func(r rune) rune {
			if r < 128 && (r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z') {
				return r
			}
			return -1
		}, typed)
		want := canonical.Replace(strings.ToUpper(letters))
		if got := strings.ReplaceAll(c.Printable(), "-", ""); got != want {
			t.Fatalf("%q became %s", typed, got)
		}
		if again, err := crypto.ParseRecoveryCode(c.Printable()); err != nil || again != c {
			t.Fatalf("%s does not parse to itself: %v", c.Printable(), err)
		}
	})
}

func FuzzParseKeyFile(f *testing.F) {
	f.Add([]byte(vectorKeyFile))
	f.Add([]byte("\t" + strings.TrimSpace(vectorKeyFile) + "\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := crypto.ParseKeyFile(text)
		if err != nil {
			if s != (crypto.Secret{}) {
				t.Fatal("a secret beside an error")
			}
			return
		}
		if got, want := s.KeyFileText(), append(bytes.Trim(text, " \t\r\n"), '\n'); !bytes.Equal(got, want) {
			t.Fatalf("parsed and written: %q, was %q", got, text)
		}
	})
}
