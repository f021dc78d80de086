package tree

import "fmt"

// MissedPage is the plaintext of one blob chunk of Snapshot.MissedList: further missed paths, as many as fit into a chunk.
type MissedPage struct {
	Missed []Missed `cbor:"0,keyasint"`
	Extra  Extra    `cbor:"-"`
}

// Marshal encodes p, having validated it. What exceeds MaxChunk is refused: the caller splits it.
func (p *MissedPage) Marshal() ([]byte, error) {
	if len(p.Missed) == 0 {
		return nil, invalidf("no missed paths")
	}
	if err := validateMissed(p.Missed); err != nil {
		return nil, err
	}
	b, err := marshalFields(p, p.Extra)
	if err != nil {
		return nil, err
	}
	if len(b) > MaxChunk {
		return nil, limitf("missed paths of %d bytes", len(b))
	}
	return b, nil
}

// ParseMissedPage parses and validates the plaintext of one chunk of Snapshot.MissedList.
func ParseMissedPage(b []byte) (*MissedPage, error) {
	p := new(MissedPage)
	extra, err := unmarshalFields(b, p)
	if err != nil {
		return nil, fmt.Errorf("missed paths: %w", err)
	}
	p.Extra = extra
	if err := sameBytes(b, p); err != nil {
		return nil, fmt.Errorf("missed paths: %w", err)
	}
	return p, nil
}

func validateMissed(missed []Missed) error {
	if err := validateCount("missed paths", len(missed)); err != nil {
		return err
	}
	for i := range missed {
		m := &missed[i]
		if err := validatePath(m.Path); err != nil {
			return err
		}
		if err := validateTexts("detail", MaxString, m.Detail); err != nil {
			return err
		}
	}
	return nil
}
