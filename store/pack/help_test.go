package pack_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/zeebo/xxh3"

	"keepsake/crypto"
	"keepsake/store/object"
	"keepsake/store/pack"
)

// source returns a deterministic stream of random-looking bytes.
func source(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

// noise returns n incompressible bytes.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	io.ReadFull(source(seed), b)
	return b
}

// prose returns n bytes that compress, yet differ everywhere.
func prose(seed byte, n int) []byte {
	words := []string{"wedding ", "portrait ", "raw ", "catalogue ", "exposure ", "lens ", "card ", "client "}
	r := rand.New(rand.NewChaCha8([32]byte{seed}))
	b := make([]byte, 0, n+16)
	for len(b) < n {
		b = append(b, words[r.IntN(len(words))]...)
		if r.IntN(4) == 0 {
			b = append(b, byte(r.Uint32()))
		}
	}
	return b[:n]
}

func keyring(t testing.TB) *crypto.Keyring {
	t.Helper()
	k, err := crypto.NewKeyring(crypto.RepositoryID{1, 2, 3}, source(1))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// packed is a finished pack and what went into it.
type packed struct {
	id      pack.ID
	bytes   []byte
	entries []pack.Entry
	plain   [][]byte
}

// chunkType gives the chunks of a test pack all types in turn.
func chunkType(i int) pack.ChunkType { return pack.ChunkType(i%4 + 1) }

func build(t testing.TB, k *crypto.Keyring, id pack.ID, plain ...[]byte) packed {
	t.Helper()
	var out bytes.Buffer
	w, err := pack.NewWriter(&out, k, object.DataPack, id)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range plain {
		if _, err := w.Add(k.ChunkID(byte(chunkType(i)), p), chunkType(i), p); err != nil {
			t.Fatal(err)
		}
	}
	entries, size, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if size != int64(out.Len()) {
		t.Fatalf("Close says %d bytes, %d were written", size, out.Len())
	}
	return packed{id: id, bytes: out.Bytes(), entries: entries, plain: plain}
}

func (p packed) table(k *crypto.Keyring) (*pack.Table, error) {
	return pack.ReadTable(bytes.NewReader(p.bytes), int64(len(p.bytes)), k, p.id)
}

func (p packed) stored(e pack.Entry) []byte { return p.bytes[e.Offset : e.Offset+uint64(e.Stored)] }

func opener(t testing.TB, k *crypto.Keyring, id pack.ID) *pack.Opener {
	t.Helper()
	o, err := pack.NewOpener(k, object.DataPack, k.Newest(), id)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// fit gives b the checksum that its other bytes have.
func fit(b []byte) {
	sum := xxh3.Hash128(b[:len(b)-object.ChecksumSize]).Bytes()
	copy(b[len(b)-object.ChecksumSize:], sum[:])
}
