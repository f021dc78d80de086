package crypto_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"keepsake/crypto"
)

// testdata/frozen holds the keys of a repository as the first version of the format wrote
// them: three slots, two epoch records, and the secrets. HPKE draws its own randomness, so
// these bytes cannot be made again; they can only be opened, by every later version.
// Changing them changes the format. -freeze wrote them and refuses to write them again.
var freeze = flag.Bool("freeze", false, "write testdata/frozen if it does not exist")

const (
	frozenDir        = "testdata/frozen"
	frozenPassphrase = "a frozen passphrase"
)

func TestFrozenKeysOpen(t *testing.T) {
	if *freeze {
		writeFrozen(t)
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(frozenDir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var all []*crypto.Slot
	for _, name := range []string{"slot-passphrase", "slot-keyfile", "slot-recovery"} {
		s, err := crypto.ParseSlot(read(name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, s)
	}
	var epochs []*crypto.EpochRecord
	for _, name := range []string{"epoch-2", "epoch-3"} {
		r, err := crypto.ParseEpochRecord(read(name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		epochs = append(epochs, r)
	}
	file, err := crypto.ParseKeyFile(read("keyfile"))
	if err != nil {
		t.Fatal(err)
	}
	code, err := crypto.ParseRecoveryCode(string(read("recovery-code")))
	if err != nil {
		t.Fatal(err)
	}
	for i, secret := range []crypto.Secret{crypto.Passphrase(frozenPassphrase), file, crypto.Recovery(code)} {
		k, s, err := crypto.Unlock(testRepository, all, epochs, secret)
		if err != nil {
			t.Fatalf("%v: %v", secret.Kind(), err)
		}
		if s != all[i] || k.Newest() != 3 {
			t.Errorf("%v: opened %v in epoch %d", secret.Kind(), s.Label, k.Newest())
		}
		// The masters are 10 … 2f, 30 … 4f and 50 … 6f.
		for e, want := range map[crypto.Epoch]string{
			1: "263aacf0497f6c8eabc601905762535b543f2ea90c17aa5568ef3c0a6c7b7934",
			2: "68a8963206d5affaa50d1050c4e4f2d81b76608a22717e9e6f2c399eeaa11614",
			3: "7d3cda618a7ec51a0acf35425e30101d91bdfb4afcd403e497824c0fd94a28ec",
		} {
			got := k.Subkey("aead/object/snapshot", e, 1)
			expect(t, "sub-key", got[:], want)
		}
		for _, s := range all {
			if err := k.VerifySlot(s); err != nil {
				t.Error(err)
			}
		}
		for _, r := range epochs {
			if err := k.VerifyRecord(r); err != nil {
				t.Error(err)
			}
		}
	}
}

func writeFrozen(t *testing.T) {
	if err := os.MkdirAll(filepath.Dir(frozenDir), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(frozenDir, 0o777); err != nil {
		t.Fatal(err) // it exists: frozen is frozen
	}
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(frozenDir, name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	one, err := crypto.NewKeyring(testRepository, bytes.NewReader(count(0x10, 32)))
	if err != nil {
		t.Fatal(err)
	}
	text, file, err := crypto.GenerateKeyFile(noise(21))
	if err != nil {
		t.Fatal(err)
	}
	code := newCode(t, 22)
	write("keyfile", text)
	write("recovery-code", []byte(code.Printable()+"\n"))

	pass := newSlot(t, one, crypto.Passphrase(frozenPassphrase), "office", noise(23))
	keyfile := newSlot(t, one, file, "", noise(24))
	r2, two, err := one.Rotate([]*crypto.Slot{pass, keyfile}, bytes.NewReader(count(0x30, 32)))
	if err != nil {
		t.Fatal(err)
	}
	recovery := newSlot(t, two, crypto.Recovery(code), "Weber, Büro", noise(25)) // made in epoch 2
	r3, _, err := two.Rotate([]*crypto.Slot{recovery, keyfile, pass}, bytes.NewReader(count(0x50, 32)))
	if err != nil {
		t.Fatal(err)
	}
	write("slot-passphrase", marshal(t, pass))
	write("slot-keyfile", marshal(t, keyfile))
	write("slot-recovery", marshal(t, recovery))
	write("epoch-2", marshal(t, r2))
	write("epoch-3", marshal(t, r3))
}
