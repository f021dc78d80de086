package tree

import (
	"bytes"
	"fmt"
)

// Condemned is a record of prune. An opening record announces which packs will be deleted; once the grace is over and all is looked
// at afresh, a closing one says which packs were deleted and which spared. From the opening on no writer counts on
// chunks in these packs; the closing one lifts that for the spared.
type Condemned struct {
	Run     [16]byte   `cbor:"0,keyasint"` // random; equal in both records of one run
	Writer  [16]byte   `cbor:"2,keyasint"`
	Started Time       `cbor:"4,keyasint"`            // of the run
	Grace   uint64     `cbor:"6,keyasint,omitempty"`  // of an opening record, in seconds; 0 only where one process owns all
	Packs   [][32]byte `cbor:"8,keyasint,omitempty"`  // of an opening record: at least one, ascending
	Opens   *[32]byte  `cbor:"10,keyasint,omitempty"` // of a closing record: object id of the opening one
	Spared  [][32]byte `cbor:"12,keyasint,omitempty"` // of a closing record, ascending
	Deleted [][32]byte `cbor:"14,keyasint,omitempty"` // of a closing record, ascending
	Extra   Extra      `cbor:"-"`
}

// Closing reports whether c closes a run.
func (c *Condemned) Closing() bool { return c.Opens != nil }

// Marshal encodes c, having validated it.
func (c *Condemned) Marshal() ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return marshalFields(c, c.Extra)
}

// ParseCondemned parses and validates a record of prune. The record shares no memory with b.
func ParseCondemned(b []byte) (*Condemned, error) {
	c := new(Condemned)
	extra, err := unmarshalFields(b, c)
	if err != nil {
		return nil, fmt.Errorf("condemned record: %w", err)
	}
	c.Extra = extra
	if err := sameBytes(b, c); err != nil {
		return nil, fmt.Errorf("condemned record: %w", err)
	}
	return c, nil
}

// Validate reports whether c can be stored.
func (c *Condemned) Validate() error {
	if err := c.Started.validate("start"); err != nil {
		return err
	}
	if c.Closing() {
		if len(c.Packs) > 0 || c.Grace != 0 {
			return invalidf("a closing record that condemns")
		}
	} else {
		if len(c.Spared)+len(c.Deleted) > 0 {
			return invalidf("an opening record that closes")
		}
		if len(c.Packs) == 0 {
			return invalidf("an opening record without packs")
		}
		if c.Grace > 366*24*3600 {
			return limitf("grace of %d seconds", c.Grace)
		}
	}
	for _, l := range [][][32]byte{c.Packs, c.Spared, c.Deleted} {
		if err := validateIDs("packs", l); err != nil {
			return err
		}
	}
	return disjoint(c.Spared, c.Deleted)
}

// disjoint compares two ascending lists.
func disjoint(a, b [][32]byte) error {
	for len(a) > 0 && len(b) > 0 {
		switch bytes.Compare(a[0][:], b[0][:]) {
		case -1:
			a = a[1:]
		case 1:
			b = b[1:]
		default:
			return invalidf("pack %x both spared and deleted", a[0])
		}
	}
	return nil
}
