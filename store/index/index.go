package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"

	"keepsake/crypto"
)

// layout is the version of the buckets and values below. A file with another
// one is rebuilt, never converted: it is only a cache.
const layout = 1

var (
	bucketMeta     = []byte("meta")     // layout, repository, clean, next
	bucketChunks   = []byte("chunks")   // chunk id [:16] → place
	bucketPacks    = []byte("packs")    // sequence u32 → pack record
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
	bolt *bbolt.DB
}

// Open opens the index at path, or makes an empty one there for the given
// repository. The second result says that it was made: the caller then fills
// it from the repository.
func Open(path string, repo crypto.RepositoryID) (*DB, bool, error) {
	fresh := false
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path, repo); err != nil {
			return nil, false, err
		}
		fresh = true
	}
	d := &DB{}
	err := guard(func() error {
		db, err := bbolt.Open(path, 0o600, options())
		if err != nil {
			return err
		}
		d.bolt = db
		return d.verify(repo)
	})
	if err != nil {
		if d.bolt != nil {
			err = errors.Join(err, d.bolt.Close())
		}
		return nil, false, classify(err)
	}
	return d, fresh, nil
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
			meta.Put(keyNext, binary.BigEndian.AppendUint32(nil, 1)),
		)
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	// bbolt synced the file; losing the rename costs a rebuild, no more.
	return os.Rename(tmp, path)
}

func (d *DB) verify(repo crypto.RepositoryID) error {
	return d.bolt.View(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketChunks, bucketPacks, bucketSequence, bucketCatalogs} {
			if tx.Bucket(name) == nil {
				return fmt.Errorf("%w: bucket %s is missing", ErrDamaged, name)
			}
		}
		meta := tx.Bucket(bucketMeta)
		if !bytes.Equal(meta.Get(keyLayout), []byte{layout}) || !bytes.Equal(meta.Get(keyRepository), repo[:]) {
			return ErrForeign
		}
		return nil
	})
}

// Close closes the file.
func (d *DB) Close() error { return d.bolt.Close() }

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
	return d.update(func(tx *bbolt.Tx) error { return putDoubt(tx, doubt) })
}

func putDoubt(tx *bbolt.Tx, doubt bool) error {
	if !doubt {
		return tx.Bucket(bucketMeta).Delete(keyDoubt)
	}
	return tx.Bucket(bucketMeta).Put(keyDoubt, []byte{1})
}

func (d *DB) view(f func(*bbolt.Tx) error) error {
	return classify(guard(func() error { return d.bolt.View(f) }))
}

func (d *DB) update(f func(*bbolt.Tx) error) error {
	return classify(guard(func() error { return d.bolt.Update(f) }))
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
	for _, damaged := range []error{bbolt.ErrInvalid, bbolt.ErrVersionMismatch, bbolt.ErrChecksum} {
		if errors.Is(err, damaged) {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return err
}
