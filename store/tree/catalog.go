package tree

import (
	"bytes"
	"fmt"
)

// Catalog merges the tables of contents of packs that one session wrote, so that opening a repository reads few objects. It is
// derived and may be deleted.
type Catalog struct {
	Session [16]byte      `cbor:"0,keyasint"` // random, of the run that wrote the packs
	Writer  [16]byte      `cbor:"2,keyasint"`
	Packs   []CatalogPack `cbor:"4,keyasint,omitempty"` // by id
	Extra   Extra         `cbor:"-"`
}

// CatalogPack is one pack and its table. Kind, epoch and entries mean what they mean in the pack; this package does not look into them.
type CatalogPack struct {
	_       struct{} `cbor:",toarray"`
	ID      [32]byte
	Kind    uint8
	Epoch   uint32
	Size    uint64 // of the whole object, in bytes
	Entries []byte
}

// Marshal encodes c, having validated it.
func (c *Catalog) Marshal() ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return marshalFields(c, c.Extra)
}

// ParseCatalog parses and validates a catalog. The catalog shares no memory with b.
func ParseCatalog(b []byte) (*Catalog, error) {
	c := new(Catalog)
	extra, err := unmarshalFields(b, c)
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	c.Extra = extra
	if err := sameBytes(b, c); err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	return c, nil
}

// Validate reports whether c can be stored.
func (c *Catalog) Validate() error {
	if err := validateCount("packs", len(c.Packs)); err != nil {
		return err
	}
	for i := range c.Packs {
		p := &c.Packs[i]
		switch {
		case i > 0 && bytes.Compare(c.Packs[i-1].ID[:], p.ID[:]) >= 0:
			return fmt.Errorf("%w: pack %x", ErrOrder, p.ID)
		case p.Epoch == 0:
			return invalidf("pack %x of epoch 0", p.ID)
		case p.Size == 0 || p.Size > MaxSize:
			return invalidf("pack %x of %d bytes", p.ID, p.Size)
		}
	}
	return nil
}
