package tree_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"keepsake/store/tree"
)

// parse parses b as what v is.
func parse(v marshaler, b []byte) (marshaler, error) {
	switch v.(type) {
	case *tree.Node:
		return wrap(tree.ParseNode(b))
	case *tree.Page:
		return wrap(tree.DecodePage(b))
	case *tree.List:
		return wrap(tree.DecodeList(b))
	case *tree.Snapshot:
		return wrap(tree.ParseSnapshot(b))
	case *tree.MissedPage:
		return wrap(tree.ParseMissedPage(b))
	case *tree.LedgerEntry:
		return wrap(tree.ParseLedgerEntry(b))
	case *tree.Condemned:
		return wrap(tree.ParseCondemned(b))
	case *tree.Catalog:
		return wrap(tree.ParseCatalog(b))
	case *tree.Settings:
		return wrap(tree.ParseSettings(b))
	}
	panic("unknown sample")
}

func wrap[T marshaler](v T, err error) (marshaler, error) {
	if err != nil {
		if !reflect.ValueOf(v).IsNil() {
			panic("an error with a result")
		}
		return nil, err
	}
	return v, nil
}

var sentinels = []error{tree.ErrEncoding, tree.ErrUnknownKey, tree.ErrLimit, tree.ErrInvalid, tree.ErrName, tree.ErrOrder, tree.ErrStructure}

func classified(err error) bool {
	return slices.ContainsFunc(sentinels, func(s error) bool { return errors.Is(err, s) })
}

func TestRoundTrip(t *testing.T) {
	for name, v := range samples() {
		b, err := v.Marshal()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := parse(v, b)
		if err != nil {
			t.Errorf("%s: %v\n%x", name, err, b)
			continue
		}
		again, err := got.Marshal()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s: parsed and encoded again: %v\n%x\n%x", name, err, again, b)
		}
		// Encodings leave no room for nil and empty to differ, except in fields that a parser fills.
		if !reflect.DeepEqual(normal(got), normal(v)) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, v)
		}
	}
}

// normal makes empty byte slices nil.
func normal(v marshaler) marshaler {
	switch v := v.(type) {
	case *tree.Node:
		for i := range v.Xattrs {
			if len(v.Xattrs[i].Value) == 0 {
				v.Xattrs[i].Value = nil
			}
		}
	case *tree.Page:
		if len(v.Nodes) == 0 {
			v.Nodes = nil
		}
	case *tree.LedgerEntry:
		for i := range v.Snapshots {
			if len(v.Snapshots[i].Replacement) == 0 {
				v.Snapshots[i].Replacement = nil
			}
		}
	case *tree.Catalog:
		for i := range v.Packs {
			if len(v.Packs[i].Entries) == 0 {
				v.Packs[i].Entries = nil
			}
		}
	}
	return v
}

// Every encoding is what an independent encoder makes of its meaning under core deterministic rules.
func TestDeterministicEncoding(t *testing.T) {
	dec, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden, MaxArrayElements: 1 << 20}.DecMode()
	if err != nil {
		t.Fatal(err)
	}
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range samples() {
		b, err := v.Marshal()
		if err != nil {
			t.Fatal(name, err)
		}
		var any any
		if err := dec.Unmarshal(b, &any); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again, err := enc.Marshal(any); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s: %v\n got %x\nwant %x", name, err, b, again)
		}
	}
}

// testdata/vectors.txt pins the format: "name = hex" lines. A change there is a change of the format.
func TestVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	pinned := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " = "); ok && name[0] != '#' {
			pinned[name] = value
		}
	}
	all := samples()
	for name, v := range all {
		b, err := v.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(b); got != pinned[name] {
			t.Errorf("changed:\n%s = %s", name, got)
		}
	}
	for name := range pinned {
		if all[name] == nil {
			t.Errorf("nothing encodes to %q any more", name)
		}
	}
}

// Whatever byte of an encoding is lost, added or flipped: the parser reports one of its errors, or what it accepts is canonical.
func TestMutations(t *testing.T) {
	for name, v := range samples() {
		b, err := v.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		check := func(what string, i int, m []byte) {
			got, err := parse(v, m)
			if err != nil {
				if !classified(err) {
					t.Errorf("%s, %s %d: error of no class: %v", name, what, i, err)
				}
				return
			}
			if again, err := got.Marshal(); err != nil || !bytes.Equal(again, m) {
				t.Errorf("%s, %s %d: accepted %x, encodes as %x, %v", name, what, i, m, again, err)
			}
		}
		for i := range b {
			if _, err := parse(v, b[:i]); err == nil {
				t.Errorf("%s: accepted the first %d of %d bytes", name, i, len(b))
			}
			for bit := range 8 {
				m := bytes.Clone(b)
				m[i] ^= 1 << bit
				check("bit of byte", i, m)
			}
			check("without byte", i, slices.Delete(bytes.Clone(b), i, i+1))
			check("zero before byte", i, slices.Insert(bytes.Clone(b), i, 0))
		}
		if _, err := parse(v, append(bytes.Clone(b), 0)); err == nil {
			t.Errorf("%s: accepted a byte too many", name)
		}
	}
}

func TestUnknownKeys(t *testing.T) {
	for name, v := range samples() {
		b, err := v.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if b[0] >= 0xb7 {
			continue // one more pair would make the head longer; TestRoundTrip has such a node
		}
		with := func(key byte) []byte {
			m := append(bytes.Clone(b), 0x18, key, 0x82, 0x01, 0x61, 'x')
			m[0]++
			return m
		}
		if strings.HasSuffix(name, "newer") {
			continue // has key 1001 at its end already
		}
		if _, err := parse(v, with(200)); !errors.Is(err, tree.ErrUnknownKey) {
			t.Errorf("%s with an unknown even key: %v", name, err)
		}
		got, err := parse(v, with(201))
		if err != nil {
			t.Errorf("%s with an unknown odd key: %v", name, err)
			continue
		}
		if again, err := got.Marshal(); err != nil || !bytes.Equal(again, with(201)) {
			t.Errorf("%s lost an unknown odd key: %v\n%x", name, err, again)
		}
	}
}

// An unknown field of the statistics, which are a map within the map, survives too.
func TestUnknownKeyOfStats(t *testing.T) {
	s := sampleSnapshot()
	s.Stats.Extra = tree.Extra{{Key: 99, Value: []byte{0x05}}}
	s.Extra = tree.Extra{{Key: 25, Value: []byte{0x80}}}
	b, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := tree.ParseSnapshot(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, s) {
		t.Errorf("got %+v\nwant %+v", got, s)
	}
}
