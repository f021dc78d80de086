package tree

import (
	"bytes"
	"fmt"
	"slices"
)

// LedgerKind says what a ledger entry records.
type LedgerKind uint8

// The kinds. Their numbers are part of the format; a reader refuses others, since it cannot know what they mean for a snapshot.
const (
	Forget      LedgerKind = 1 // snapshots are no longer wanted; their numbers stay explained
	Undelete    LedgerKind = 2 // takes back a Forget
	Purge       LedgerKind = 3 // paths must vanish from all snapshots, and from now on
	Tag         LedgerKind = 4 // replaces the tags of snapshots
	Pin         LedgerKind = 5 // snapshots are kept, until a time or for good
	Unpin       LedgerKind = 6
	Acknowledge LedgerKind = 7 // a person has seen an alarm
	SlotRemoved LedgerKind = 8 // a key slot was removed on purpose
)

// String returns the word for people.
func (k LedgerKind) String() string {
	words := [...]string{"unknown", "forget", "undelete", "purge", "tag", "pin", "unpin", "acknowledge", "slot-removed"}
	if int(k) >= len(words) {
		k = 0
	}
	return words[k]
}

// LedgerEntry records what happened to snapshots after they were written. Entries are never changed or removed.
type LedgerEntry struct {
	Kind      LedgerKind       `cbor:"0,keyasint"`
	Writer    [16]byte         `cbor:"2,keyasint"`
	Time      Time             `cbor:"4,keyasint"`
	Snapshots []LedgerSnapshot `cbor:"6,keyasint,omitempty"`  // by id
	Paths     [][]byte         `cbor:"8,keyasint,omitempty"`  // relative to the source's root, ascending
	Tags      []string         `cbor:"10,keyasint,omitempty"` // ascending; of a Tag entry: all tags from now on
	Until     Time             `cbor:"12,keyasint,omitzero"`  // of a Pin; zero: for good
	Slot      *[16]byte        `cbor:"14,keyasint,omitempty"` // of a SlotRemoved
	Source    *[16]byte        `cbor:"16,keyasint,omitempty"` // of a Purge or Acknowledge: nil means all
	Who       string           `cbor:"1,keyasint,omitempty"`  // user@host
	Why       string           `cbor:"3,keyasint,omitempty"`
	Extra     Extra            `cbor:"-"`
}

// LedgerSnapshot names a snapshot so that its number stays explained when its manifest is gone.
type LedgerSnapshot struct {
	_           struct{} `cbor:",toarray"`
	ID          [32]byte
	Source      [16]byte
	Writer      [16]byte
	Number      uint64
	Replacement []byte // id of the manifest that took its place in a Purge, 32 bytes; empty if none did
}

// Marshal encodes e, having validated it.
func (e *LedgerEntry) Marshal() ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	return marshalFields(e, e.Extra)
}

// ParseLedgerEntry parses and validates a ledger entry. The entry shares no memory with b.
func ParseLedgerEntry(b []byte) (*LedgerEntry, error) {
	e := new(LedgerEntry)
	extra, err := unmarshalFields(b, e)
	if err != nil {
		return nil, fmt.Errorf("ledger entry: %w", err)
	}
	e.Extra = extra
	if err := sameBytes(b, e); err != nil {
		return nil, fmt.Errorf("ledger entry: %w", err)
	}
	return e, nil
}

// Validate reports whether e can be stored: it has the fields of its kind and no others.
func (e *LedgerEntry) Validate() error {
	if e.Kind < Forget || e.Kind > SlotRemoved {
		return fmt.Errorf("%w: ledger kind %d", ErrUnknownKey, e.Kind)
	}
	snapshots := e.Kind != Acknowledge && e.Kind != SlotRemoved && e.Kind != Purge
	optional := e.Kind == Purge || e.Kind == Acknowledge
	switch {
	case snapshots && len(e.Snapshots) == 0:
		return invalidf("%v names no snapshot", e.Kind)
	case !snapshots && !optional && len(e.Snapshots) > 0:
		return invalidf("%v names snapshots", e.Kind)
	case (e.Kind == Purge) != (len(e.Paths) > 0):
		return invalidf("%v with %d paths", e.Kind, len(e.Paths))
	case e.Kind != Tag && len(e.Tags) > 0:
		return invalidf("%v with tags", e.Kind)
	case e.Kind != Pin && !e.Until.IsZero():
		return invalidf("%v with an end", e.Kind)
	case (e.Kind == SlotRemoved) != (e.Slot != nil):
		return invalidf("%v and a key slot do not match", e.Kind)
	case !optional && e.Source != nil:
		return invalidf("%v with a source", e.Kind)
	}
	return e.validateFields()
}

func (e *LedgerEntry) validateFields() error {
	if err := e.Time.validate("time"); err != nil {
		return err
	}
	if err := e.Until.validate("end"); err != nil {
		return err
	}
	if err := validateTexts("text", MaxString, e.Who, e.Why); err != nil {
		return err
	}
	if err := validateWords("tag", e.Tags); err != nil {
		return err
	}
	if err := validateCount("paths", len(e.Paths)); err != nil {
		return err
	}
	for i, p := range e.Paths {
		if err := validatePath(p); err != nil {
			return err
		}
		if len(p) == 0 || i > 0 && bytes.Compare(e.Paths[i-1], p) >= 0 {
			return fmt.Errorf("%w: path %q", ErrOrder, p)
		}
	}
	return e.validateSnapshots()
}

func (e *LedgerEntry) validateSnapshots() error {
	if err := validateCount("snapshots", len(e.Snapshots)); err != nil {
		return err
	}
	for i := range e.Snapshots {
		s := &e.Snapshots[i]
		switch {
		case s.Number == 0:
			return invalidf("snapshot number 0")
		case i > 0 && bytes.Compare(e.Snapshots[i-1].ID[:], s.ID[:]) >= 0:
			return fmt.Errorf("%w: snapshot %x", ErrOrder, s.ID)
		case len(s.Replacement) != 0 && (len(s.Replacement) != 32 || e.Kind != Purge):
			return invalidf("a replacement of %d bytes in a %v", len(s.Replacement), e.Kind)
		}
	}
	return nil
}

// SortSnapshots brings e.Snapshots into the order that Marshal demands.
func (e *LedgerEntry) SortSnapshots() {
	slices.SortFunc(e.Snapshots, func(a, b LedgerSnapshot) int { return bytes.Compare(a.ID[:], b.ID[:]) })
}

// validatePath accepts relative paths of valid names, and the empty path.
func validatePath(p []byte) error {
	if len(p) > MaxPath {
		return limitf("path of %d bytes", len(p))
	}
	if len(p) == 0 {
		return nil
	}
	for name := range bytes.SplitSeq(p, []byte{'/'}) {
		if err := ValidateName(name); err != nil {
			return fmt.Errorf("path %q: %w", p, err)
		}
	}
	return nil
}
