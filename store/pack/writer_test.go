package pack_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keepsake/crypto"
	"keepsake/store/object"
	"keepsake/store/pack"
)

// The negative control of verification: whatever bit flips between sealing and writing, Add or Close
// notices, nothing afterwards succeeds, and no pack comes about.
func TestVerificationCatchesFlippedBits(t *testing.T) {
	k := keyring(t)
	contents := [][]byte{noise(1, 200000), prose(2, 600000)}
	total := 0
	run := func(at int, flip func(segment []byte)) error {
		var out bytes.Buffer
		w, err := pack.NewWriter(&out, k, object.DataPack, pack.ID{1})
		if err != nil {
			t.Fatal(err)
		}
		total = 0
		w.Tamper(func(segment []byte) {
			if total == at {
				flip(segment)
			}
			total++
		})
		var failed error
		for _, plain := range contents {
			_, err := w.Add(crypto.ChunkID{1}, pack.Data, plain)
			if failed != nil && err == nil {
				t.Errorf("segment %d: a chunk was added to a failed pack", at)
			}
			failed = errors.Join(failed, err)
		}
		entries, _, err := w.Close()
		if failed != nil && (err == nil || entries != nil) {
			t.Errorf("segment %d: a failed pack was closed", at)
		}
		return errors.Join(failed, err)
	}
	if err := run(-1, nil); err != nil {
		t.Fatal(err)
	}
	segments := total
	if segments < 4+3+1+1 {
		t.Fatalf("only %d segments", segments)
	}
	for at := range segments {
		for name, flip := range map[string]func([]byte){
			"first bit": func(b []byte) { b[0] ^= 1 },
			"last bit":  func(b []byte) { b[len(b)-1] ^= 0x80 },
			"middle":    func(b []byte) { b[len(b)/2] ^= 0x10 },
		} {
			if err := run(at, flip); !errors.Is(err, pack.ErrVerify) {
				t.Errorf("segment %d, %s: %v", at, name, err)
			}
		}
	}
	// Sealed from a wrong byte, a segment authenticates all the same; only comparing tells.
	if err := run(2, func([]byte) { contents[0][2*pack.SegmentSize+5] ^= 1 }); !errors.Is(err, pack.ErrVerify) {
		t.Errorf("plaintext flipped: %v", err)
	}
}

func TestVerificationCatchesWrongFrames(t *testing.T) {
	plain := prose(1, 600000)
	if !pack.Inflates(plain, func([]byte) {}) {
		t.Fatal("good frames are refused")
	}
	for at := 0; at < 600000; at += 59999 {
		flip := func([]byte) { plain[at] ^= 1 }
		if pack.Inflates(plain, flip) {
			t.Errorf("byte %d differs from what was compressed", at)
		}
		flip(nil)
	}
}

// slowWriter lets other goroutines overtake the one that writes.
type slowWriter struct {
	bytes.Buffer
	size atomic.Int64
}

func (w *slowWriter) Write(p []byte) (int, error) {
	time.Sleep(50 * time.Microsecond)
	n, err := w.Buffer.Write(p)
	w.size.Add(int64(n))
	return n, err
}

func TestConcurrentAdd(t *testing.T) {
	k := keyring(t)
	var out slowWriter
	w, err := pack.NewWriter(&out, k, object.DataPack, pack.ID{1})
	if err != nil {
		t.Fatal(err)
	}
	const workers, each = 8, 25
	sizes := []int{1, 700, 5000, 65536, 70000, 300000, 1 << 20, 3 << 20}
	plain := make([][]byte, workers*each)
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for i := range each {
				content := noise
				if i%2 == 0 {
					content = prose
				}
				p := content(byte(worker*each+i), sizes[(worker+i)%len(sizes)])
				e, err := w.Add(crypto.ChunkID{byte(worker), byte(i)}, pack.Data, p)
				if err != nil {
					t.Error(err)
					return
				}
				plain[e.Number] = p // numbers are unique, or the race detector speaks
				if behind := w.Size() - out.size.Load(); behind > pack.MaxBehind+9<<20 {
					t.Errorf("%d bytes behind", behind)
				}
			}
		})
	}
	wg.Wait()
	entries, size, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if w.Count() != workers*each || len(entries) != workers*each || size != int64(out.Len()) {
		t.Fatalf("%d entries, %d bytes of %d", len(entries), size, out.Len())
	}
	o := opener(t, k, pack.ID{1})
	var wg2 sync.WaitGroup
	for part := range slices.Chunk(entries, 50) {
		wg2.Go(func() {
			for _, e := range part {
				got, err := o.OpenChunk(nil, e, out.Bytes()[e.Offset:e.Offset+uint64(e.Stored)])
				if err != nil || !bytes.Equal(got, plain[e.Number]) {
					t.Errorf("chunk %d: %v", e.Number, err)
				}
			}
		})
	}
	wg2.Wait()
	if err := pack.Scrub(&out.Buffer, size, pack.ID{1}); err != nil {
		t.Error(err)
	}
}

// failingWriter fails its call number at, counted from 0.
type failingWriter struct {
	at  int
	err error
}

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.at--; w.at < 0 {
		return 0, w.err
	}
	return len(p), nil
}

func TestFailingWriter(t *testing.T) {
	k := keyring(t)
	full := errors.New("no space")
	for at := range 1 << 10 {
		out := &failingWriter{at: at, err: full}
		w, err := pack.NewWriter(out, k, object.DataPack, pack.ID{1})
		if err != nil {
			if !errors.Is(err, full) || w != nil {
				t.Fatal(err)
			}
			continue
		}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for range 5 {
					if _, err := w.Add(crypto.ChunkID{}, pack.Data, noise(byte(i), 90000)); err != nil && !errors.Is(err, full) {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		entries, size, err := w.Close()
		if out.at >= 0 { // it had no occasion to fail
			if err != nil || len(entries) != 20 {
				t.Fatal(err)
			}
			return
		}
		if !errors.Is(err, full) || entries != nil || size != 0 {
			t.Fatalf("write %d failed, Close returned %d entries, %v", at, len(entries), err)
		}
	}
	t.Fatal("a pack takes more than a thousand writes")
}

// Close while chunks are being sealed waits for them.
func TestCloseWaits(t *testing.T) {
	k := keyring(t)
	var out slowWriter
	w, err := pack.NewWriter(&out, k, object.DataPack, pack.ID{1})
	if err != nil {
		t.Fatal(err)
	}
	var added atomic.Int32
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if _, err := w.Add(crypto.ChunkID{byte(i)}, pack.Data, noise(byte(i), 1<<20)); err == nil {
				added.Add(1)
			} else if !errors.Is(err, pack.ErrClosed) {
				t.Error(err)
			}
		})
	}
	for w.Count() == 0 {
		time.Sleep(time.Millisecond)
	}
	entries, size, err := w.Close()
	wg.Wait()
	if err != nil || len(entries) != int(added.Load()) {
		t.Fatalf("%d entries of %d chunks: %v", len(entries), added.Load(), err)
	}
	visit := func(_ pack.Entry, _ []byte, err error) error { return err }
	if _, err := pack.Check(bytes.NewReader(out.Bytes()), size, k, pack.ID{1}, visit); err != nil {
		t.Error(err)
	}
}

func TestCheckStopsWhenAsked(t *testing.T) {
	k := keyring(t)
	p := small(t, k)
	calls := 0
	_, err := pack.Check(bytes.NewReader(p.bytes), int64(len(p.bytes)), k, p.id, func(pack.Entry, []byte, error) error {
		calls++
		return io.EOF
	})
	if err != io.EOF || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}
