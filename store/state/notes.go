package state

import (
	"fmt"

	"go.etcd.io/bbolt"
)

// Kind names one kind of note. It is a constant of the program, never a name
// that a person chose: it lies in the clear.
type Kind string

// Note reads what was noted of a source, into what v points to; ok is false if
// nothing was, or if what was noted no longer opens, since unreadable memory is
// no memory. The zero SourceID stands for this writer as a whole.
func (d *DB) Note(source SourceID, kind Kind, v any) (ok bool, err error) {
	key := noteKey(source, kind)
	err = d.bolt.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketNotes).Get(key)
		ok = b != nil && d.unseal(bucketNotes, key, b, v) == nil
		return nil
	})
	return ok, err
}

// SetNote notes something of a source, replacing what was noted before; nil
// removes it. v is encoded as CBOR; give its fields integer keys, so that a
// later version can add some. On return it is durable.
func (d *DB) SetNote(source SourceID, kind Kind, v any) error {
	key := noteKey(source, kind)
	var sealed []byte
	if v != nil {
		var err error
		if sealed, err = d.seal(bucketNotes, key, v); err != nil {
			return fmt.Errorf("noting %s: %w", kind, err)
		}
	}
	return d.bolt.Update(func(tx *bbolt.Tx) error {
		if v == nil {
			return tx.Bucket(bucketNotes).Delete(key)
		}
		return tx.Bucket(bucketNotes).Put(key, sealed)
	})
}

func noteKey(source SourceID, kind Kind) []byte { return append(source[:], kind...) }
