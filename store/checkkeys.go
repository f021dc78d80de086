package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"keepsake/crypto"
	"keepsake/store/object"
)

// errCopies says that both copies are intact and not the same.
var errCopies = errors.New("its two copies differ")

// keys checks the configuration, the key slots and the epoch records, each in
// both copies.
func (c *check) keys(ctx context.Context) error {
	err := c.twins(ctx, nameConfig, object.Config, func(b []byte) error {
		conf, err := parseConfig(b)
		if err != nil {
			return err
		}
		if conf.id != c.r.keys.Repository() {
			return fmt.Errorf("is of repository %v", conf.id)
		}
		_, err = conf.openSettings(c.r.keys)
		return err
	})
	if err != nil {
		return err
	}
	names, err := keyNames(ctx, c.r.objects, c.result.foreign)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.twins(ctx, name, keyKind(name), func(b []byte) error { return c.keyObject(name, b) }); err != nil {
			return err
		}
	}
	return nil
}

// keyNames lists the names of key slots and epoch records, in order, each once
// whichever of its copies are there.
func keyNames(ctx context.Context, o objects, foreign func(string)) ([]string, error) {
	seen := map[string]bool{}
	err := o.List(ctx, prefixKeys, func(name string, _ int64) error {
		base := strings.TrimSuffix(name, suffixCopy)
		if keyKind(base) == 0 {
			foreign(name)
			return nil
		}
		seen[base] = true
		if len(seen) > 4*maxSlots {
			return crypto.ErrTooManySlots
		}
		return nil
	})
	names := make([]string, 0, len(seen))
	for name := range seen {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, err
}

// keyKind tells from a name under keys/ what lies there; 0 if it is not ours.
func keyKind(name string) object.Kind {
	if digits, ok := strings.CutPrefix(name, prefixEpoch); ok {
		if len(digits) == 8 && strings.Trim(digits, "0123456789") == "" {
			return object.Epoch
		}
		return 0
	}
	if digits := strings.TrimPrefix(name, prefixKeys); len(digits) == 32 && strings.Trim(digits, "0123456789abcdef") == "" {
		return object.Slot
	}
	return 0
}

// keyObject parses what lies under keys/ and verifies that a holder of the keys
// made it.
func (c *check) keyObject(name string, b []byte) error {
	var k keyObjects
	if err := k.parse(name, b); err != nil {
		return err
	}
	for _, s := range k.slots {
		err := c.r.keys.VerifySlot(s)
		// A slot that a rotation left out opens nothing, and that was meant so.
		if err != nil && !errors.Is(err, crypto.ErrNotServed) {
			return err
		}
	}
	for _, e := range k.epochs {
		if err := c.r.keys.VerifyRecord(e); err != nil {
			return err
		}
	}
	return nil
}

// twins checks an object that is stored twice and reports what is wrong with it.
func (c *check) twins(ctx context.Context, name string, kind object.Kind, use func([]byte) error) error {
	problems, err := checkTwins(ctx, c.r.objects, name, kind, use)
	for _, p := range problems {
		c.report(p)
	}
	return err
}

func checkTwins(ctx context.Context, o objects, name string, kind object.Kind, use func([]byte) error) ([]Problem, error) {
	names := [2]string{name, name + suffixCopy}
	var data [2][]byte
	var failed [2]error
	for i, n := range names {
		if data[i], failed[i] = readObject(ctx, o, n); failed[i] == nil {
			failed[i] = use(data[i])
		}
		if fatal(failed[i]) {
			return nil, failed[i]
		}
		if errors.Is(failed[i], fs.ErrNotExist) {
			failed[i] = errors.New("is missing")
		}
	}
	var problems []Problem
	for i, err := range failed {
		switch {
		case err == nil:
		case failed[1-i] == nil:
			problems = append(problems, Problem{Object: names[i], Kind: DamagedCopy, Err: err, Remedy: remedyCopy(names[i], names[1-i])})
		default:
			problems = append(problems, Problem{Object: names[i], Kind: damageKind(DamagedKeys, err), Err: err}.withRemedy(remedyKeys(kind)))
		}
	}
	if len(problems) == 0 && !bytes.Equal(data[0], data[1]) {
		problems = append(problems, Problem{Object: names[1], Kind: DamagedKeys, Err: errCopies, Remedy: remedyKeys(kind)})
	}
	return problems, nil
}
