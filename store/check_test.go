package store_test

import (
	"errors"
	"testing"

	"keepsake/store"
)

func isDamage(err error) bool {
	d, ok := errors.AsType[*store.DamageError](err)
	return ok && d != nil && errors.Is(err, store.ErrDamaged)
}

func TestSoundRepository(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	res := l.sound(t, r)
	if res.Snapshots != 3 || res.Packs < 6 || res.PacksRead != res.Packs || res.BytesRead == 0 || !res.Sound() {
		t.Errorf("result %+v", res)
	}
	if res.Unreferenced != 0 || res.ForeignCount != 0 {
		t.Errorf("result %+v", res)
	}
	if damaged, wrong := l.readAll(t.Context(), r); len(wrong) > 0 {
		t.Errorf("%v, %v", damaged, wrong)
	}
}
