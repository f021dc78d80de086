package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"keepsake/chunking"
	"keepsake/crypto"
	"keepsake/store/index"
	"keepsake/store/pack"
	"keepsake/store/state"
	"keepsake/store/tree"
)

// Repository is an open repository, together with this writer's state and
// index. It is safe for concurrent use.
type Repository struct {
	options  Options
	objects  objects
	keys     *crypto.Keyring
	settings *tree.Settings
	state    *state.DB
	index    *index.DB
	now      func() time.Time
	rand     io.Reader

	manifests manifests
	briefs    briefs
	ledger    *Ledger
	cache     *cache
	openers   openers
	buffers   buffers

	writing   chan struct{} // holds a token while a Writer is open
	mending   sync.Mutex    // held while packs are taken up
	adopted   time.Time     // last time; guarded by mending
	reindexed bool          // this session; guarded by mending
	// condemned holds the records in condemned/ that were applied, gone the
	// packs that they condemn; both guarded by mending.
	condemned map[[32]byte]bool
	gone      map[pack.ID]bool
}

// StateDir is the state directory of a repository under base.
func StateDir(base string, id crypto.RepositoryID) string {
	return filepath.Join(base, hex.EncodeToString(id[:]))
}

// Open opens the repository behind o.Objects: it takes ownership of the state
// directory, asks for a secret, and mends index and state if they are missing
// or damaged. Errors: ErrNoRepository, ErrConfigMissing, *state.OwnedError, crypto.ErrWrongSecret,
// state.ErrPinned, state.ErrRolledBack.
func Open(ctx context.Context, o Options) (*Repository, error) {
	o = o.withDefaults()
	c, bad, err := readConfig(ctx, o.Objects)
	if err != nil {
		return nil, err
	}
	if bad != "" {
		o.Notice(fmt.Sprintf("one of the two copies of %s is damaged or missing; the other was used", bad))
	}
	st, err := state.Open(StateDir(o.StateBase, c.id), o.Wait)
	if err != nil {
		return nil, err
	}
	r, err := openWith(ctx, o, c, st)
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return r, nil
}

func openWith(ctx context.Context, o Options, c config, st *state.DB) (*Repository, error) {
	keys, err := unlock(ctx, o, c.id)
	if err != nil {
		return nil, err
	}
	settings, err := c.openSettings(keys)
	if err != nil {
		return nil, fmt.Errorf("opening the repository's settings: %w", err)
	}
	if err := st.Pin(keys); err != nil {
		return nil, err
	}
	if st.SetAside() != "" {
		o.Notice(fmt.Sprintf("the state was damaged and is kept as %s; a new one was begun: the next backup reads everything once and starts a new chain", st.SetAside()))
	}
	r := newRepository(o, keys, settings, st)
	if s, ok := o.Objects.(stager); ok {
		s.SetOwner(st.Writer())
	}
	if err := r.openIndex(ctx); err != nil {
		return nil, err
	}
	if err := r.checkHeads(ctx); err != nil {
		return nil, errors.Join(err, r.index.Close())
	}
	return r, nil
}

func newRepository(o Options, keys *crypto.Keyring, settings *tree.Settings, st *state.DB) *Repository {
	return &Repository{
		options: o, objects: o.Objects, keys: keys, settings: settings, state: st,
		now: o.Now, rand: o.Rand, ledger: newLedger(), cache: newCache(o.Cache),
		condemned: map[[32]byte]bool{}, gone: map[pack.ID]bool{}, writing: make(chan struct{}, 1),
	}
}

func unlock(ctx context.Context, o Options, id crypto.RepositoryID) (*crypto.Keyring, error) {
	k, err := readKeys(ctx, o.Objects)
	if err != nil {
		return nil, fmt.Errorf("reading key slots: %w", err)
	}
	for _, name := range k.bad {
		o.Notice(fmt.Sprintf("%s is damaged or missing in at least one of its two copies", name))
	}
	if len(k.slots) == 0 {
		return nil, crypto.ErrNoSlots
	}
	secret, err := o.Secret(ctx, k.kinds())
	if err != nil {
		return nil, err
	}
	keys, _, err := crypto.Unlock(id, k.slots, k.epochs, secret)
	return keys, err
}

// openIndex opens index.db, or rebuilds it from the repository.
func (r *Repository) openIndex(ctx context.Context) error {
	path := filepath.Join(r.state.Dir(), "index.db")
	db, fresh, err := index.Open(path, r.keys.Repository())
	foreign := errors.Is(err, index.ErrForeign)
	if foreign || errors.Is(err, index.ErrDamaged) {
		if foreign {
			r.options.Notice("the index was written by another version of keepsake and is rebuilt")
		} else {
			r.options.Notice(fmt.Sprintf("the index could not be used (%v) and is rebuilt", err))
		}
		// It is a cache, and may be gigabytes.
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("removing the unusable index: %w", err)
		}
		db, fresh, err = index.Open(path, r.keys.Repository())
	}
	if err != nil {
		return fmt.Errorf("opening the index: %w", err)
	}
	r.index = db
	if err := r.freshen(ctx, fresh); err != nil {
		return errors.Join(err, db.Close())
	}
	return nil
}

// freshen brings the index up to date if the last session that wrote did not
// end in order, and makes a new one if it turns out to be damaged further in
// than opening looks.
func (r *Repository) freshen(ctx context.Context, fresh bool) error {
	clean, err := r.index.Clean()
	if err == nil && !clean {
		err = r.takeUp(ctx, fresh)
	}
	if errors.Is(err, index.ErrDamaged) {
		err = r.rebuild(ctx)
	}
	return err
}

// Close gives up the state directory.
func (r *Repository) Close() error {
	return errors.Join(r.index.Close(), r.state.Close())
}

// ID is the repository's id.
func (r *Repository) ID() crypto.RepositoryID { return r.keys.Repository() }

// Now is the time by the clock that the repository was opened with.
func (r *Repository) Now() time.Time { return r.now() }

// State is this writer's memory.
func (r *Repository) State() *state.DB { return r.state }

// Chunker returns the parameters by which content is cut.
func (r *Repository) Chunker() chunking.Params { return chunkerParams(r.settings) }

// Cut returns the keyed function that decides where pages and content lists
// are cut; label says which.
func (r *Repository) Cut(label string) crypto.PRF { return r.keys.PRF(label) }
