package crypto_test

import (
	"fmt"
	"slices"
	"testing"

	"keepsake/crypto"
)

// Three slots, three rotations, one slot made in between and one left out: every secret that
// was served opens everything, though none was present when the keys were rotated.
func TestRotationServesAbsentSecrets(t *testing.T) {
	one := newKeyring(t)
	a, b := keyFileSlot(t, one, "a"), keyFileSlot(t, one, "b")
	r2, two := rotate(t, one, a.slot, b.slot)
	c := keyFileSlot(t, two, "c")
	if c.slot.Grant.Epoch != 2 {
		t.Fatalf("a new slot for epoch %d", c.slot.Grant.Epoch)
	}
	r3, three := rotate(t, two, c.slot, a.slot, b.slot)
	r4, four := rotate(t, three, c.slot, a.slot) // b is shut out

	for _, v := range []struct {
		name    string
		h       held
		records []*crypto.EpochRecord
		want    *crypto.Keyring
		err     error
	}{
		{"a in epoch 1", a, nil, one, nil},
		{"a in epoch 2", a, records(r2), two, nil},
		{"b in epoch 3", b, records(r2, r3), three, nil},
		{"a in epoch 4", a, records(r4, r2, r3), four, nil},
		{"a with the newest record only", a, records(r4), four, nil},
		{"a with each record twice", a, records(r2, r4, r2, r4), four, nil},
		{"c in its own epoch", c, records(r2), two, nil},
		{"c in epoch 4", c, records(r2, r3, r4), four, nil},
		{"c without the record of its epoch", c, nil, nil, crypto.ErrUnknownEpoch},
		{"b after it was left out", b, records(r2, r3, r4), nil, crypto.ErrNotServed},
	} {
		t.Run(v.name, func(t *testing.T) {
			got, through, err := crypto.Unlock(testRepository, slots(a, b, c), v.records, v.h.secret)
			if v.err != nil {
				wantErr(t, err, v.err)
				if got != nil || through != nil {
					t.Error("keys beside an error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			sameKeys(t, got, v.want)
			if through != v.h.slot {
				t.Errorf("opened through %v", through.Label)
			}
		})
	}
	// A keyring that was unlocked rotates as one that was made here.
	got, _, err := crypto.Unlock(testRepository, slots(a), records(r4), a.secret)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := got.Rotate(slots(a, c), noise(1)); err != nil {
		t.Error(err)
	}
	_, _, err = got.Rotate(slots(a, b), noise(1))
	wantErr(t, err, crypto.ErrNotServed)
	for _, r := range records(r2, r3, r4) {
		if err := got.VerifyRecord(r); err != nil {
			t.Error(err)
		}
	}
}

// Whoever owns the storage adds a slot, hoping that the next rotation serves it.
func TestRotationRefusesPlantedSlots(t *testing.T) {
	k := newKeyring(t)
	a := keyFileSlot(t, k, "a")
	stranger, err := crypto.NewKeyring(testRepository, noise(66))
	if err != nil {
		t.Fatal(err)
	}
	planted := keyFileSlot(t, stranger, "planted")
	_, _, err = k.Rotate(slots(a, planted), noise(1))
	wantErr(t, err, crypto.ErrTampered)

	swapped := *a.slot // a known slot with the attacker's public key
	swapped.PublicKey = planted.slot.PublicKey
	_, _, err = k.Rotate([]*crypto.Slot{&swapped}, noise(1))
	wantErr(t, err, crypto.ErrTampered)

	// Epoch 1 got out, hence the rotation. Its thief can authenticate slots under it for ever.
	_, two := rotate(t, k, a.slot)
	thief := keyFileSlot(t, k, "thief")
	_, _, err = two.Rotate(slots(a, thief), noise(1))
	wantErr(t, err, crypto.ErrNotServed)
	k.Reauthenticate(&swapped)
	if err := k.VerifySlot(&swapped); err != nil {
		t.Fatalf("the thief's slot is no good test: %v", err)
	}
	_, _, err = two.Rotate([]*crypto.Slot{&swapped}, noise(1))
	wantErr(t, err, crypto.ErrTampered)

	_, three := rotate(t, two, a.slot)
	future := keyFileSlot(t, three, "future")
	_, _, err = two.Rotate(slots(future), noise(1))
	wantErr(t, err, crypto.ErrUnknownEpoch)
}

// Public keys are public: anyone can seal a master key of their own to a slot, and a client
// that took it would seal its next backup for the attacker.
func TestForgedEpochRecord(t *testing.T) {
	k := newKeyring(t)
	a := keyFileSlot(t, k, "a")
	forged := crypto.ForgeRecord(testRepository, 2, a.slot)
	_, _, err := crypto.Unlock(testRepository, slots(a), records(forged), a.secret)
	wantErr(t, err, crypto.ErrTampered)

	// Beside a genuine one, too.
	r2, two := rotate(t, k, a.slot)
	_, _, err = crypto.Unlock(testRepository, slots(a), records(r2, forged), a.secret)
	wantErr(t, err, crypto.ErrTampered)

	// For a slot made in the very epoch that is forged.
	c := keyFileSlot(t, two, "c")
	forged = crypto.ForgeRecord(testRepository, 2, c.slot)
	_, _, err = crypto.Unlock(testRepository, slots(c), records(forged), c.secret)
	wantErr(t, err, crypto.ErrTampered)
	if err := two.VerifyRecord(forged); err == nil {
		t.Error("a forged record verifies")
	}
	forged = crypto.ForgeRecord(testRepository, 3, a.slot, c.slot)
	_, _, err = crypto.Unlock(testRepository, slots(c), records(r2, forged), c.secret)
	wantErr(t, err, crypto.ErrTampered)
}

// A holder of the keys wrote a record that serves other bytes under the slot's id.
func TestRecordServesAnotherSlot(t *testing.T) {
	k := newKeyring(t)
	a := keyFileSlot(t, k, "a")
	r, two := rotate(t, k, a.slot)
	r.Grants[0].SlotHash[0] ^= 1
	two.ReauthenticateRecord(r)
	_, _, err := crypto.Unlock(testRepository, slots(a), records(r), a.secret)
	wantErr(t, err, crypto.ErrTampered)
}

// Two machines rotate at once.
func TestTwoRecordsOfOneEpoch(t *testing.T) {
	k := newKeyring(t)
	a := keyFileSlot(t, k, "a")
	r, _, err := k.Rotate(slots(a), noise(1))
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := k.Rotate(slots(a), noise(2))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = crypto.Unlock(testRepository, slots(a), records(r, other), a.secret)
	wantErr(t, err, crypto.ErrTampered)
}

func TestRotateRefusals(t *testing.T) {
	k := newKeyring(t)
	a := keyFileSlot(t, k, "a")
	_, _, err := k.Rotate(nil, noise(1))
	wantErr(t, err, crypto.ErrNoSlots)
	_, _, err = k.Rotate(slots(a, a), noise(1))
	wantErr(t, err, crypto.ErrMalformed)
	var all []held
	for i := range crypto.MaxSlots + 1 {
		all = append(all, keyFileSlot(t, k, fmt.Sprint(i)))
	}
	_, _, err = k.Rotate(slots(all...), noise(1))
	wantErr(t, err, crypto.ErrTooManySlots)
	r, _, err := k.Rotate(slots(all[:crypto.MaxSlots]...), noise(1))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(r.Grants, func(a, b crypto.EpochGrant) int { return slices.Compare(a.Slot[:], b.Slot[:]) }) {
		t.Error("the grants are not sorted")
	}
	got, err := crypto.ParseEpochRecord(marshal(t, r))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range all[:crypto.MaxSlots] {
		if _, _, err := crypto.Unlock(testRepository, slots(h), records(got), h.secret); err != nil {
			t.Error(err)
		}
	}
}
