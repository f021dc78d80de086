package tree

import (
	"bytes"
	"fmt"
	"math"
	"time"
)

// Snapshot is the manifest of a snapshot: which source, when, by whom, how complete, and the root node.
type Snapshot struct {
	Source      [16]byte     `cbor:"0,keyasint"`
	Writer      [16]byte     `cbor:"2,keyasint"`
	Number      uint64       `cbor:"4,keyasint"`           // 1, 2, 3… in the chain of source and writer
	Previous    *[32]byte    `cbor:"6,keyasint,omitempty"` // object id of number-1; nil for number 1
	Root        Node         `cbor:"8,keyasint"`
	Basis       Basis        `cbor:"10,keyasint"`
	Missed      []Missed     `cbor:"12,keyasint,omitempty"` // by path; the first MaxMissedInline
	MissedCount uint64       `cbor:"14,keyasint,omitempty"` // all of them, those in Missed included
	MissedList  ExtentList   `cbor:"16,keyasint,omitzero"`  // blob chunks with the others, as MarshalMissed writes them
	Started     Time         `cbor:"18,keyasint"`
	Finished    Time         `cbor:"20,keyasint"`
	RootPath    []byte       `cbor:"22,keyasint,omitempty"` // absolute path on the captured machine; empty for a command
	Heads       []Head       `cbor:"1,keyasint,omitempty"`  // newest snapshots of all other chains the writer saw, by source and writer
	Label       string       `cbor:"3,keyasint,omitempty"`
	Host        string       `cbor:"5,keyasint,omitempty"`
	User        string       `cbor:"7,keyasint,omitempty"`
	Version     string       `cbor:"9,keyasint,omitempty"`  // of keepsake
	ZoneOffset  int32        `cbor:"11,keyasint,omitempty"` // of the captured machine at Started, in seconds east of UTC
	Tags        []string     `cbor:"13,keyasint,omitempty"` // ascending
	Stats       Stats        `cbor:"15,keyasint,omitzero"`
	Filesystems []Filesystem `cbor:"17,keyasint,omitempty"` // at index Node.FS
	Marks       []string     `cbor:"19,keyasint,omitempty"` // names of the guards that found something, ascending
	Dropped     []Dropped    `cbor:"21,keyasint,omitempty"` // what was left out on purpose, by rule, ascending
	Why         []string     `cbor:"23,keyasint,omitempty"` // why more was looked at than events named, ascending
	Extra       Extra        `cbor:"-"`
}

// Basis says how a snapshot knows what has changed.
type Basis uint8

// The bases. Their numbers are part of the format.
const (
	Scanned    Basis = 1 // every directory was read
	Events     Basis = 2 // directories named by events were read, all others taken over
	Polled     Basis = 3 // no events arrive; directories were read in turn
	InProgress Basis = 4 // published before the first scan was through
)

// String returns the word for people.
func (b Basis) String() string {
	switch b {
	case Scanned:
		return "scanned"
	case Events:
		return "events"
	case Polled:
		return "polled"
	case InProgress:
		return "in-progress"
	}
	return "unknown"
}

// Head is the newest snapshot of a chain, as its observer saw it.
type Head struct {
	_      struct{} `cbor:",toarray"`
	Source [16]byte
	Writer [16]byte
	Number uint64
	ID     [32]byte // object id of the snapshot
}

// Filesystem is one that the source spans.
type Filesystem struct {
	_    struct{} `cbor:",toarray"`
	Type string   // as the kernel calls it: "ext4", "btrfs", "apfs"
	ID   []byte   // UUID or fsid, at most 32 bytes; empty if it has none
}

// Reason says why a path is missed.
type Reason uint8

// The reasons. Readers take others as ReasonOther.
const (
	ReasonOther      Reason = 0
	ReasonPermission Reason = 1  // not allowed to read
	ReasonInput      Reason = 2  // the device failed
	ReasonVanished   Reason = 3  // gone between listing and reading
	ReasonFlux       Reason = 4  // still being written, and no previous version to keep
	ReasonKept       Reason = 5  // still being written; the previous version was kept
	ReasonName       Reason = 6  // a name that cannot be stored
	ReasonLimit      Reason = 7  // beyond a limit of the format
	ReasonDamaged    Reason = 8  // the previous version lies in damaged chunks
	ReasonPending    Reason = 9  // not reached yet: the snapshot is in progress
	ReasonRequired   Reason = 10 // has to be there, and is missing or empty
	ReasonRot        Reason = 11 // changed although its times did not; the old version was kept
	ReasonCommand    Reason = 12 // the command that makes it failed, or made less than it should
	ReasonBundle     Reason = 13 // another part of its bundle was still being written; the previous versions of all were kept
)

// String returns a short phrase for people.
func (r Reason) String() string {
	phrases := [...]string{
		"could not be read", "permission denied", "input/output error", "vanished", "still being written",
		"still being written, previous version kept", "unsupported name", "beyond a limit", "damaged in the repository", "not reached yet",
		"required and not there", "changed although its times did not, old version kept", "its command did not deliver", "another part of its bundle was still being written",
	}
	if int(r) >= len(phrases) {
		r = ReasonOther
	}
	return phrases[r]
}

// Missed is a path that the snapshot should hold and does not, or not in its present version.
type Missed struct {
	_      struct{} `cbor:",toarray"`
	Path   []byte   // relative to the root of the source, raw; empty for the root itself
	Reason Reason
	Detail string // the system's own words; may be empty
}

// Dropped counts the paths that one rule left out of the snapshot on purpose. A directory that is left out counts as one path, whatever
// lies in it.
type Dropped struct {
	_     struct{} `cbor:",toarray"`
	Rule  string   // "pattern *.tmp", "preset nas-droppings", "CACHEDIR.TAG"
	Paths uint64   // at least 1
}

// Stats counts what the snapshot holds and what making it took.
type Stats struct {
	Files          uint64 `cbor:"1,keyasint,omitempty"`
	Dirs           uint64 `cbor:"3,keyasint,omitempty"` // below the root
	Others         uint64 `cbor:"5,keyasint,omitempty"`
	Bytes          uint64 `cbor:"7,keyasint,omitempty"` // sizes of all files
	NewFiles       uint64 `cbor:"9,keyasint,omitempty"`
	ChangedFiles   uint64 `cbor:"11,keyasint,omitempty"`
	UnchangedFiles uint64 `cbor:"13,keyasint,omitempty"`
	DeletedFiles   uint64 `cbor:"15,keyasint,omitempty"`
	ReadBytes      uint64 `cbor:"17,keyasint,omitempty"` // bytes read from the source
	AddedBytes     uint64 `cbor:"19,keyasint,omitempty"` // bytes added to the repository, as stored
	Extra          Extra  `cbor:"-"`
}

// statsFields is Stats without its methods, for the codec.
type statsFields Stats

// IsZero reports whether nothing was counted.
func (s Stats) IsZero() bool {
	extra := s.Extra
	s.Extra = nil
	return len(extra) == 0 && statsFields(s).zero()
}

func (s statsFields) zero() bool {
	return s.Files|s.Dirs|s.Others|s.Bytes|s.NewFiles|s.ChangedFiles|s.UnchangedFiles|s.DeletedFiles|s.ReadBytes|s.AddedBytes == 0
}

// MarshalCBOR encodes the statistics as a map of their own.
func (s Stats) MarshalCBOR() ([]byte, error) {
	f := statsFields(s)
	return marshalFields(&f, s.Extra)
}

// UnmarshalCBOR is the inverse of MarshalCBOR.
func (s *Stats) UnmarshalCBOR(b []byte) error {
	var f statsFields
	extra, err := unmarshalFields(b, &f)
	if err != nil {
		return err
	}
	*s = Stats(f)
	s.Extra = extra
	return nil
}

// Zone returns the time zone of the captured machine when the snapshot was started.
func (s *Snapshot) Zone() *time.Location { return time.FixedZone("", int(s.ZoneOffset)) }

// Complete reports whether the snapshot holds all it should.
func (s *Snapshot) Complete() bool { return s.MissedCount == 0 && s.Basis != InProgress }

// Marshal encodes s, having validated it.
func (s *Snapshot) Marshal() ([]byte, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return marshalFields(s, s.Extra)
}

// ParseSnapshot parses and validates a manifest. The snapshot shares no memory with b.
func ParseSnapshot(b []byte) (*Snapshot, error) {
	s := new(Snapshot)
	extra, err := unmarshalFields(b, s)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	s.Extra = extra
	if err := sameBytes(b, s); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return s, nil
}

// Validate reports whether s can be stored.
func (s *Snapshot) Validate() error {
	switch {
	case s.Number == 0 || (s.Number == 1) != (s.Previous == nil):
		return invalidf("number %d and its predecessor do not match", s.Number)
	case len(s.Root.Name) > 0:
		return invalidf("the root is named %q", s.Root.Name)
	case s.Basis < Scanned || s.Basis > InProgress:
		return invalidf("basis %d", s.Basis)
	case s.ZoneOffset < -24*3600 || s.ZoneOffset > 24*3600:
		return invalidf("time zone %d s east", s.ZoneOffset)
	case len(s.RootPath) > MaxPath:
		return limitf("root path of %d bytes", len(s.RootPath))
	}
	if err := s.Root.Validate(); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	if err := s.Started.validate("start"); err != nil {
		return err
	}
	if err := s.Finished.validate("finish"); err != nil {
		return err
	}
	if err := validateTexts("text", MaxString, s.Label, s.Host, s.User, s.Version); err != nil {
		return err
	}
	if err := validateWords("tag", s.Tags); err != nil {
		return err
	}
	if err := validateWords("mark", s.Marks); err != nil {
		return err
	}
	if err := validateWords("cause", s.Why); err != nil {
		return err
	}
	if err := s.validateDropped(); err != nil {
		return err
	}
	if err := s.validateMissed(); err != nil {
		return err
	}
	return s.validateLists()
}

func (s *Snapshot) validateMissed() error {
	n := len(s.Missed)
	switch {
	case n > MaxMissedInline:
		return limitf("%d missed paths in the snapshot", n)
	case s.MissedCount > math.MaxInt64 || s.MissedCount < uint64(n):
		return invalidf("%d missed paths counted, %d listed", s.MissedCount, n)
	case (s.MissedCount > uint64(n)) != (len(s.MissedList) > 0):
		return invalidf("%d missed paths counted, %d listed, %d chunks", s.MissedCount, n, len(s.MissedList))
	}
	if err := validateMissed(s.Missed); err != nil {
		return err
	}
	_, err := s.MissedList.sumWithoutHoles()
	return err
}

func (s *Snapshot) validateDropped() error {
	if err := validateCount("rules", len(s.Dropped)); err != nil {
		return err
	}
	for i, d := range s.Dropped {
		switch {
		case d.Rule == "" || d.Paths == 0 || d.Paths > math.MaxInt64:
			return invalidf("rule %q left out %d paths", d.Rule, d.Paths)
		case i > 0 && s.Dropped[i-1].Rule >= d.Rule:
			return fmt.Errorf("%w: rule %q after %q", ErrOrder, d.Rule, s.Dropped[i-1].Rule)
		}
		if err := validateTexts("rule", MaxString, d.Rule); err != nil {
			return err
		}
	}
	return nil
}

func (s *Snapshot) validateLists() error {
	if err := validateCount("heads", len(s.Heads)); err != nil {
		return err
	}
	for i := 1; i < len(s.Heads); i++ {
		if s.Heads[i-1].compare(&s.Heads[i]) >= 0 {
			return fmt.Errorf("%w: head %d", ErrOrder, i)
		}
	}
	if err := validateCount("file systems", len(s.Filesystems)); err != nil {
		return err
	}
	for _, f := range s.Filesystems {
		if err := validateTexts("file system type", MaxString, f.Type); err != nil {
			return err
		}
		if len(f.ID) > 32 {
			return limitf("file system id of %d bytes", len(f.ID))
		}
	}
	return nil
}

func (h *Head) compare(o *Head) int {
	if c := bytes.Compare(h.Source[:], o.Source[:]); c != 0 {
		return c
	}
	return bytes.Compare(h.Writer[:], o.Writer[:])
}

// validateWords demands strictly ascending, non-empty words.
func validateWords(what string, words []string) error {
	if err := validateCount(what+"s", len(words)); err != nil {
		return err
	}
	for i, w := range words {
		if w == "" {
			return invalidf("empty %s", what)
		}
		if i > 0 && words[i-1] >= w {
			return fmt.Errorf("%w: %s %q after %q", ErrOrder, what, w, words[i-1])
		}
	}
	return validateTexts(what, MaxString, words...)
}
