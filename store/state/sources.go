package state

import "go.etcd.io/bbolt"

// SourceID names a source for ever, whatever its label.
type SourceID [16]byte

// Source is a watched directory tree as this writer knows it.
type Source struct {
	ID    SourceID `cbor:"0,keyasint"`
	Label string   `cbor:"2,keyasint"`
	Path  []byte   `cbor:"4,keyasint"` // absolute path of the directory, raw bytes
}

// Source returns the source bound to a label.
func (d *DB) Source(label string) (s Source, ok bool, err error) {
	key := d.nameKey(label)
	err = d.bolt.View(func(tx *bbolt.Tx) error {
		v := tx.Bucket(bucketSources).Get(key)
		if v == nil {
			return nil
		}
		ok = true
		return d.unseal(bucketSources, key, v, &s)
	})
	return s, ok, err
}

// Sources returns all sources of this writer, in no order.
func (d *DB) Sources() (all []Source, err error) {
	err = d.bolt.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketSources).ForEach(func(k, v []byte) error {
			var s Source
			if err := d.unseal(bucketSources, k, v, &s); err != nil {
				return err
			}
			all = append(all, s)
			return nil
		})
	})
	return all, err
}

// Bind records a source under its label, replacing what the label stood for.
func (d *DB) Bind(s Source) error {
	key := d.nameKey(s.Label)
	v, err := d.seal(bucketSources, key, s)
	if err != nil {
		return err
	}
	return d.bolt.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketSources).Put(key, v) })
}

// nameKey is the keyed hash under which a name's record lies.
func (d *DB) nameKey(name string) []byte {
	sum := d.names.Sum([]byte(name))
	return sum[:]
}
