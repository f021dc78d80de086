package tree

import "keepsake/crypto"

// ExtentList are the pieces of a file, or of a blob, in order.
type ExtentList []Extent

// IsZero reports whether the list is empty.
func (l ExtentList) IsZero() bool { return len(l) == 0 }

// Sum returns the bytes that the extents cover, having checked each of them and that the sum stays within MaxSize.
func (l ExtentList) Sum() (uint64, error) {
	var sum uint64
	for i := range l {
		e := &l[i]
		if err := e.validate(); err != nil {
			return 0, err
		}
		// Neither side exceeds MaxInt64, so the sum does not wrap.
		if sum += e.Length; sum > MaxSize {
			return 0, limitf("extents sum up to more than %d bytes", uint64(MaxSize))
		}
	}
	return sum, nil
}

func (l ExtentList) sumWithoutHoles() (uint64, error) {
	for i := range l {
		if l[i].Hole {
			return 0, invalidf("a blob with a hole")
		}
	}
	return l.Sum()
}

func (e *Extent) validate() error {
	switch {
	case e.Length == 0:
		return invalidf("an empty extent")
	case e.Hole && e.Length > MaxSize:
		return limitf("hole of %d bytes", e.Length)
	case e.Hole && e.Chunk != crypto.ChunkID{}:
		return invalidf("a hole with a chunk")
	case !e.Hole && e.Length > MaxChunk:
		return limitf("chunk of %d bytes", e.Length)
	}
	return nil
}

// The wire form of extents is one flat array: a length and a chunk id for data, a negative length alone for a hole.
func (l ExtentList) append(b []byte) []byte {
	items := 0
	for i := range l {
		if items++; !l[i].Hole {
			items++
		}
	}
	b = appendHead(b, majorArray, uint64(items))
	for i := range l {
		e := &l[i]
		if e.Hole {
			b = appendHead(b, majorNegint, e.Length-1)
			continue
		}
		b = appendUint(b, e.Length)
		b = appendBytes(b, e.Chunk[:])
	}
	return b
}

// extents reads at least one and at most limit extents. Their lengths are checked, their sum is not.
func (r *reader) extents(limit int) ExtentList {
	items := r.count(majorArray, 2*limit)
	if r.err == nil && items == 0 {
		r.failf("an empty list that should be left out")
	}
	if r.err != nil {
		return nil
	}
	l := make(ExtentList, 0, min((items+1)/2, limit))
	for items > 0 && r.err == nil {
		var e Extent
		major, n := r.head()
		switch major {
		case majorUint:
			e.Length = n
			e.Chunk = r.chunk()
			items -= 2
		case majorNegint:
			e.Length, e.Hole = n+1, true
			items--
		default:
			r.failf("major type %d in a list of extents", major)
		}
		if r.err == nil && (items < 0 || len(l) == limit) {
			r.failf("items of the list do not match its extents")
		}
		if r.err == nil {
			if err := e.validate(); err != nil {
				r.fail(err)
			}
		}
		l = append(l, e)
	}
	if r.err != nil {
		return nil
	}
	return l
}

// MarshalCBOR encodes the list.
func (l ExtentList) MarshalCBOR() ([]byte, error) { return l.append(nil), nil }

// UnmarshalCBOR decodes a list of at most MaxRecordEntries extents.
func (l *ExtentList) UnmarshalCBOR(b []byte) error {
	r := reader{b: b}
	v := r.extents(MaxRecordEntries)
	if err := r.end(); err != nil {
		return err
	}
	*l = v
	return nil
}
