package backendtest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"

	"keepsake/store/backend"
)

func owners[S Staged, B Backend[S]](t *testing.T, open Opener[S, B]) {
	ctx := t.Context()
	stage := func(b B, name string) S {
		s, err := b.Stage(ctx, name)
		must(t, err)
		_, err = s.Write([]byte(name))
		must(t, err)
		return s
	}
	dead := open(t, alice) // a process that will not come back
	leftover := stage(dead, "data/dead")
	b, other := open(t, bob), open(t, alice)
	working := stage(b, "data/b")
	mine := stage(other, "data/a")
	must(t, other.CleanStaged(ctx))
	must(t, other.CleanStaged(ctx))
	if err := dead.Publish(ctx, leftover); err == nil {
		t.Error("a leftover of the same owner was not cleaned")
	}
	must(t, b.Publish(ctx, working))
	must(t, other.Publish(ctx, mine))
	wantAbsent[S](t, b, "data/dead")
	wantObject[S](t, other, "data/b", []byte("data/b"))
	wantObject[S](t, b, "data/a", []byte("data/a"))
}

func cancelled[S Staged, B Backend[S]](t *testing.T, open Opener[S, B]) {
	b := open(t, alice)
	must(t, b.Put(t.Context(), "data/a", []byte("a")))
	s, err := b.Stage(t.Context(), "data/b")
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = b.Stage(ctx, "data/c")
	wantErr(t, "stage", err, context.Canceled)
	wantErr(t, "publish", b.Publish(ctx, s), context.Canceled)
	wantErr(t, "put", b.Put(ctx, "data/c", nil), context.Canceled)
	_, err = b.ReadAt(ctx, "data/a", make([]byte, 1), 0)
	wantErr(t, "read", err, context.Canceled)
	_, err = b.Size(ctx, "data/a")
	wantErr(t, "size", err, context.Canceled)
	wantErr(t, "list", b.List(ctx, "", func(string, int64) error { return nil }), context.Canceled)
	wantErr(t, "remove", b.Remove(ctx, "data/a"), context.Canceled)
	_, _, err = b.Free(ctx)
	wantErr(t, "free", err, context.Canceled)
	if got := listing[S](t, b, ""); len(got) != 1 {
		t.Errorf("listed %v", got)
	}
}

func race[S Staged, B Backend[S]](t *testing.T, open Opener[S, B]) {
	const rivals = 8
	var wg sync.WaitGroup
	errs := make([]error, rivals)
	for i := range rivals {
		b := open(t, [16]byte{byte(i + 1)})
		wg.Go(func() { errs[i] = b.Put(context.Background(), "new/dir/name", content(fmt.Sprint(i), 1000)) })
	}
	wg.Wait()
	winner := -1
	for i, err := range errs {
		if err == nil && winner >= 0 {
			t.Fatal("two publishers were told that one name is theirs")
		}
		if err == nil {
			winner = i
		} else {
			wantErr(t, "loser", err, backend.ErrExists)
		}
	}
	if winner < 0 {
		t.Fatal("nobody won")
	}
	wantObject[S](t, open(t, alice), "new/dir/name", content(fmt.Sprint(winner), 1000))
}

func reads[S Staged, B Backend[S]](t *testing.T, open Opener[S, B]) {
	b := open(t, alice)
	const objects = 150 // more than any pool keeps
	for i := range objects {
		name := fmt.Sprintf("data/%02x/%d", i%4, i)
		must(t, b.Put(t.Context(), name, content(name, 5000)))
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			p := make([]byte, 100)
			for k := range 400 {
				i := (k*31 + g*17) % objects
				name := fmt.Sprintf("data/%02x/%d", i%4, i)
				off := (k * 97) % 4900
				n, err := b.ReadAt(context.Background(), name, p, int64(off))
				if n != 100 || err != nil || !bytes.Equal(p, content(name, 5000)[off:off+100]) {
					t.Errorf("%s at %d: %d, %v", name, off, n, err)
					return
				}
				if k == 200 && g == 0 {
					if err := b.Close(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}
