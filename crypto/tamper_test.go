package crypto_test

import (
	"errors"
	"strings"
	"testing"

	"keepsake/crypto"
)

// stride is the distance between the bytes that are changed. Under the race detector, which
// has nothing to find here, opening every one of them would take minutes.
var stride = map[bool]int{false: 1, true: 13}[raceEnabled]

// Every byte of a slot is changed in turn. Either the slot no longer parses, or the secret
// seems wrong (the salt and the commitment decide that), or the tampering is named. Never does
// it open.
func TestEveryByteOfASlot(t *testing.T) {
	k := newKeyring(t)
	a := keyFileSlot(t, k, "office")
	good := marshal(t, a.slot)
	const salt, public = 40, 104 // the salt and the commitment lie between
	for i := 0; i < len(good); i += stride {
		b := append([]byte(nil), good...)
		b[i] ^= 1
		s, err := crypto.ParseSlot(b)
		if err != nil {
			if i >= salt && i < 1368 {
				t.Fatalf("byte %d: %v", i, err)
			}
			continue
		}
		_, _, err = crypto.Unlock(testRepository, []*crypto.Slot{s}, nil, a.secret)
		var te *crypto.TamperedError
		switch {
		case i == 1:
			wantErr(t, err, crypto.ErrNoSlots) // it has become a slot of another kind
		case i >= salt && i < public:
			wantErr(t, err, crypto.ErrWrongSecret)
		case !errors.As(err, &te) || !errors.Is(err, crypto.ErrTampered) || !strings.HasPrefix(te.Object, "key slot "):
			t.Fatalf("byte %d: error %v", i, err)
		}
		if err := k.VerifySlot(s); err == nil {
			t.Fatalf("byte %d: served by a rotation", i)
		}
	}
}

// The same for an epoch record, of which every byte is authenticated.
func TestEveryByteOfAnEpochRecord(t *testing.T) {
	k := newKeyring(t)
	a, b := keyFileSlot(t, k, "a"), keyFileSlot(t, k, "b")
	r, two := rotate(t, k, a.slot, b.slot)
	good := marshal(t, r)
	for i := 0; i < len(good); i += stride {
		c := append([]byte(nil), good...)
		c[i] ^= 1
		r, err := crypto.ParseEpochRecord(c)
		if err != nil {
			if i >= 8 && i < len(good)-32 && !isGrantSlot(i) {
				t.Fatalf("byte %d: %v", i, err)
			}
			continue
		}
		if err := two.VerifyRecord(r); !errors.Is(err, crypto.ErrTampered) {
			t.Fatalf("byte %d: error %v", i, err)
		}
		for _, h := range []held{a, b} {
			_, _, err = crypto.Unlock(testRepository, slots(a, b), records(r), h.secret)
			if !errors.Is(err, crypto.ErrTampered) && (!errors.Is(err, crypto.ErrNotServed) || !isGrantSlot(i)) {
				t.Fatalf("byte %d: error %v", i, err)
			}
		}
	}
	if err := two.VerifyRecord(r); err != nil {
		t.Error(err)
	}
	if err := k.VerifyRecord(r); !errors.Is(err, crypto.ErrUnknownEpoch) {
		t.Errorf("a record of an epoch to come: %v", err)
	}
}

// isGrantSlot reports whether byte i of a record of epoch 2 with two grants is in a slot's id:
// changed, it may break the order, or name nobody.
func isGrantSlot(i int) bool {
	const first, size = 8 + 48, 16 + 32 + 1168
	return i >= first && i < first+2*size && (i-first)%size < 16
}

func TestParseEpochRecordRefusals(t *testing.T) {
	k := newKeyring(t)
	a, b := keyFileSlot(t, k, "a"), keyFileSlot(t, k, "b")
	r, _ := rotate(t, k, a.slot, b.slot)
	good := marshal(t, r)
	at := func(i int, v byte) []byte {
		b := append([]byte(nil), good...)
		b[i] = v
		return b
	}
	const first, size = 8 + 48, 16 + 32 + 1168
	swapped := append([]byte(nil), good[:first]...)
	swapped = append(swapped, good[first+size:first+2*size]...)
	swapped = append(swapped, good[first:first+size]...)
	swapped = append(swapped, good[first+2*size:]...)
	doubled := append([]byte(nil), good[:first+size]...)
	doubled = append(doubled, good[first:first+size]...)
	doubled = append(doubled, good[first+2*size:]...)
	for _, v := range []struct {
		name string
		b    []byte
		want error
	}{
		{"empty", nil, crypto.ErrMalformed},
		{"cut", good[:len(good)-1], crypto.ErrMalformed},
		{"longer", append(append([]byte(nil), good...), 0), crypto.ErrMalformed},
		{"oversized", make([]byte, crypto.MaxEpochRecordSize+1), crypto.ErrMalformed},
		{"layout 2", at(0, 2), crypto.ErrVersion},
		{"suite 2", at(1, 2), crypto.ErrVersion},
		{"no grants", at(3, 0), crypto.ErrMalformed},
		{"a grant more", at(3, 3), crypto.ErrMalformed},
		{"too many grants", at(3, 17), crypto.ErrMalformed},
		{"epoch 1", at(7, 1), crypto.ErrMalformed},
		{"epoch 3", at(7, 3), crypto.ErrMalformed},
		{"an epoch without end", at(4, 0xFF), crypto.ErrMalformed},
		{"grants out of order", swapped, crypto.ErrMalformed},
		{"one slot twice", doubled, crypto.ErrMalformed},
	} {
		t.Run(v.name, func(t *testing.T) {
			r, err := crypto.ParseEpochRecord(v.b)
			wantErr(t, err, v.want)
			if r != nil {
				t.Error("a record beside an error")
			}
		})
	}
	for name, r := range map[string]crypto.EpochRecord{
		"zero":                  {},
		"predecessors cut":      {Epoch: 2, SealedPredecessors: r.SealedPredecessors[1:], Grants: r.Grants},
		"grants out of order":   {Epoch: 2, SealedPredecessors: r.SealedPredecessors, Grants: []crypto.EpochGrant{r.Grants[1], r.Grants[0]}},
		"more grants than fit":  {Epoch: 2, SealedPredecessors: r.SealedPredecessors, Grants: make([]crypto.EpochGrant, 17)},
		"an epoch past the end": {Epoch: crypto.MaxEpoch + 1, SealedPredecessors: r.SealedPredecessors, Grants: r.Grants},
	} {
		if _, err := r.MarshalBinary(); !errors.Is(err, crypto.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		_, _, err := crypto.Unlock(testRepository, slots(a), records(&r), a.secret)
		if !errors.Is(err, crypto.ErrMalformed) {
			t.Errorf("%s: unlocked: %v", name, err)
		}
	}
}

func TestSlotOfAnotherRepository(t *testing.T) {
	k := newKeyring(t)
	a := keyFileSlot(t, k, "a")
	_, _, err := crypto.Unlock(crypto.RepositoryID{1}, slots(a), nil, a.secret)
	wantErr(t, err, crypto.ErrTampered)
}

// One copy of a slot is damaged, the other is not: the secret still opens.
func TestDamagedCopyDoesNotHideTheOther(t *testing.T) {
	k := newKeyring(t)
	a := keyFileSlot(t, k, "a")
	bad := *a.slot
	bad.PublicKey[0] ^= 1
	got, through, err := crypto.Unlock(testRepository, []*crypto.Slot{&bad, a.slot}, nil, a.secret)
	if err != nil {
		t.Fatal(err)
	}
	if through != a.slot {
		t.Error("opened through the damaged copy")
	}
	sameKeys(t, got, k)
	_, _, err = crypto.Unlock(testRepository, []*crypto.Slot{keyFileSlot(t, k, "b").slot, &bad}, nil, a.secret)
	wantErr(t, err, crypto.ErrTampered) // and not a wrong secret
}
