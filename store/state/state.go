package state

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"keepsake/crypto"
)

// layout is the version of the buckets and values below.
const layout = 1

var (
	bucketIdentity = []byte("identity") // layout, writer, repository, fingerprint, epoch
	bucketSources  = []byte("sources")  // keyed hash of a label → sealed source
	bucketHeads    = []byte("heads")    // source id ‖ writer id → number u64 ‖ snapshot id
	bucketNotes    = []byte("notes")    // source id ‖ kind → sealed note
	bucketJournal  = []byte("journal")  // source id ‖ keyed hash of a path → sealed path

	keyLayout      = []byte("layout")
	keyWriter      = []byte("writer")
	keyRepository  = []byte("repository")
	keyFingerprint = []byte("fingerprint")
	keyEpoch       = []byte("epoch")
	keyConfirmed   = []byte("confirmed") // when a person last typed the recovery code, unix seconds
)

// WriterID names one state directory that writes to a repository.
type WriterID [16]byte

// DB is the open state of one writer.
type DB struct {
	dir    string
	bolt   *bbolt.DB
	keys   *crypto.Keyring // set by Pin
	names  crypto.PRF      // set by Pin; keys that stand for names
	writer WriterID
	fresh  bool
	aside  string
}

// Open takes ownership of the state directory, making it if needed. It waits
// at most wait for another owner to end and then fails with *OwnedError.
func Open(dir string, wait time.Duration) (*DB, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the state directory: %w", err)
	}
	d := &DB{dir: dir}
	err := d.open(wait)
	if errors.Is(err, errDamaged) {
		// The state is worth a full scan, not a refusal to back up.
		d.aside = filepath.Join(dir, "state.db.damaged-"+time.Now().UTC().Format("20060102T150405Z"))
		if err := os.Rename(d.path(), d.aside); err != nil {
			return nil, fmt.Errorf("setting aside the damaged %s: %w", d.path(), err)
		}
		err = d.open(wait)
	}
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(d.pidFile(), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return nil, errors.Join(err, d.bolt.Close())
	}
	return d, nil
}

func (d *DB) path() string    { return filepath.Join(d.dir, "state.db") }
func (d *DB) pidFile() string { return filepath.Join(d.dir, "owner.pid") }

func (d *DB) open(wait time.Duration) error {
	if _, err := os.Lstat(d.path()); errors.Is(err, fs.ErrNotExist) {
		if err := d.create(); err != nil {
			return err
		}
		d.fresh = true
	}
	var db *bbolt.DB
	err := guard(func() (err error) {
		// bbolt takes a zero time-out for "wait for ever".
		db, err = bbolt.Open(d.path(), 0o600, &bbolt.Options{Timeout: max(wait, time.Millisecond), FreelistType: bbolt.FreelistMapType})
		if errors.Is(err, berrors.ErrTimeout) {
			return &OwnedError{Dir: d.dir, PID: d.ownerPID()}
		}
		if err != nil {
			return classifyOpen(err)
		}
		return db.View(d.verify)
	})
	if err != nil && db != nil {
		err = errors.Join(err, guard(db.Close))
	}
	if err == nil {
		d.bolt = db
	}
	return err
}

// verify reads enough to know that this is a state, and all of it, since a
// page that cannot be read is better met now than in the middle of a backup.
func (d *DB) verify(tx *bbolt.Tx) error {
	for _, name := range [][]byte{bucketIdentity, bucketSources, bucketHeads} {
		b := tx.Bucket(name)
		if b == nil {
			return fmt.Errorf("%w: bucket %s is missing", errDamaged, name)
		}
		if err := b.ForEach(func(_, _ []byte) error { return nil }); err != nil {
			return err
		}
	}
	for _, name := range [][]byte{bucketNotes, bucketJournal} { // states begun earlier lack them
		if b := tx.Bucket(name); b != nil {
			if err := b.ForEach(func(_, _ []byte) error { return nil }); err != nil {
				return err
			}
		}
	}
	identity := tx.Bucket(bucketIdentity)
	switch v := identity.Get(keyLayout); {
	case len(v) != 1 || v[0] == 0:
		return fmt.Errorf("%w: no layout", errDamaged)
	case v[0] != layout:
		return fmt.Errorf("state.db has layout %d; this keepsake knows %d: update keepsake", v[0], layout)
	}
	if copy(d.writer[:], identity.Get(keyWriter)) != len(d.writer) {
		return fmt.Errorf("%w: no writer id", errDamaged)
	}
	return nil
}

// guard turns a panic or a page fault inside bbolt's mapped file into
// errDamaged: a rotten or truncated file must not take the process down.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	return f()
}

// classifyOpen says which errors of opening are about the file's content: some
// of them have no name in bbolt, but whatever the system says has.
func classifyOpen(err error) error {
	var system *fs.PathError
	var number syscall.Errno
	if errors.As(err, &system) || errors.As(err, &number) {
		return err
	}
	return fmt.Errorf("%w: %w", errDamaged, err)
}

// create makes the file under a temporary name and links it into place, so
// that neither a power cut while bbolt initialises it nor a second process
// doing the same leaves a file that is not whole or has two owners.
func (d *DB) create() error {
	// A random name: a killed first run may have had this process's number, and
	// in another container a live one may.
	f, err := os.CreateTemp(d.dir, "state.db.new-")
	if err != nil {
		return err
	}
	tmp := f.Name()
	defer os.Remove(tmp)
	if err := f.Close(); err != nil {
		return err
	}
	db, err := bbolt.Open(tmp, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		return err
	}
	var writer WriterID
	if _, err := rand.Read(writer[:]); err != nil {
		return errors.Join(err, db.Close())
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketIdentity, bucketSources, bucketHeads} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		identity := tx.Bucket(bucketIdentity)
		return errors.Join(identity.Put(keyLayout, []byte{layout}), identity.Put(keyWriter, writer[:]))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp, d.path()); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (d *DB) ownerPID() int {
	b, err := os.ReadFile(d.pidFile())
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return pid
}

// Close ends the ownership.
func (d *DB) Close() error {
	err := os.Remove(d.pidFile())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // somebody removed the whole directory
	}
	return errors.Join(err, d.bolt.Close())
}

// Dir is the state directory.
func (d *DB) Dir() string { return d.dir }

// Writer is this state's identity in chains of snapshots.
func (d *DB) Writer() WriterID { return d.writer }

// Fresh reports whether the state was begun by this Open.
func (d *DB) Fresh() bool { return d.fresh }

// SetAside is the path to which a damaged state.db was moved by this Open, or
// empty.
func (d *DB) SetAside() string { return d.aside }

// Confirmed reports whether somebody has proved to have the recovery code.
func (d *DB) Confirmed() (ok bool, err error) {
	err = d.bolt.View(func(tx *bbolt.Tx) error {
		ok = tx.Bucket(bucketIdentity).Get(keyConfirmed) != nil
		return nil
	})
	return ok, err
}

// SetConfirmed records that somebody has proved to have the recovery code.
func (d *DB) SetConfirmed(now time.Time) error {
	return d.bolt.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketIdentity).Put(keyConfirmed, binary.BigEndian.AppendUint64(nil, uint64(now.Unix())))
	})
}

// Pin ties the state to a repository and its keys on first use, and later
// refuses any other with ErrPinned. It must precede whatever seals or opens.
func (d *DB) Pin(keys *crypto.Keyring) error {
	repo, fingerprint := keys.Repository(), keys.Fingerprint()
	err := d.bolt.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketNotes, bucketJournal} { // states begun earlier lack them
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		b := tx.Bucket(bucketIdentity)
		if b.Get(keyRepository) == nil {
			if err := errors.Join(b.Put(keyRepository, repo[:]), b.Put(keyFingerprint, fingerprint[:])); err != nil {
				return err
			}
		}
		if !bytes.Equal(b.Get(keyRepository), repo[:]) {
			return fmt.Errorf("%w (%s)", ErrPinned, d.dir)
		}
		if !bytes.Equal(b.Get(keyFingerprint), fingerprint[:]) {
			return fmt.Errorf("%w: its keys are others (%s)", ErrPinned, d.dir)
		}
		if v := b.Get(keyEpoch); len(v) == 4 && binary.BigEndian.Uint32(v) > uint32(keys.Newest()) {
			return fmt.Errorf("%w: key epoch %d was seen, the newest now is %d", ErrRolledBack, binary.BigEndian.Uint32(v), keys.Newest())
		}
		return b.Put(keyEpoch, binary.BigEndian.AppendUint32(nil, uint32(keys.Newest())))
	})
	if err == nil {
		d.keys, d.names = keys, keys.PRF("state/name")
	}
	return err
}
