package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"keepsake/crypto"
)

// layout is the version of the buckets and values below. A file with another
// one is rebuilt, never converted: it is only a cache.
const layout = 2

var (
	bucketMeta     = []byte("meta")     // layout, repository, clean, next
	bucketChunks   = []byte("chunks")   // chunk id [:16] → place
	bucketPacks    = []byte("packs")    // sequence u32 → pack record with its check
	bucketSequence = []byte("sequence") // pack id → sequence u32
	bucketCatalogs = []byte("catalogs") // catalog object id → nothing

	keyLayout     = []byte("layout")
	keyRepository = []byte("repository")
	keyClean      = []byte("clean")
	keyNext       = []byte("next")
	keyDoubt      = []byte("doubt")
)

// DB is an open index.
type DB struct {
	path string
	repo crypto.RepositoryID

	mu   sync.RWMutex // held for writing while the file is replaced or closed
	bolt *bbolt.DB

	broken  atomic.Bool   // bbolt met bytes that make no sense
	doubts  atomic.Uint64 // times that doubt arose since Open
	changes atomic.Uint64 // tables added since Open
	lookups atomic.Uint64
}

// Open opens the index at path, or makes an empty one there for the given
// repository. The second result says that it was made: the caller then fills
// it from the repository. It is in doubt, since packs may be missing that an
// index in its place knew of; who finds that there are none clears that.
func Open(path string, repo crypto.RepositoryID) (*DB, bool, error) {
	fresh := false
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path, repo); err != nil {
			return nil, false, err
		}
		fresh = true
	}
	d := &DB{path: path, repo: repo}
	if err := d.open(); err != nil {
		return nil, false, err
	}
	return d, fresh, nil
}

// open opens the file that exists at d.path.
func (d *DB) open() error {
	var db *bbolt.DB
	err := guard(func() (err error) {
		if db, err = bbolt.Open(d.path, 0o600, options()); err != nil {
			return classifyOpen(err)
		}
		return d.verify(db)
	})
	if err != nil && db != nil {
		release(db)
	}
	if err == nil {
		d.bolt = db
		d.broken.Store(false)
	}
	return classify(err)
}

// Reset gives up a file that turned out to be damaged while it was open,
// removes it, and begins an empty one, not clean and in doubt.
func (d *DB) Reset() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.drop(); err != nil {
		return err
	}
	if err := create(d.path, d.repo); err != nil {
		return err
	}
	d.doubts.Add(1)
	return d.open()
}

// drop lets go of the open file and removes it.
func (d *DB) drop() error {
	release(d.bolt)
	d.bolt = nil
	err := os.Remove(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}

// release closes a file whose content cannot be trusted. A panic within bbolt
// may have left its locks held; then closing never ends, and the mapping stays
// until the process does.
func release(db *bbolt.DB) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = guard(db.Close) // its content counts no more, so neither does what it says
	}()
	select {
	case <-done:
	case <-time.After(200 * time.Millisecond):
	}
}

func options() *bbolt.Options {
	o := *bbolt.DefaultOptions
	// The owner of the state directory is the only opener, so a lock that is
	// held means a bug or a foreign process; do not wait for ever.
	o.Timeout = 5 * time.Second
	// The array free list is scanned linearly on each allocation.
	o.FreelistType = bbolt.FreelistMapType
	// Growing the mapping waits for all readers; a large first mapping costs
	// address space only.
	o.InitialMmapSize = initialMmap
	return &o
}

// create makes the file under a temporary name and renames it, because a
// power cut while bbolt initialises its pages can leave a file that it then
// refuses to open.
func create(path string, repo crypto.RepositoryID) error {
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := bbolt.Open(tmp, 0o600, options())
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketChunks, bucketPacks, bucketSequence, bucketCatalogs} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		return errors.Join(
			meta.Put(keyLayout, []byte{layout}),
			meta.Put(keyRepository, repo[:]),
			meta.Put(keyClean, []byte{0}),
			meta.Put(keyDoubt, []byte{1}),
			meta.Put(keyNext, binary.BigEndian.AppendUint32(nil, 1)),
		)
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	// bbolt synced the file; losing the rename costs a rebuild, no more.
	return os.Rename(tmp, path)
}

func (d *DB) verify(db *bbolt.DB) error {
	return db.View(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketChunks, bucketPacks, bucketSequence, bucketCatalogs} {
			if tx.Bucket(name) == nil {
				return fmt.Errorf("%w: bucket %s is missing", ErrDamaged, name)
			}
		}
		meta := tx.Bucket(bucketMeta)
		if !bytes.Equal(meta.Get(keyLayout), []byte{layout}) || !bytes.Equal(meta.Get(keyRepository), d.repo[:]) {
			return ErrForeign
		}
		return nil
	})
}

// Close closes the file. One that turned out to be damaged is removed, so that
// the next Open makes a new one.
func (d *DB) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.bolt == nil: // a Reset failed half-way
		return nil
	case d.broken.Load():
		return d.drop()
	}
	db := d.bolt
	d.bolt = nil
	return db.Close()
}

// Clean reports whether the last session that wrote packs ended in order. If
// not, packs may exist that the index does not know.
func (d *DB) Clean() (clean bool, err error) {
	err = d.view(func(tx *bbolt.Tx) error {
		clean = bytes.Equal(tx.Bucket(bucketMeta).Get(keyClean), []byte{1})
		return nil
	})
	return clean, err
}

// SetClean records the answer for Clean, durably.
func (d *DB) SetClean(clean bool) error {
	v := []byte{0}
	if clean {
		v[0] = 1
	}
	return d.update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyClean, v) })
}

// Doubt reports whether a chunk that an earlier snapshot relies on may be
// stored no longer: since the last SetDoubt(false) a pack was lost, damaged,
// condemned or could not be read.
func (d *DB) Doubt() (doubt bool, err error) {
	err = d.view(func(tx *bbolt.Tx) error {
		doubt = tx.Bucket(bucketMeta).Get(keyDoubt) != nil
		return nil
	})
	return doubt, err
}

// SetDoubt records the answer for Doubt, durably.
func (d *DB) SetDoubt(doubt bool) error {
	return d.update(func(tx *bbolt.Tx) error { return d.putDoubt(tx, doubt) })
}

// Doubts counts how often doubt has arisen since Open, for ClearDoubt.
func (d *DB) Doubts() uint64 { return d.doubts.Load() }

// ClearDoubt ends the doubt unless it has arisen anew since Doubts returned
// since: what a check has seen says nothing about what happened meanwhile.
func (d *DB) ClearDoubt(since uint64) error {
	if doubt, err := d.Doubt(); err != nil || !doubt {
		return err // a transaction that writes costs two syncs
	}
	return d.update(func(tx *bbolt.Tx) error {
		if d.doubts.Load() != since {
			return nil
		}
		return d.putDoubt(tx, false)
	})
}

func (d *DB) putDoubt(tx *bbolt.Tx, doubt bool) error {
	if !doubt {
		return tx.Bucket(bucketMeta).Delete(keyDoubt)
	}
	d.doubts.Add(1)
	return tx.Bucket(bucketMeta).Put(keyDoubt, []byte{1})
}

func (d *DB) view(f func(*bbolt.Tx) error) error {
	return d.transact(func(db *bbolt.DB) error { return db.View(f) })
}

func (d *DB) update(f func(*bbolt.Tx) error) error {
	return d.transact(func(db *bbolt.DB) error { return db.Update(f) })
}

func (d *DB) transact(f func(*bbolt.DB) error) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.bolt == nil {
		return fmt.Errorf("index: %w", fs.ErrClosed)
	}
	// bbolt panics where it should return an error, and a panic while it begins
	// a transaction leaves its locks held: nobody may wait for them.
	if d.broken.Load() {
		return ErrDamaged
	}
	err := classify(guard(func() error { return f(d.bolt) }))
	if errors.Is(err, ErrDamaged) {
		d.broken.Store(true)
	}
	return err
}

// guard turns a panic or a page fault inside bbolt's mapped file into
// ErrDamaged: a rotten or truncated cache must not take the process down.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return f()
}

// classify maps what bbolt says of unreadable files to ErrDamaged.
func classify(err error) error {
	for _, damaged := range []error{
		berrors.ErrInvalid, berrors.ErrVersionMismatch, berrors.ErrChecksum,
		// No call of ours brings these about on a good file.
		berrors.ErrIncompatibleValue, berrors.ErrBucketNotFound, berrors.ErrBucketExists, berrors.ErrKeyRequired,
	} {
		if errors.Is(err, damaged) {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return err
}

// classifyOpen does the same for errors of opening, some of which bbolt gives
// no name: whatever the system did not say is about the file's content.
func classifyOpen(err error) error {
	var system *fs.PathError
	var number syscall.Errno
	if errors.Is(err, berrors.ErrTimeout) || errors.As(err, &system) || errors.As(err, &number) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}
