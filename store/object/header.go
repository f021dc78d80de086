package object

import (
	"encoding/binary"
	"fmt"

	"keepsake/crypto"
)

// Version is the format that this package writes and the newest that it reads.
const Version = 1

// HeaderSize is the length of the header that all objects share.
const HeaderSize = 16

// Kind says what an object is. The values are part of the format.
type Kind byte

// The kinds of objects.
const (
	Config    Kind = 1 // repository id and format version, framed
	Slot      Kind = 2 // key slot, framed
	Epoch     Kind = 3 // key epoch record, framed
	Snapshot  Kind = 4 // manifest of one snapshot, sealed
	Ledger    Kind = 5 // what happened to snapshots later, sealed
	Catalog   Kind = 6 // merged tables of contents, sealed, derived
	Condemned Kind = 7 // packs that a prune will delete, sealed
	DataPack  Kind = 8 // pack of file contents
	MetaPack  Kind = 9 // pack of tree pages, content lists and blobs
)

// kinds holds the name and the magic of each kind. Magics differ in several bits at least, and the
// kind byte repeats them, so that no single flipped bit turns one kind into another.
var kinds = [...]struct{ name, magic string }{
	Config:    {"config", "KEEPCONF"},
	Slot:      {"slot", "KEEPSLOT"},
	Epoch:     {"epoch", "KEEPEPOC"},
	Snapshot:  {"snapshot", "KEEPSNAP"},
	Ledger:    {"ledger", "KEEPLEDG"},
	Catalog:   {"catalog", "KEEPCATA"},
	Condemned: {"condemned", "KEEPGONE"},
	DataPack:  {"data-pack", "KEEPDATA"},
	MetaPack:  {"meta-pack", "KEEPMETA"},
}

// Valid reports whether k is a kind of this format.
func (k Kind) Valid() bool { return k > 0 && int(k) < len(kinds) }

// String returns the kind's name in lower case, "object" for no kind.
func (k Kind) String() string {
	switch {
	case k.Valid():
		return kinds[k].name
	case k == 0:
		return "object"
	}
	return fmt.Sprintf("object of kind %d", byte(k))
}

// Purpose returns the key-derivation purpose of objects of this kind: "object/<kind>".
// It is part of the format.
func (k Kind) Purpose() string { return "object/" + k.String() }

// Header is what the first 16 bytes of an object say.
type Header struct {
	Kind Kind
	// Suite and Epoch name the key that the object is sealed under; both are 0 in framed objects.
	Suite crypto.Suite
	Epoch crypto.Epoch
}

// AppendHeader appends the 16 bytes of h in the current version. It panics if h has no valid kind.
func AppendHeader(dst []byte, h Header) []byte {
	if !h.Kind.Valid() {
		panic("object: header of " + h.Kind.String())
	}
	dst = append(dst, kinds[h.Kind].magic...)
	dst = binary.BigEndian.AppendUint16(dst, Version)
	dst = append(dst, byte(h.Kind), byte(h.Suite))
	return binary.BigEndian.AppendUint32(dst, uint32(h.Epoch))
}

// ParseHeader reads the header at the beginning of b. It does not look at the checksum; where the
// whole object is at hand, CheckFrame comes first, so that rot in the version is not taken for a
// newer format.
func ParseHeader(b []byte) (Header, error) {
	kind, version, err := identify(b)
	if err != nil {
		return Header{}, err
	}
	if version > Version {
		return Header{}, newer(kind, version)
	}
	h := Header{Kind: kind, Suite: crypto.Suite(b[11]), Epoch: crypto.Epoch(binary.BigEndian.Uint32(b[12:]))}
	switch {
	case Kind(b[10]) != kind:
		return Header{}, Corrupt(kind, 10, "kind byte is %d", b[10])
	case (h.Suite == 0) != (h.Epoch == 0):
		return Header{}, Corrupt(kind, 11, "suite %d does not go with epoch %d", b[11], h.Epoch)
	}
	return h, nil
}

// Identify returns the kind of the object that begins with b, whatever its version.
func Identify(b []byte) (Kind, error) {
	kind, _, err := identify(b)
	return kind, err
}

// identify reads what every version of the format has at the same place.
func identify(b []byte) (Kind, uint16, error) {
	if len(b) < HeaderSize {
		return 0, 0, Corrupt(0, int64(len(b)), "ends within its header")
	}
	for k := Config; k.Valid(); k++ {
		if string(b[:8]) != kinds[k].magic {
			continue
		}
		version := binary.BigEndian.Uint16(b[8:])
		if version == 0 {
			return 0, 0, Corrupt(k, 8, "version is 0")
		}
		return k, version, nil
	}
	return 0, 0, Corrupt(0, 0, "unknown magic %q", b[:8])
}

func newer(kind Kind, version uint16) error {
	return fmt.Errorf("%s in format %d: %w", kind, version, ErrVersion)
}
