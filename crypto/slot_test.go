package crypto_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"keepsake/crypto"
)

// hostilePassphraseSlot is a well-formed passphrase slot with Argon2id parameters of the
// storage's choice. It costs no derivation to make.
func hostilePassphraseSlot(t testing.TB, k *crypto.Keyring, memory, passes uint32, lanes uint8) *crypto.Slot {
	t.Helper()
	s := *keyFileSlot(t, k, "hostile").slot
	s.Kind = crypto.SlotPassphrase
	s.KDF = crypto.KDFParams{Memory: memory, Time: passes, Threads: lanes}
	return &s
}

// allocated returns the bytes f allocates, freed or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestPassphraseSlot(t *testing.T) {
	k := newKeyring(t)
	secret := crypto.Passphrase("correct horse")
	s := newSlot(t, k, secret, "office", noise(9))
	if s.Kind != crypto.SlotPassphrase || s.Label != "office" || s.Created != noon.Unix() || s.Grant.Epoch != 1 ||
		s.KDF != (crypto.KDFParams{Memory: 64 << 10, Time: 3, Threads: 4}) {
		t.Fatalf("got %v, %q, created %d, epoch %d, %+v", s.Kind, s.Label, s.Created, s.Grant.Epoch, s.KDF)
	}
	got, through, err := crypto.Unlock(testRepository, []*crypto.Slot{keyFileSlot(t, k, "a").slot, s}, nil, secret)
	if err != nil {
		t.Fatal(err)
	}
	if through != s {
		t.Error("opened through another slot")
	}
	sameKeys(t, got, k)
	_, _, err = crypto.Unlock(testRepository, []*crypto.Slot{s}, nil, crypto.Passphrase("correct horse "))
	wantErr(t, err, crypto.ErrWrongSecret)
}

func TestRecoveryCodeAloneOpens(t *testing.T) {
	k := newKeyring(t)
	code := newCode(t, 10)
	s := newSlot(t, k, crypto.Recovery(code), "", noise(11))
	typed, err := crypto.ParseRecoveryCode(strings.ToLower(code.Printable()))
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := crypto.Unlock(testRepository, []*crypto.Slot{s}, nil, crypto.Recovery(typed))
	if err != nil {
		t.Fatal(err)
	}
	sameKeys(t, got, k)
	_, _, err = crypto.Unlock(testRepository, []*crypto.Slot{s}, nil, crypto.Recovery(newCode(t, 12)))
	wantErr(t, err, crypto.ErrWrongSecret)
}

func TestNewSlotRefusals(t *testing.T) {
	k := newKeyring(t)
	good := keyFileSlot(t, k, "a").secret
	for _, v := range []struct {
		name   string
		secret crypto.Secret
		label  string
		want   error
	}{
		{"no secret", crypto.Secret{}, "", crypto.ErrSecret},
		{"empty passphrase", crypto.Passphrase(""), "", crypto.ErrSecret},
		{"endless passphrase", crypto.Passphrase(strings.Repeat("x", 4097)), "", crypto.ErrSecret},
		{"zero recovery code", crypto.Recovery(crypto.RecoveryCode{}), "", crypto.ErrSecret},
		{"long label", good, strings.Repeat("ü", 33), crypto.ErrLabel},
		{"label not UTF-8", good, "a\xff", crypto.ErrLabel},
		{"label with an escape", good, "a\x1b[2J", crypto.ErrLabel},
		{"label of two lines", good, "a\nb", crypto.ErrLabel},
		{"label that runs backwards", good, "a\u202eb", crypto.ErrLabel},
	} {
		t.Run(v.name, func(t *testing.T) {
			s, err := crypto.NewSlot(k, v.secret, v.label, noon, noise(13))
			wantErr(t, err, v.want)
			if s != nil {
				t.Error("a slot beside an error")
			}
		})
	}
	newSlot(t, k, good, strings.Repeat("ü", 32), noise(13)) // 64 bytes are allowed
	if _, _, err := crypto.Unlock(testRepository, nil, nil, crypto.Secret{}); !errors.Is(err, crypto.ErrSecret) {
		t.Errorf("unlocking with nothing: %v", err)
	}
}

// Storage holds the slots, and so chooses the parameters. The refusal must come before the
// memory: a machine with 1 GiB would not live to report it.
func TestHostileArgon2Parameters(t *testing.T) {
	k := newKeyring(t)
	for _, v := range []struct {
		name   string
		memory uint32
		passes uint32
		lanes  uint8
	}{
		{"all zero", 0, 0, 0},
		{"memory below the floor", 64<<10 - 1, 3, 4},
		{"memory above the ceiling", 1<<20 + 1, 3, 4},
		{"all memory there is", 1<<32 - 1, 3, 4},
		{"passes below the floor", 64 << 10, 2, 4},
		{"passes above the ceiling", 64 << 10, 11, 4},
		{"endless passes", 64 << 10, 1<<32 - 1, 4},
		{"no lanes", 64 << 10, 3, 0},
		{"too many lanes", 64 << 10, 3, 5},
	} {
		t.Run(v.name, func(t *testing.T) {
			s := hostilePassphraseSlot(t, k, v.memory, v.passes, v.lanes)
			if _, err := s.MarshalBinary(); !errors.Is(err, crypto.ErrKDFLimits) {
				t.Errorf("marshalled: %v", err)
			}
			var err error
			took := allocated(func() {
				_, _, err = crypto.Unlock(testRepository, []*crypto.Slot{s}, nil, crypto.Passphrase("x"))
			})
			wantErr(t, err, crypto.ErrKDFLimits)
			if took > 1<<20 {
				t.Errorf("refused after %d bytes", took)
			}
		})
	}
	// The derivation checks them itself, too, whoever calls it.
	_, _, err := crypto.Passphrase("x").KeysFor([32]byte{}, crypto.KDFParams{Memory: 1024, Time: 1, Threads: 1})
	wantErr(t, err, crypto.ErrKDFLimits)
	// The same bytes in storage do not even parse.
	b := marshal(t, hostilePassphraseSlot(t, k, 64<<10, 3, 4))
	b[28], b[29] = 0xFF, 0xFF // memory
	_, err = crypto.ParseSlot(b)
	wantErr(t, err, crypto.ErrKDFLimits)
	// Costs in a slot that has no use for them are refused as well: they would be a second encoding.
	b = marshal(t, keyFileSlot(t, k, "a").slot)
	b[36] = 1 // lanes
	_, err = crypto.ParseSlot(b)
	wantErr(t, err, crypto.ErrKDFLimits)
}

func TestTooManySlots(t *testing.T) {
	k := newKeyring(t)
	var all []*crypto.Slot
	for i := range crypto.MaxSlots + 1 {
		s := hostilePassphraseSlot(t, k, 1<<20, 10, 4)
		s.ID[0] = byte(i)
		all = append(all, s)
	}
	var err error
	took := allocated(func() {
		_, _, err = crypto.Unlock(testRepository, all, nil, crypto.Passphrase("x"))
	})
	wantErr(t, err, crypto.ErrTooManySlots)
	if took > 1<<20 {
		t.Errorf("%d bytes were taken first", took)
	}
	// Slots of other kinds count too, copies of one slot count once.
	a := keyFileSlot(t, k, "a")
	_, _, err = crypto.Unlock(testRepository, append(slots(a), all...), nil, a.secret)
	wantErr(t, err, crypto.ErrTooManySlots)
	full := append(slots(a), all[:crypto.MaxSlots-1]...)
	if _, _, err = crypto.Unlock(testRepository, append(full, full...), nil, a.secret); err != nil {
		t.Errorf("sixteen slots, each twice: %v", err)
	}
}

func TestNoSlots(t *testing.T) {
	k := newKeyring(t)
	a := keyFileSlot(t, k, "a")
	_, _, err := crypto.Unlock(testRepository, nil, nil, a.secret)
	wantErr(t, err, crypto.ErrNoSlots)
	took := allocated(func() {
		_, _, err = crypto.Unlock(testRepository, slots(a), nil, crypto.Passphrase("x"))
	})
	wantErr(t, err, crypto.ErrNoSlots)
	if took > 1<<20 {
		t.Errorf("a passphrase was tried on a key file's slot: %d bytes", took)
	}
}

func TestParseSlotRefusals(t *testing.T) {
	k := newKeyring(t)
	good := marshal(t, keyFileSlot(t, k, "Büro").slot)
	at := func(i int, v byte) []byte {
		b := append([]byte(nil), good...)
		b[i] = v
		return b
	}
	for _, v := range []struct {
		name string
		b    []byte
		want error
	}{
		{"empty", nil, crypto.ErrMalformed},
		{"cut", good[:len(good)-1], crypto.ErrMalformed},
		{"longer", append(append([]byte(nil), good...), 0), crypto.ErrMalformed},
		{"oversized", make([]byte, crypto.MaxSlotSize+1), crypto.ErrMalformed},
		{"layout 2", at(0, 2), crypto.ErrVersion},
		{"kind 0", at(1, 0), crypto.ErrMalformed},
		{"kind 4", at(1, 4), crypto.ErrMalformed},
		{"suite 2", at(2, 2), crypto.ErrVersion},
		{"label length", at(3, 4), crypto.ErrMalformed},
		{"reserved byte", at(37, 1), crypto.ErrMalformed},
		{"last reserved byte", at(39, 1), crypto.ErrMalformed},
		{"epoch 0", at(1371, 0), crypto.ErrMalformed},
		{"epoch too high", at(1368, 1), crypto.ErrMalformed},
		{"label", at(2540, 0xFF), crypto.ErrLabel},
	} {
		t.Run(v.name, func(t *testing.T) {
			s, err := crypto.ParseSlot(v.b)
			wantErr(t, err, v.want)
			if s != nil {
				t.Error("a slot beside an error")
			}
		})
	}
	long := *keyFileSlot(t, k, "a").slot
	long.Label = strings.Repeat("x", 300)
	_, err := long.MarshalBinary()
	wantErr(t, err, crypto.ErrLabel)
	_, _, err = crypto.Unlock(testRepository, []*crypto.Slot{&long}, nil, keyFileSlot(t, k, "a").secret)
	wantErr(t, err, crypto.ErrLabel)
	if len(good) != crypto.SlotFixedSize+5 {
		t.Errorf("a slot of %d bytes", len(good))
	}
}
