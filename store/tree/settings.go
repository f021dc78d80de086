package tree

import "fmt"

// Settings are sealed facts of a repository which never change: above all how files are cut, since files cut otherwise share nothing
// with those there are.
type Settings struct {
	Polynomial uint64 `cbor:"0,keyasint"` // of the chunker; secret
	Head       uint64 `cbor:"2,keyasint"` // chunks that start before this offset are cut by Fine, others by Coarse
	Fine       Grade  `cbor:"4,keyasint"`
	Coarse     Grade  `cbor:"6,keyasint"`
	Created    Time   `cbor:"1,keyasint,omitzero"`
	Creator    string `cbor:"3,keyasint,omitempty"` // version of keepsake
	Extra      Extra  `cbor:"-"`
}

// Grade is how finely a part of a file is cut: chunks of Min to Max bytes, beyond Min one cut in 2^Bits bytes.
type Grade struct {
	_    struct{} `cbor:",toarray"`
	Min  uint32
	Max  uint32
	Bits uint8
}

// Marshal encodes s, having validated it.
func (s *Settings) Marshal() ([]byte, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return marshalFields(s, s.Extra)
}

// ParseSettings parses and validates settings. Whether the polynomial is a good one is for the chunker to say.
func ParseSettings(b []byte) (*Settings, error) {
	s := new(Settings)
	extra, err := unmarshalFields(b, s)
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	s.Extra = extra
	if err := sameBytes(b, s); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	return s, nil
}

// Validate reports whether s can be stored.
func (s *Settings) Validate() error {
	if s.Polynomial == 0 {
		return invalidf("no polynomial")
	}
	if s.Head > MaxSize {
		return limitf("head of %d bytes", s.Head)
	}
	for _, g := range []Grade{s.Fine, s.Coarse} {
		if g.Min == 0 || g.Min > g.Max || g.Max > MaxChunk || g.Bits > 32 {
			return invalidf("grade of %d to %d bytes, %d bits", g.Min, g.Max, g.Bits)
		}
	}
	if err := s.Created.validate("creation"); err != nil {
		return err
	}
	return validateTexts("creator", MaxString, s.Creator)
}
