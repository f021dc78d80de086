// Package storetest gives tests of other rooms a real repository in a
// temporary directory.
package storetest

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"testing"
	"time"

	"keepsake/crypto"
	"keepsake/store"
	"keepsake/store/backend"
)

// Place is a repository on disk that can be opened again and again.
type Place struct {
	Dir       string // of the repository
	StateBase string
	Backend   *backend.Local
	Secret    crypto.Secret
	Cache     int64            // for Open; 0 means the default
	Now       func() time.Time // for Open; nil means the real clock
	Notices   []string         // said by Open, in order
}

// New makes a repository with a key-file slot, so that no test waits for
// Argon2.
func New(t testing.TB) *Place {
	t.Helper()
	base := t.TempDir()
	p := &Place{Dir: filepath.Join(base, "repository"), StateBase: filepath.Join(base, "state")}
	_, secret, err := crypto.GenerateKeyFile(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.Secret = secret
	if p.Backend, err = backend.CreateLocal(p.Dir, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Create(t.Context(), p.options(), store.Key{Secret: secret, Label: "test"}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *Place) options() store.Options {
	return store.Options{
		Objects:   p.Backend,
		StateBase: p.StateBase,
		Cache:     p.Cache,
		Version:   "test",
		Now:       p.Now,
		Notice:    func(text string) { p.Notices = append(p.Notices, text) },
		Secret:    func(context.Context, []crypto.SlotKind) (crypto.Secret, error) { return p.Secret, nil },
	}
}

// TryOpen opens the repository.
func (p *Place) TryOpen(ctx context.Context) (*store.Repository, error) {
	return store.Open(ctx, p.options())
}

// Open opens the repository and closes it when the test ends.
func (p *Place) Open(t testing.TB) *store.Repository {
	t.Helper()
	r, err := p.TryOpen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("closing the repository: %v", err)
		}
	})
	return r
}
