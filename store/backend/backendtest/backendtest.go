// Package backendtest holds a backend to the storage contract that package
// backend states. Every backend runs it; what only a directory can do or
// suffer is tested beside that backend.
package backendtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"keepsake/store/backend"
)

// Staged is what a backend hands out for an object being written.
type Staged interface {
	io.Writer
	Name() string
	Size() int64
	Discard() error
}

// Backend is the whole contract, hence more methods than any one consumer
// should ask for.
type Backend[S Staged] interface {
	Stage(ctx context.Context, name string) (S, error)
	Publish(ctx context.Context, staged ...S) error
	Put(ctx context.Context, name string, data []byte) error
	ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error)
	Size(ctx context.Context, name string) (int64, error)
	List(ctx context.Context, prefix string, fn func(name string, size int64) error) error
	Remove(ctx context.Context, names ...string) error
	SyncNames(ctx context.Context, names ...string) error
	CleanStaged(ctx context.Context) error
	Free(ctx context.Context) (free, total uint64, err error)
	Close() error
}

// Opener opens one place once more on behalf of an owner; handles on the same
// place stand for separate processes.
type Opener[S Staged, B Backend[S]] func(t *testing.T, owner [16]byte) B

// Run runs the suite. fresh makes a new empty place that lives as long as t.
func Run[S Staged, B Backend[S]](t *testing.T, fresh func(t *testing.T) Opener[S, B]) {
	tests := []struct {
		name string
		run  func(t *testing.T, open Opener[S, B])
	}{
		{"publish", publish[S, B]},
		{"batch", batch[S, B]},
		{"immutable", immutable[S, B]},
		{"consumed", consumed[S, B]},
		{"names", names[S, B]},
		{"list", list[S, B]},
		{"remove", remove[S, B]},
		{"sync names", syncNames[S, B]},
		{"owners", owners[S, B]},
		{"cancelled", cancelled[S, B]},
		{"race for a name", race[S, B]},
		{"concurrent reads", reads[S, B]},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, fresh(t)) })
	}
}

var (
	alice = [16]byte{0xa1}
	bob   = [16]byte{0xb0}
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got %v, want %v", what, err, target)
	}
}

// content is different for each name and size.
func content(name string, size int) []byte {
	seed := sha256.Sum256([]byte(name))
	return bytes.Repeat(seed[:], size/len(seed)+1)[:size]
}

func wantObject[S Staged, B Backend[S]](t *testing.T, b B, name string, want []byte) {
	t.Helper()
	size, err := b.Size(t.Context(), name)
	if err != nil || size != int64(len(want)) {
		t.Errorf("size of %s: %d, %v; want %d", name, size, err, len(want))
		return
	}
	got := make([]byte, len(want)+1)
	n, err := b.ReadAt(t.Context(), name, got, 0)
	if err != io.EOF || !bytes.Equal(got[:n], want) {
		t.Errorf("%s: %d bytes, %v; want %d bytes and io.EOF", name, n, err, len(want))
	}
}

func wantAbsent[S Staged, B Backend[S]](t *testing.T, b B, name string) {
	t.Helper()
	_, err := b.Size(t.Context(), name)
	wantErr(t, "size of absent "+name, err, fs.ErrNotExist)
	_, err = b.ReadAt(t.Context(), name, make([]byte, 1), 0)
	wantErr(t, "read of absent "+name, err, fs.ErrNotExist)
}

// namer is a backend that lists names more cheaply than sizes.
type namer interface {
	Names(ctx context.Context, prefix string, fn func(name string) error) error
}

func listing[S Staged, B Backend[S]](t *testing.T, b B, prefix string) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	must(t, b.List(t.Context(), prefix, func(name string, size int64) error {
		if _, twice := out[name]; twice {
			t.Errorf("%s listed twice", name)
		}
		out[name] = size
		return nil
	}))
	if n, ok := any(b).(namer); ok {
		named := map[string]int64{}
		must(t, n.Names(t.Context(), prefix, func(name string) error {
			named[name] = out[name]
			return nil
		}))
		if !maps.Equal(named, out) {
			t.Errorf("prefix %q: names %v, listed with sizes %v", prefix, named, out)
		}
	}
	return out
}

func publish[S Staged, B Backend[S]](t *testing.T, open Opener[S, B]) {
	b, other := open(t, alice), open(t, bob)
	ctx := t.Context()
	wantAbsent[S](t, b, "data/00/none")
	for _, size := range []int{0, 1, 4096, 20<<20 + 7} { // beyond every write-behind window
		name := fmt.Sprintf("data/ab/%d", size)
		want := content(name, size)
		s, err := b.Stage(ctx, name)
		must(t, err)
		for part := range slices.Chunk(want, 1<<20+1) {
			n, err := s.Write(part)
			if n != len(part) || err != nil {
				t.Fatalf("write: %d, %v", n, err)
			}
		}
		if s.Name() != name || s.Size() != int64(size) {
			t.Errorf("staged %q with %d bytes", s.Name(), s.Size())
		}
		wantAbsent[S](t, b, name)
		wantAbsent[S](t, other, name)
		must(t, b.Publish(ctx, s))
		wantObject[S](t, b, name, want)
		wantObject[S](t, other, name, want)
	}
	p := make([]byte, 10)
	want := content("data/ab/4096", 4096)
	if n, err := b.ReadAt(ctx, "data/ab/4096", p, 4090); n != 6 || err != io.EOF || !bytes.Equal(p[:6], want[4090:]) {
		t.Errorf("read across the end: %d, %v", n, err)
	}
	if n, err := b.ReadAt(ctx, "data/ab/4096", p, 5000); n != 0 || err != io.EOF {
		t.Errorf("read beyond the end: %d, %v", n, err)
	}
	if n, err := b.ReadAt(ctx, "data/ab/4096", p, 100); n != 10 || err != nil || !bytes.Equal(p, want[100:110]) {
		t.Errorf("read in the middle: %d, %v", n, err)
	}
	if _, err := b.ReadAt(ctx, "data/ab/4096", p, -1); err == nil {
		t.Error("negative offset accepted")
	}
	if free, total, err := b.Free(ctx); err != nil || free > total {
		t.Errorf("free: %d of %d, %v", free, total, err)
	}
	must(t, b.Close())
	wantObject[S](t, b, "data/ab/1", content("data/ab/1", 1))
}

func batch[S Staged, B Backend[S]](t *testing.T, open Opener[S, B]) {
	b := open(t, alice)
	must(t, b.Publish(t.Context()))
	var staged []S
	for _, name := range []string{"config", "data/ab/x", "data/cd/y", "snapshots/z"} {
		s, err := b.Stage(t.Context(), name)
		must(t, err)
		_, err = s.Write(content(name, 100))
		must(t, err)
		staged = append(staged, s)
	}
	must(t, b.Publish(t.Context(), staged...))
	for _, s := range staged {
		wantObject[S](t, b, s.Name(), content(s.Name(), 100))
		must(t, s.Discard())
		wantObject[S](t, b, s.Name(), content(s.Name(), 100))
	}
}

func immutable[S Staged, B Backend[S]](t *testing.T, open Opener[S, B]) {
	b, other := open(t, alice), open(t, bob)
	ctx := t.Context()
	must(t, b.Put(ctx, "snapshots/a", []byte("first")))
	for _, data := range []string{"second", "first", ""} {
		wantErr(t, "put over an object", b.Put(ctx, "snapshots/a", []byte(data)), backend.ErrExists)
		wantErr(t, "put by another", other.Put(ctx, "snapshots/a", []byte(data)), backend.ErrExists)
	}
	one, err := b.Stage(ctx, "snapshots/twice")
	must(t, err)
	two, err := b.Stage(ctx, "snapshots/twice")
	must(t, err)
	wantErr(t, "two of one name", b.Publish(ctx, one, two), backend.ErrExists)
	wantObject[S](t, b, "snapshots/a", []byte("first"))
	if got := listing[S](t, b, ""); len(got) != 1 {
		t.Errorf("listed %v", got)
	}
}

func consumed[S Staged, B Backend[S]](t *testing.T, open Opener[S, B]) {
	b := open(t, alice)
	ctx := t.Context()
	s, err := b.Stage(ctx, "data/a")
	must(t, err)
	_, err = s.Write([]byte("x"))
	must(t, err)
	must(t, s.Discard())
	must(t, s.Discard())
	_, err = s.Write([]byte("x"))
	wantErr(t, "write after discard", err, backend.ErrConsumed)
	wantErr(t, "publish after discard", b.Publish(ctx, s), backend.ErrConsumed)
	wantAbsent[S](t, b, "data/a")

	s, err = b.Stage(ctx, "data/a")
	must(t, err)
	must(t, b.Publish(ctx, s))
	fresh, err := b.Stage(ctx, "data/b")
	must(t, err)
	wantErr(t, "publish again", b.Publish(ctx, fresh, s), backend.ErrConsumed)
	wantAbsent[S](t, b, "data/b")
	_, err = fresh.Write([]byte("x"))
	wantErr(t, "write after a failed publish", err, backend.ErrConsumed)
}

func names[S Staged, B Backend[S]](t *testing.T, open Opener[S, B]) {
	b := open(t, alice)
	ctx := t.Context()
	for _, name := range []string{
		"", ".", "..", "../a", "/a", "a/", "a//b", "a/../b", "a/./b", "./a", "a/..", "a\x00b", "a\\b", "A", "a b", "a\nb", "é",
		".hidden", "a/.hidden", "tmp", "tmp/a", "a.tmp", "data/a.tmp", "~", "a:b", "-/../..", "a/b/c/d/e/f/g/h/i",
		strings.Repeat("a", 129), strings.Repeat("a/", 128) + "a",
	} {
		_, err := b.Stage(ctx, name)
		wantErr(t, fmt.Sprintf("stage %q", name), err, backend.ErrName)
		wantErr(t, fmt.Sprintf("put %q", name), b.Put(ctx, name, nil), backend.ErrName)
		_, err = b.ReadAt(ctx, name, make([]byte, 1), 0)
		wantErr(t, fmt.Sprintf("read %q", name), err, backend.ErrName)
		_, err = b.Size(ctx, name)
		wantErr(t, fmt.Sprintf("size %q", name), err, backend.ErrName)
		wantErr(t, fmt.Sprintf("remove %q", name), b.Remove(ctx, name), backend.ErrName)
	}
	for _, prefix := range []string{"/", "..", "../", "a/../", "a//", "tmp/", "A"} {
		err := b.List(ctx, prefix, func(string, int64) error { return nil })
		wantErr(t, fmt.Sprintf("list %q", prefix), err, backend.ErrName)
	}
	for _, name := range []string{"a", "0", "config.2", "a/b/c/d/e/f/g/h", "x_y-z", "tmpx", "a/tmp", strings.Repeat("a", 128)} {
		if name == "a/b/c/d/e/f/g/h" || name == "a/tmp" {
			name = "n" + name // "a" is a file by now
		}
		must(t, b.Put(ctx, name, []byte(name)))
		wantObject[S](t, b, name, []byte(name))
	}
}

func list[S Staged, B Backend[S]](t *testing.T, open Opener[S, B]) {
	b := open(t, alice)
	ctx := t.Context()
	if got := listing[S](t, b, ""); len(got) != 0 {
		t.Errorf("a fresh place lists %v", got)
	}
	all := map[string]int64{"config": 1, "data/aa/1": 2, "data/aa/2": 3, "data/ab/1": 4, "snapshots/1": 5, "database": 6}
	for name, size := range all {
		must(t, b.Put(ctx, name, content(name, int(size))))
	}
	pending, err := b.Stage(ctx, "data/aa/3")
	must(t, err)
	defer pending.Discard()
	for _, prefix := range []string{"", "data/", "data", "data/a", "data/aa", "data/aa/", "data/aa/1", "d", "config", "zzz", "zzz/", "data/zz/", "snapshots/"} {
		want := maps.Clone(all)
		maps.DeleteFunc(want, func(name string, _ int64) bool { return !strings.HasPrefix(name, prefix) })
		if got := listing[S](t, b, prefix); !maps.Equal(got, want) {
			t.Errorf("prefix %q: got %v, want %v", prefix, got, want)
		}
	}
	stop := errors.New("stop")
	calls := 0
	err = b.List(ctx, "", func(string, int64) error { calls++; return stop })
	if err != stop || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
	err = b.List(ctx, "data/", func(string, int64) error { return fs.ErrNotExist })
	if err != fs.ErrNotExist {
		t.Errorf("the callback's own error came as %v", err)
	}
	must(t, b.List(ctx, "data/", func(name string, _ int64) error { return b.Remove(ctx, name) }))
	if got := listing[S](t, b, "data/"); len(got) != 0 {
		t.Errorf("after removal: %v", got)
	}
}

func remove[S Staged, B Backend[S]](t *testing.T, open Opener[S, B]) {
	b := open(t, alice)
	ctx := t.Context()
	for _, name := range []string{"data/aa/1", "data/aa/2", "data/ab/1"} {
		must(t, b.Put(ctx, name, content(name, 10)))
		wantObject[S](t, b, name, content(name, 10))
	}
	must(t, b.Remove(ctx))
	must(t, b.Remove(ctx, "data/aa/1", "data/none/1", "data/ab/1", "none", "data/aa/1"))
	wantAbsent[S](t, b, "data/aa/1")
	wantAbsent[S](t, b, "data/ab/1")
	wantObject[S](t, b, "data/aa/2", content("data/aa/2", 10))
	// A name that has been read, removed and given again shows the new bytes.
	must(t, b.Put(ctx, "data/aa/1", []byte("again")))
	wantObject[S](t, b, "data/aa/1", []byte("again"))
}

func syncNames[S Staged, B Backend[S]](t *testing.T, open Opener[S, B]) {
	b, other := open(t, alice), open(t, bob)
	ctx := t.Context()
	for _, name := range []string{"config", "data/aa/1", "data/ab/1", "snapshots/1"} {
		must(t, b.Put(ctx, name, content(name, 10)))
	}
	must(t, other.SyncNames(ctx))
	for range 2 {
		must(t, other.SyncNames(ctx, "data/aa/1", "config", "data/ab/1", "data/aa/1", "snapshots/1"))
	}
	must(t, other.SyncNames(ctx, "data/aa/none")) // removed since it was seen
	wantObject[S](t, b, "data/aa/1", content("data/aa/1", 10))
	wantErr(t, "sync of a bad name", other.SyncNames(ctx, "config", "../a"), backend.ErrName)
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	wantErr(t, "sync, cancelled", other.SyncNames(ctx, "config"), context.Canceled)
}
