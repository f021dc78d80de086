package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"keepsake/chunking"
	"keepsake/crypto"
	"keepsake/store/object"
	"keepsake/store/tree"
)

// config is the object of the same name: the repository's id in the clear,
// and its settings sealed.
type config struct {
	id       crypto.RepositoryID
	settings []byte // a sealed object of kind Config
}

func (c config) marshal() []byte {
	return object.Frame(object.Config, append(append([]byte{}, c.id[:]...), c.settings...))
}

func parseConfig(b []byte) (c config, err error) {
	payload, err := object.Unframe(object.Config, b)
	if err != nil {
		return c, err
	}
	if len(payload) <= len(c.id) {
		return c, &object.CorruptError{Kind: object.Config, Err: io.ErrUnexpectedEOF}
	}
	copy(c.id[:], payload)
	c.settings = payload[len(c.id):]
	return c, nil
}

// openSettings opens and checks the settings.
func (c config) openSettings(keys *crypto.Keyring) (*tree.Settings, error) {
	plain, err := object.Open(keys, object.Config, c.settings)
	if err != nil {
		return nil, err
	}
	s, err := tree.ParseSettings(plain)
	if err != nil {
		return nil, err
	}
	return s, chunkerParams(s).Validate()
}

func chunkerParams(s *tree.Settings) chunking.Params {
	return chunking.Params{
		Polynomial: chunking.Polynomial(s.Polynomial),
		Head:       int64(s.Head),
		Fine:       chunking.Grade{Min: s.Fine.Min, Max: s.Fine.Max, Bits: s.Fine.Bits},
		Coarse:     chunking.Grade{Min: s.Coarse.Min, Max: s.Coarse.Max, Bits: s.Coarse.Bits},
	}
}

// Identify reads which repository lies behind objects. ErrNoRepository says
// that there is none and that a new one would harm nothing; objects without
// their configuration are a DamageError, ErrConfigMissing.
func Identify(ctx context.Context, o objects) (crypto.RepositoryID, error) {
	c, _, err := readConfig(ctx, o)
	return c.id, err
}

// readConfig reads the configuration from either of its copies. The second
// result is the name of a copy that is damaged or missing, if one is.
func readConfig(ctx context.Context, o objects) (c config, bad string, err error) {
	err = readTwins(ctx, o, nameConfig, func(b []byte) (err error) {
		c, err = parseConfig(b)
		return err
	}, func(name string) { bad = name })
	if errors.Is(err, fs.ErrNotExist) {
		err = withoutConfig(ctx, o)
	}
	return c, bad, err
}

// withoutConfig says what it means that there is no configuration: no
// repository, or one that has lost it. Keys alone are what an interrupted
// Create leaves.
func withoutConfig(ctx context.Context, o objects) error {
	lost := &DamageError{Object: nameConfig, Err: ErrConfigMissing}
	for _, prefix := range []string{prefixSnapshots, prefixMeta, prefixData, prefixCatalog, prefixLedger, prefixCondemned} {
		if err := o.List(ctx, prefix, func(string, int64) error { return lost }); err != nil {
			return err
		}
	}
	return ErrNoRepository
}

// readTwins reads an object that is stored twice. use is given each copy until
// one satisfies it; bad is told of those that did not.
func readTwins(ctx context.Context, o objects, name string, use func([]byte) error, bad func(name string)) error {
	var failed error
	for _, n := range []string{name, name + suffixCopy} {
		b, err := readObject(ctx, o, n)
		if err == nil {
			err = use(b)
		}
		if err == nil {
			if failed != nil {
				bad(name)
			}
			return nil
		}
		if failed == nil || errors.Is(failed, fs.ErrNotExist) {
			failed = fmt.Errorf("%s: %w", n, err)
		}
	}
	return failed
}

// putTwins publishes an object that is stored twice.
func putTwins(ctx context.Context, o objects, name string, data []byte) error {
	return errors.Join(putObject(ctx, o, name, data), putObject(ctx, o, name+suffixCopy, data))
}
