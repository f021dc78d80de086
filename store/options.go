package store

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"time"

	"keepsake/crypto"
)

// Options says where a repository lies and how to open it. Objects, StateBase
// and Secret are required.
type Options struct {
	// Objects is where the repository's objects lie.
	Objects objects
	// StateBase is the directory under which each repository has a state
	// directory of its own.
	StateBase string
	// Wait is how long to wait for another owner of the state to end.
	Wait time.Duration
	// Secret returns what opens a key slot. It is called once, after the state
	// is owned, with the kinds of slots that exist.
	Secret func(ctx context.Context, kinds []crypto.SlotKind) (crypto.Secret, error)
	// Cache bounds the memory for decrypted data, in bytes; 0 means 32 MiB:
	// enough for a few streams of video at once, little on a NAS.
	Cache int64
	// Version of the program, kept in what it writes.
	Version string
	// Notice is told, in a sentence for people, what opening had to mend.
	Notice func(string)
	Log    *slog.Logger
	Now    func() time.Time
	Rand   io.Reader
}

const defaultCache = 32 << 20

func (o Options) withDefaults() Options {
	if o.Cache == 0 {
		o.Cache = defaultCache
	}
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return o
}
