package pack_test

import (
	"bytes"
	"errors"
	"testing"

	"keepsake/store/object"
	"keepsake/store/pack"
)

func FuzzEntry(f *testing.F) {
	for _, e := range samples() {
		f.Add(pack.AppendEntry(nil, e))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, rest, err := pack.ParseEntry(b)
		if err != nil {
			if !errors.Is(err, pack.ErrEntry) {
				t.Fatal(err)
			}
			return
		}
		if got := append(pack.AppendEntry(nil, e), rest...); !bytes.Equal(got, b) {
			t.Fatalf("%x becomes %x", b, got)
		}
		checkGeometry(t, e)
	})
}

// checkGeometry checks that the blocks of a valid entry tile its plaintext and its place.
func checkGeometry(t *testing.T, e pack.Entry) {
	if err := e.Validate(); err != nil {
		t.Fatalf("parsed, but invalid: %v", err)
	}
	plain, stored := 0, e.Offset
	for i := range e.Blocks() {
		off, n, storedOff, storedLen := e.Block(i)
		if off != plain || storedOff != stored || n <= 0 || n > pack.FrameSize || storedLen <= 16 {
			t.Fatalf("block %d of %+v: %d+%d at %d+%d", i, e, off, n, storedOff, storedLen)
		}
		plain, stored = off+n, storedOff+uint64(storedLen)
	}
	if plain != int(e.Plain) || stored != e.Offset+uint64(e.Stored) {
		t.Fatalf("blocks of %+v end at %d and %d", e, plain, stored)
	}
}

func FuzzTable(f *testing.F) {
	f.Add(pack.AppendEntries(nil, samples()), uint64(1))
	f.Add(pack.AppendEntries(nil, nil), uint64(0))
	f.Add(append(pack.AppendEntries(nil, samples()[:1]), 0, 0), uint64(5016))
	f.Fuzz(func(t *testing.T, b []byte, body uint64) {
		if entries, err := pack.ParseEntries(b); err == nil {
			if got := pack.AppendEntries(nil, entries); !bytes.Equal(got, b) {
				t.Fatalf("%x becomes %x", b, got)
			}
		} else if !errors.Is(err, pack.ErrEntry) {
			t.Fatal(err)
		}
		entries, err := pack.ParseTable(b, body)
		if err != nil {
			return
		}
		got := pack.AppendEntries(nil, entries)
		got = append(got, make([]byte, int(object.Padme(uint64(len(got))))-len(got))...)
		if !bytes.Equal(got, b) {
			t.Fatalf("table %x becomes %x", b, got)
		}
		end := uint64(pack.HeaderSize)
		for _, e := range entries {
			if e.Offset != end {
				t.Fatalf("entries do not tile the body: %+v", e)
			}
			checkGeometry(t, e)
			end += uint64(e.Stored)
		}
		if end != pack.HeaderSize+body {
			t.Fatalf("entries end at %d of %d", end, body)
		}
	})
}

// FuzzOpenBlock lets the fuzzer choose the index's answer and the disk's bytes. Whatever it chooses,
// only what was sealed may come out, and only for the entry that it was sealed for.
func FuzzOpenBlock(f *testing.F) {
	k := keyring(f)
	p := build(f, k, pack.ID{1}, noise(1, 70000), prose(2, 300000), prose(3, 500))
	o := opener(f, k, p.id)
	for _, e := range p.entries {
		_, _, off, n := e.Block(0)
		f.Add(pack.AppendEntry(nil, e), 0, p.bytes[off:off+uint64(n)])
	}
	f.Fuzz(func(t *testing.T, entry []byte, i int, stored []byte) {
		e, _, err := pack.ParseEntry(entry)
		if err != nil {
			return
		}
		got, err := o.OpenBlock(nil, e, i, stored)
		if err != nil {
			if got != nil || (!errors.Is(err, pack.ErrEntry) && !errors.Is(err, object.ErrCorrupt)) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			return
		}
		if int(e.Number) >= len(p.entries) {
			t.Fatalf("forged %+v", e)
		}
		honest := p.entries[e.Number]
		honest.Offset = e.Offset // where a chunk lies is not sealed, only what it is
		if !bytes.Equal(pack.AppendEntry(nil, honest), pack.AppendEntry(nil, e)) {
			t.Fatalf("forged %+v", e)
		}
		off, n, _, _ := e.Block(i)
		if !bytes.Equal(got, p.plain[e.Number][off:off+n]) {
			t.Fatal("wrong bytes")
		}
	})
}
