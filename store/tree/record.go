package tree

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// Records are the plaintext of sealed objects: maps with integer keys, whose fields carry their keys in struct tags. They
// are few, so they are decoded by reflection; what the decoder lets through, the canonical check before and the comparison
// after it refuse.

// encMode and decMode return the modes of all records. They are built anew each time, which costs microseconds, rather than kept
// in variables whose construction could fail unseen.
func encMode() cbor.EncMode {
	o := cbor.CoreDetEncOptions()
	o.NilContainers = cbor.NilContainerAsEmpty
	m, err := o.EncMode()
	if err != nil {
		panic("tree: encoding options: " + err.Error())
	}
	return m
}

func decMode() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		MaxNestedLevels:  maxNesting,
		MaxArrayElements: 2 * MaxRecordEntries,
		MaxMapPairs:      4096,
	}.DecMode()
	if err != nil {
		panic("tree: decoding options: " + err.Error())
	}
	return m
}

// marshalFields encodes the struct that v points to, followed by the fields it preserves.
func marshalFields(v any, extra Extra) ([]byte, error) {
	known := knownKeys(v)
	if err := extra.validate(func(k uint64) bool { return known[k] }); err != nil {
		return nil, err
	}
	b, err := encMode().Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(extra) > 0 {
		b = mergeFields(b, extra)
	}
	if len(b) > MaxRecord {
		return nil, limitf("record of %d bytes", len(b))
	}
	return b, nil
}

// mergeFields inserts fields into the canonical map b.
func mergeFields(b []byte, extra Extra) []byte {
	r := reader{b: b}
	pairs := r.count(majorMap, math.MaxInt32)
	out := appendHead(nil, majorMap, uint64(pairs+len(extra)))
	for range pairs {
		k := r.uint(math.MaxUint64)
		v := r.skip()
		for len(extra) > 0 && extra[0].Key < k {
			out, extra = extra[:1].append(out), extra[1:]
		}
		out = append(appendUint(out, k), v...)
	}
	if err := r.end(); err != nil {
		panic("tree: encoder made what the decoder refuses: " + err.Error())
	}
	return extra.append(out)
}

// unmarshalFields decodes b into the struct that v points to and returns the fields that v does not know but preserves. The caller has
// to encode the result again and to compare it with b: see sameBytes.
func unmarshalFields(b []byte, v any) (Extra, error) {
	if len(b) > MaxRecord {
		return nil, limitf("record of %d bytes", len(b))
	}
	known := knownKeys(v)
	var extra Extra
	r := reader{b: b}
	pairs := r.count(majorMap, len(known)+MaxExtraFields)
	var last uint64
	for i := 0; i < pairs && r.err == nil; i++ {
		k := r.key(last, i == 0)
		last = k
		if known[k] {
			r.skip()
		} else {
			extra = r.extra(extra, k)
		}
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	for i := range extra {
		extra[i].Value = cloneBytes(extra[i].Value)
	}
	if err := decMode().Unmarshal(b, v); err != nil {
		return nil, decodeError(err)
	}
	return extra, nil
}

// decodeError gives the decoder's own errors the sentinel of this package; errors of nested types have theirs.
func decodeError(err error) error {
	for _, s := range []error{ErrEncoding, ErrUnknownKey, ErrLimit, ErrInvalid, ErrName, ErrOrder, ErrStructure} {
		if errors.Is(err, s) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrEncoding, err)
}

// record is what all records have.
type record interface {
	Marshal() ([]byte, error)
}

// sameBytes reports an error unless rec encodes to b, which also validates it.
func sameBytes(b []byte, rec record) error {
	again, err := rec.Marshal()
	if err != nil {
		return err
	}
	if !bytes.Equal(again, b) {
		return fmt.Errorf("%w: its meaning has another encoding", ErrEncoding)
	}
	return nil
}

// knownKeys returns the keys in the tags of the struct that v points to.
func knownKeys(v any) map[uint64]bool {
	t := reflect.TypeOf(v).Elem()
	keys := make(map[uint64]bool, t.NumField())
	for i := range t.NumField() {
		number, _, _ := strings.Cut(t.Field(i).Tag.Get("cbor"), ",")
		if k, err := strconv.ParseUint(number, 10, 64); err == nil {
			keys[k] = true
		}
	}
	return keys
}

func validateTexts(what string, limit int, texts ...string) error {
	for _, s := range texts {
		if len(s) > limit {
			return limitf("%s of %d bytes", what, len(s))
		}
		if !utf8.ValidString(s) {
			return invalidf("%s is not UTF-8", what)
		}
	}
	return nil
}

func validateCount(what string, n int) error {
	if n > MaxRecordEntries {
		return limitf("%d %s", n, what)
	}
	return nil
}

// validateIDs demands strictly ascending ids, so that a set has one encoding.
func validateIDs(what string, ids [][32]byte) error {
	for i := 1; i < len(ids); i++ {
		if bytes.Compare(ids[i-1][:], ids[i][:]) >= 0 {
			return fmt.Errorf("%w: %s %d", ErrOrder, what, i)
		}
	}
	return validateCount(what, len(ids))
}
