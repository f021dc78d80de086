package index

import (
	"bytes"

	"go.etcd.io/bbolt"

	"keepsake/store/pack"
)

// Comparison says how far the index agrees with a pack's own table.
type Comparison struct {
	Known bool // the index has the pack
	Equal bool // and says of it what the table says
	// Here counts chunks that the index places where the table has them,
	// Elsewhere those that it places in another pack or at another copy within
	// this one, Wrong those that it does not know or places where they are not.
	Here, Elsewhere, Wrong int
}

// Agrees reports whether there is nothing to mend.
func (c Comparison) Agrees() bool { return c.Known && c.Equal && c.Wrong == 0 }

// Compare looks all chunks of a table up, in one transaction.
func (d *DB) Compare(t Table) (c Comparison, err error) {
	err = d.view(func(tx *bbolt.Tx) error {
		c = Comparison{}
		if v := tx.Bucket(bucketSequence).Get(t.Pack.ID[:]); v != nil {
			if p, err := packAt(tx, v); err == nil {
				c.Known = true
				p.Condemned, p.Damaged = t.Pack.Condemned, t.Pack.Damaged
				c.Equal = p == t.Pack
			}
		}
		for i := range t.Entries {
			e := &t.Entries[i]
			p, ok := lookup(tx, e.Chunk)
			switch {
			case !ok:
				c.Wrong++
			case p.Pack.ID != t.Pack.ID:
				c.Elsewhere++
			case same(&p.Entry, e):
				c.Here++
			case int(p.Entry.Number) < len(t.Entries) && same(&p.Entry, &t.Entries[p.Entry.Number]):
				c.Elsewhere++
			default:
				c.Wrong++
			}
		}
		return nil
	})
	return c, err
}

func same(a, b *pack.Entry) bool {
	if a.Chunk != b.Chunk || a.Type != b.Type || a.Codec != b.Codec || a.Number != b.Number ||
		a.Offset != b.Offset || a.Plain != b.Plain || a.Stored != b.Stored || len(a.Frames) != len(b.Frames) {
		return false
	}
	for i := range a.Frames {
		if a.Frames[i] != b.Frames[i] {
			return false
		}
	}
	return true
}

// Changes counts the tables that were added since Open.
func (d *DB) Changes() uint64 { return d.changes.Load() }

// Count returns how many chunks have a place in a known pack. It reads the
// whole index, some thousand places to a transaction.
func (d *DB) Count() (live uint64, err error) {
	var from []byte
	for more := true; more; {
		err := d.view(func(tx *bbolt.Tx) error {
			c := tx.Bucket(bucketChunks).Cursor()
			k, v := c.First()
			if from != nil {
				if k, v = c.Seek(from); bytes.Equal(k, from) {
					k, v = c.Next()
				}
			}
			packs := tx.Bucket(bucketPacks)
			for n := 0; k != nil && n < 2*batch; k, v = c.Next() {
				if countable(k, v) && packs.Get(v[:4]) != nil {
					live++
				}
				from = append(from[:0], k...)
				n++
			}
			more = k != nil
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return live, nil
}

// countable reports whether a value is a place that Lookup would return.
func countable(k, v []byte) bool {
	if len(k) != keyLength {
		return false
	}
	var id [32]byte
	copy(id[:], k)
	_, _, err := parsePlace(id, v)
	return err == nil
}
