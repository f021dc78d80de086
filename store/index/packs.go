package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"keepsake/crypto"
	"keepsake/store/pack"
)

// batch bounds a write transaction: a transaction dirties about one leaf per
// random key, and each dirty leaf costs some 12 KiB of heap until the commit.
const batch = 5000

// Table is a pack and its table of contents, as Add takes it.
type Table struct {
	Pack    Pack
	Entries []pack.Entry
}

// Lookup returns the place of a chunk and whether there is one. A rotten leaf
// reads as none: the chunk is then stored again or found in a pack's own table.
func (d *DB) Lookup(id crypto.ChunkID) (p Place, ok bool, err error) {
	err = d.view(func(tx *bbolt.Tx) error {
		p, ok = lookup(tx, id)
		d.trim(tx)
		return nil
	})
	return p, ok, err
}

func lookup(tx *bbolt.Tx, id crypto.ChunkID) (Place, bool) {
	v := tx.Bucket(bucketChunks).Get(id[:keyLength])
	if v == nil {
		return Place{}, false
	}
	sequence, entry, err := parsePlace(id, v)
	if err != nil {
		return Place{}, false
	}
	record, err := packAt(tx, sequenceKey(sequence))
	if err != nil {
		return Place{}, false
	}
	return Place{Pack: record, Entry: entry}, true
}

// Add records packs that are durable, in short transactions. A chunk that
// already has a place gets the new one, unless the new pack is condemned or
// damaged. Adding a pack again is harmless, and so is adding a part of one.
func (d *DB) Add(tables ...Table) error {
	var entries []pack.Entry // of tables[0]: those that are left
	for begun := false; len(tables) > 0; {
		d.changes.Add(1)
		var done int          // tables finished by this transaction
		var left []pack.Entry // of the one after them
		err := d.update(func(tx *bbolt.Tx) error {
			room := batch
			for done = 0; done < len(tables) && room > 0; done++ {
				t := &tables[done]
				if left = entries; done > 0 || !begun {
					left = sortedEntries(t.Entries)
				}
				n := min(len(left), room)
				if err := addPart(tx, t, left[:n], n == len(left)); err != nil {
					return fmt.Errorf("adding pack %v to the index: %w", t.Pack.ID, err)
				}
				if left = left[n:]; len(left) > 0 {
					return nil
				}
				room -= n
			}
			return nil
		})
		if err != nil {
			return err
		}
		tables, entries, begun = tables[done:], left, len(left) > 0
	}
	return nil
}

// sortedEntries returns the entries in the order of the index, so that each
// leaf is dirtied once.
func sortedEntries(entries []pack.Entry) []pack.Entry {
	entries = slices.Clone(entries)
	slices.SortFunc(entries, func(a, b pack.Entry) int { return bytes.Compare(a.Chunk[:], b.Chunk[:]) })
	return entries
}

// addPart adds some entries of a pack, and its record with the last of them.
func addPart(tx *bbolt.Tx, t *Table, part []pack.Entry, last bool) error {
	p := t.Pack
	sequence, err := sequenceOf(tx, p.ID)
	if err != nil {
		return err
	}
	// What is known of the pack's fitness stays.
	if old, err := packAt(tx, sequenceKey(sequence)); err == nil {
		p.Condemned, p.Damaged = p.Condemned || old.Condemned, p.Damaged || old.Damaged
	}
	usable := Place{Pack: p}.Usable()
	for i := range part {
		if err := putPlace(tx, sequence, &part[i], usable); err != nil {
			return err
		}
	}
	if !last {
		return nil
	}
	return tx.Bucket(bucketPacks).Put(sequenceKey(sequence), p.append(nil, sequenceKey(sequence)))
}

// packAt reads the record of a pack. One that is not there or rotten is an
// error; the caller treats the pack as unknown.
func packAt(tx *bbolt.Tx, key []byte) (Pack, error) {
	return parsePack(key, tx.Bucket(bucketPacks).Get(key))
}

func putPlace(tx *bbolt.Tx, sequence uint32, e *pack.Entry, usable bool) error {
	if !usable {
		if old, ok := lookup(tx, e.Chunk); ok && old.Usable() {
			return nil
		}
	}
	return tx.Bucket(bucketChunks).Put(bytes.Clone(e.Chunk[:keyLength]), appendPlace(nil, sequence, e))
}

// sequenceOf returns the number that stands for a pack in the places of its
// chunks; four bytes instead of thirty-two.
func sequenceOf(tx *bbolt.Tx, id pack.ID) (uint32, error) {
	if v := tx.Bucket(bucketSequence).Get(id[:]); len(v) == 4 {
		return binary.BigEndian.Uint32(v), nil
	}
	next := tx.Bucket(bucketMeta).Get(keyNext)
	if len(next) != 4 {
		return 0, fmt.Errorf("%w: no next sequence", ErrDamaged)
	}
	n := binary.BigEndian.Uint32(next)
	if n == ^uint32(0) {
		return 0, errors.New("index has used up its pack numbers; delete index.db, it is rebuilt")
	}
	return n, errors.Join(
		tx.Bucket(bucketSequence).Put(id[:], sequenceKey(n)),
		tx.Bucket(bucketMeta).Put(keyNext, sequenceKey(n+1)),
	)
}

func sequenceKey(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// Pack returns what is known of one pack.
func (d *DB) Pack(id pack.ID) (p Pack, ok bool, err error) {
	err = d.view(func(tx *bbolt.Tx) error {
		if v := tx.Bucket(bucketSequence).Get(id[:]); v != nil {
			// Without a record its batch was cut short, or the record is rotten.
			p, err = packAt(tx, v)
			ok = err == nil
		}
		return nil
	})
	return p, ok, err
}

// Packs calls f with every known pack, some hundreds to a transaction. f may
// use the index. A pack whose record is rotten is unknown: it is passed over.
func (d *DB) Packs(f func(Pack) error) error {
	var from []byte
	for more := true; more; {
		var some []Pack
		err := d.view(func(tx *bbolt.Tx) error {
			c := tx.Bucket(bucketPacks).Cursor()
			k, v := c.First()
			if from != nil {
				if k, v = c.Seek(from); bytes.Equal(k, from) {
					k, v = c.Next()
				}
			}
			for ; k != nil && len(some) < 500; k, v = c.Next() {
				if p, err := parsePack(k, v); err == nil {
					some = append(some, p)
				}
				from = bytes.Clone(k)
			}
			more = k != nil
			return nil
		})
		if err != nil {
			return err
		}
		for _, p := range some {
			if err := f(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// PacksUnder calls f with the known packs whose id begins with a byte. f must
// not use the index.
func (d *DB) PacksUnder(prefix byte, f func(Pack)) error {
	return d.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketSequence).Cursor()
		for k, v := c.Seek([]byte{prefix}); k != nil && k[0] == prefix; k, v = c.Next() {
			if p, err := packAt(tx, v); err == nil {
				f(p)
			}
		}
		return nil
	})
}

// Mark changes what is known of a pack's fitness; unknown packs are passed over.
func (d *DB) Mark(id pack.ID, change func(*Pack)) error {
	return d.update(func(tx *bbolt.Tx) error {
		v := tx.Bucket(bucketSequence).Get(id[:])
		if v == nil {
			return nil
		}
		key := bytes.Clone(v)
		p, err := packAt(tx, key)
		if err != nil {
			return nil
		}
		change(&p)
		if p.Condemned || p.Damaged {
			if err := d.putDoubt(tx, true); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketPacks).Put(key, p.append(nil, key))
	})
}

// Forget drops a pack that is gone from the repository. The places of its
// chunks are left: without the pack's record they read as none.
func (d *DB) Forget(id pack.ID) error {
	return d.update(func(tx *bbolt.Tx) error {
		v := tx.Bucket(bucketSequence).Get(id[:])
		if v == nil {
			return nil
		}
		return errors.Join(d.putDoubt(tx, true), tx.Bucket(bucketPacks).Delete(bytes.Clone(v)), tx.Bucket(bucketSequence).Delete(id[:]))
	})
}

// HasCatalog reports whether the packs of a catalog object were added.
func (d *DB) HasCatalog(id [32]byte) (ok bool, err error) {
	err = d.view(func(tx *bbolt.Tx) error {
		ok = tx.Bucket(bucketCatalogs).Get(id[:]) != nil
		return nil
	})
	return ok, err
}

// AddCatalog records that the packs of a catalog object were added.
func (d *DB) AddCatalog(id [32]byte) error {
	return d.update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketCatalogs).Put(id[:], []byte{}) })
}
