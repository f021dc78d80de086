package pack_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"keepsake/store/pack"
)

var freeze = flag.Bool("freeze", false, "write the frozen pack of the current format to testdata")

// A change of any of these changes the format: packs in the world would no longer be what the
// program writes. (Compressed chunks are left out: a better compressor is no change of format.)
func TestGolden(t *testing.T) {
	k := keyring(t)
	for _, tt := range []struct {
		name  string
		plain [][]byte
		size  int
		sum   string
	}{
		{"empty", nil, 96, "21ef70fd2bd39d646abbf2c023e191cc7465eff31b5a9beb191f737aa0da1f77"},
		{"one chunk of 5,000 bytes", [][]byte{noise(1, 5000)}, 5376, "7ce6a9a8e1ec362c939b78157dcca6b13872f474f755fcf8662cd141febfc1a8"},
		{"one chunk of 1 MiB", [][]byte{noise(1, 1<<20)}, 1<<20 + 32<<10, "9873895ccf8e44fd662c319b1dc7253c74e73e5b79f4ea74c9bf21d238c86da6"},
		{"several", [][]byte{noise(1, 1), noise(2, 65536), noise(3, 65537), noise(4, 300)}, 135168, "6b811caa34a08e42760968ef16295d1e28073d8fd809d45e8863f66113dee080"},
	} {
		p := build(t, k, pack.ID(bytes.Repeat([]byte{0xa5}, 32)), tt.plain...)
		sum := sha256.Sum256(p.bytes)
		if got := hex.EncodeToString(sum[:]); got != tt.sum || len(p.bytes) != tt.size {
			t.Errorf("%s: %d bytes with SHA-256\n%s, want %d with\n%s", tt.name, len(p.bytes), got, tt.size, tt.sum)
		}
	}
}

// A pack that was written once, compressed chunks included, must stay readable for ever.
func TestFrozen(t *testing.T) {
	k := keyring(t)
	id := pack.ID(bytes.Repeat([]byte{0x5a}, 32))
	plain := [][]byte{noise(1, 700), prose(2, 3000), bytes.Repeat(prose(3, 1000), 300), noise(4, 1)}
	name := filepath.Join("testdata", "version1.pack")
	if *freeze {
		if err := os.WriteFile(name, build(t, k, id, plain...).bytes, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	p := packed{id: id, bytes: b, plain: plain}
	table, err := p.table(k)
	if err != nil {
		t.Fatal(err)
	}
	p.entries = table.Entries
	verify(t, k, p)
	if len(p.entries) != 4 || p.entries[1].Codec != pack.Zstd || len(p.entries[2].Frames) != 2 || table.Padding.Plain == 0 {
		t.Errorf("the frozen pack lacks what it is kept for: %+v", table)
	}
}
