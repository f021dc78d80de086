package tree

import "fmt"

// Field is a field of a map whose odd key this version does not know. It is preserved, so that an older keepsake which
// rewrites a node of a newer one loses nothing.
type Field struct {
	Key   uint64
	Value []byte // canonical CBOR, one item
}

// Extra are the preserved fields of one map, by ascending key.
type Extra []Field

func (e Extra) append(b []byte) []byte {
	for _, f := range e {
		b = appendUint(b, f.Key)
		b = append(b, f.Value...)
	}
	return b
}

// validate refuses keys that this version knows itself, which would make two encodings of one meaning.
func (e Extra) validate(known func(uint64) bool) error {
	if len(e) > MaxExtraFields {
		return limitf("%d unknown fields exceed %d", len(e), MaxExtraFields)
	}
	total := 0
	for i, f := range e {
		switch {
		case f.Key%2 == 0 || known(f.Key):
			return invalidf("key %d cannot be an unknown field", f.Key)
		case i > 0 && e[i-1].Key >= f.Key:
			return fmt.Errorf("%w: unknown field %d after %d", ErrOrder, f.Key, e[i-1].Key)
		}
		if total += len(f.Value); total > MaxExtra {
			return limitf("unknown fields exceed %d bytes", MaxExtra)
		}
		r := reader{b: f.Value}
		r.skip()
		if err := r.end(); err != nil {
			return fmt.Errorf("unknown field %d: %w", f.Key, err)
		}
	}
	return nil
}

// extra reads the value of an unknown key: an odd one is added to e, an even one refused.
func (r *reader) extra(e Extra, key uint64) Extra {
	if r.err != nil {
		return e
	}
	if key%2 == 0 {
		r.fail(fmt.Errorf("%w: key %d", ErrUnknownKey, key))
		return e
	}
	total := 0
	for _, f := range e {
		total += len(f.Value)
	}
	v := r.skip()
	if len(e) == MaxExtraFields || total+len(v) > MaxExtra {
		r.fail(limitf("unknown fields exceed %d or %d bytes", MaxExtraFields, MaxExtra))
		return e
	}
	return append(e, Field{Key: key, Value: v})
}
