package fusefs_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"keepsake/fusefs"
	"keepsake/store"
)

func TestEveryOperationEnds(t *testing.T) {
	never := func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }
	soon := func(context.Context) (int, error) { time.Sleep(500 * time.Millisecond); return 7, nil }
	interrupted, cancel := context.WithCancel(context.Background())
	cancel()
	for _, test := range []struct {
		name    string
		request context.Context
		op      func(context.Context) (int, error)
		value   int
		err     error
		took    time.Duration
	}{
		{"a repository that hangs", context.Background(), never, 0, fusefs.ErrTooSlow, 25 * time.Second},
		{"one that is only slow", context.Background(), soon, 7, nil, 500 * time.Millisecond},
		{"interrupted and slow", interrupted, soon, 7, nil, 500 * time.Millisecond},
		{"interrupted and hanging", interrupted, never, 0, fusefs.ErrInterrupted, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				value, err := fusefs.Within(test.request, 0, test.op)
				if value != test.value || !errors.Is(err, test.err) || time.Since(begun) != test.took {
					t.Errorf("%d, %v after %v", value, err, time.Since(begun))
				}
			})
		})
	}
	_, err := fusefs.Within(t.Context(), 0, func(context.Context) (int, error) { panic("a bug") })
	if fusefs.Errno(err) != syscall.EIO {
		t.Errorf("a panic became %v", err)
	}
}

// TestHangingRepository lets operations hang one after the other: the second
// need not wait as long as the first, until one ends, and when many hang no
// more are begun.
func TestHangingRepository(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		within := fusefs.Withins(t)
		release := make(chan struct{})
		hang := func(context.Context) (int, error) { <-release; return 1, nil }
		takes := func(what string, op func(context.Context) (int, error), want time.Duration, wantErr error) {
			t.Helper()
			begun := time.Now()
			if _, err := within(op); !errors.Is(err, wantErr) || time.Since(begun) != want {
				t.Errorf("%s: %v after %v, want %v after %v", what, err, time.Since(begun), wantErr, want)
			}
		}
		at := func(context.Context) (int, error) { return 2, nil }
		takes("the first that hangs", hang, 25*time.Second, fusefs.ErrTooSlow)
		takes("the second", hang, 2*time.Second, fusefs.ErrTooSlow)
		takes("one that ends", at, 0, nil)
		takes("the first that hangs again", hang, 25*time.Second, fusefs.ErrTooSlow)
		for range fusefs.MaxStuck - 3 {
			takes("another", hang, 2*time.Second, fusefs.ErrTooSlow)
		}
		takes("one too many", func(context.Context) (int, error) {
			t.Error("it was begun")
			return 0, nil
		}, 0, fusefs.ErrTooSlow)
		close(release)
		synctest.Wait()
		takes("one after that", at, 0, nil)
	})
}

func TestErrno(t *testing.T) {
	for _, test := range []struct {
		err  error
		want syscall.Errno
	}{
		{nil, 0},
		{fs.ErrNotExist, syscall.ENOENT},
		{fmt.Errorf("x: %w", fs.ErrNotExist), syscall.ENOENT},
		{&store.DamageError{Err: fs.ErrNotExist}, syscall.EIO},
		{fmt.Errorf("x: %w", &store.DamageError{Err: syscall.ENOENT}), syscall.EIO},
		{fmt.Errorf("x: %w", errors.New("anything")), syscall.EIO},
		{fmt.Errorf("x: %w", syscall.ENOSYS), syscall.EIO},
		{fmt.Errorf("x: %w", syscall.ENOTSUP), syscall.EIO},
		{context.Canceled, syscall.EIO},
		{fusefs.ErrTooSlow, syscall.EIO},
		{fusefs.ErrInterrupted, syscall.EINTR},
	} {
		if got := fusefs.Errno(test.err); got != test.want {
			t.Errorf("%v became %v, want %v", test.err, got, test.want)
		}
	}
}
