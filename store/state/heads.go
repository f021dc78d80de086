package state

import (
	"encoding/binary"

	"go.etcd.io/bbolt"
)

// Head is the newest snapshot of a chain that this state knows of.
type Head struct {
	Source SourceID
	Writer WriterID
	Number uint64   // position in the chain, from 1
	ID     [32]byte // of the snapshot
}

func (h Head) key() []byte { return append(append([]byte{}, h.Source[:]...), h.Writer[:]...) }

// Heads returns the remembered heads of all chains, in no order.
func (d *DB) Heads() (all []Head, err error) {
	err = d.bolt.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketHeads).ForEach(func(k, v []byte) error {
			if len(k) != 32 || len(v) != 40 {
				return nil // unreadable memory is no memory
			}
			h := Head{Number: binary.BigEndian.Uint64(v)}
			copy(h.Source[:], k)
			copy(h.Writer[:], k[16:])
			copy(h.ID[:], v[8:])
			all = append(all, h)
			return nil
		})
	})
	return all, err
}

// Remember records heads; a head that is behind what is remembered is passed over.
func (d *DB) Remember(heads ...Head) error {
	return d.bolt.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketHeads)
		for _, h := range heads {
			if v := b.Get(h.key()); len(v) == 40 && binary.BigEndian.Uint64(v) >= h.Number {
				continue
			}
			if err := b.Put(h.key(), append(binary.BigEndian.AppendUint64(nil, h.Number), h.ID[:]...)); err != nil {
				return err
			}
		}
		return nil
	})
}
