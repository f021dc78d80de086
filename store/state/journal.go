package state

import (
	"bytes"

	"go.etcd.io/bbolt"
)

// The journal holds the directories of each source in which something changed
// that no snapshot holds yet. It survives a kill, so that what was known to be
// in doubt stays known; losing it costs nothing but that knowledge, because a
// start scans everything anyway.

// maxJournal bounds how many directories of one source are journalled. Beyond
// it the whole source counts as in doubt: its root is journalled as a subtree.
const maxJournal = 100_000

// journalled is one directory, relative to the root of its source, raw bytes.
type journalled struct {
	Path []byte `cbor:"0,keyasint"`
}

// Journal adds directories to the journal of a source. On return they are
// durable. Those that are in it already cost nothing.
func (d *DB) Journal(source SourceID, dirs []string) error {
	keys := d.journalKeys(source, dirs)
	if there, err := d.haveJournalled(keys); err != nil || there {
		return err // a transaction that writes costs two syncs, whatever it writes
	}
	return d.bolt.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketJournal)
		for i, key := range keys {
			if b.Get(key) != nil {
				continue
			}
			v, err := d.seal(bucketJournal, key, journalled{[]byte(dirs[i])})
			if err != nil {
				return err
			}
			if err := b.Put(key, v); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *DB) haveJournalled(keys [][]byte) (all bool, err error) {
	all = true
	err = d.bolt.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketJournal)
		for i := 0; i < len(keys) && all; i++ {
			all = b.Get(keys[i]) != nil
		}
		return nil
	})
	return all, err
}

// Journalled returns the directories in the journal of a source, in no order,
// at most as many as are worth knowing one by one; more says that there are
// more.
func (d *DB) Journalled(source SourceID) (dirs []string, more bool, err error) {
	err = d.bolt.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketJournal).Cursor()
		for k, v := c.Seek(source[:]); bytes.HasPrefix(k, source[:]); k, v = c.Next() {
			var j journalled
			if d.unseal(bucketJournal, k, v, &j) != nil {
				continue // unreadable memory is no memory; the scan at the start covers it
			}
			if len(dirs) == maxJournal {
				more = true
				return nil
			}
			dirs = append(dirs, string(j.Path))
		}
		return nil
	})
	return dirs, more, err
}

// Unjournal removes directories from the journal of a source; nil removes all.
func (d *DB) Unjournal(source SourceID, dirs []string) error {
	keys := d.journalKeys(source, dirs)
	if none, err := d.noneJournalled(source, dirs == nil, keys); err != nil || none {
		return err
	}
	return d.bolt.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketJournal)
		if dirs == nil {
			c := b.Cursor()
			for k, _ := c.Seek(source[:]); bytes.HasPrefix(k, source[:]); k, _ = c.Seek(source[:]) {
				if err := c.Delete(); err != nil {
					return err
				}
			}
			return nil
		}
		for _, key := range keys {
			if err := b.Delete(key); err != nil {
				return err
			}
		}
		return nil
	})
}

// noneJournalled reports whether there is nothing to remove.
func (d *DB) noneJournalled(source SourceID, all bool, keys [][]byte) (none bool, err error) {
	none = true
	err = d.bolt.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketJournal)
		if all {
			k, _ := b.Cursor().Seek(source[:])
			none = !bytes.HasPrefix(k, source[:])
		}
		for i := 0; i < len(keys) && none; i++ {
			none = b.Get(keys[i]) == nil
		}
		return nil
	})
	return none, err
}

func (d *DB) journalKeys(source SourceID, dirs []string) [][]byte {
	keys := make([][]byte, len(dirs))
	for i, dir := range dirs {
		sum := d.names.Sum(source[:], []byte(dir))
		keys[i] = append(append(make([]byte, 0, 32), source[:]...), sum[:16]...)
	}
	return keys
}
