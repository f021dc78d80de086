package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"keepsake/store/backend"
	"keepsake/store/object"
	"keepsake/store/pack"
)

// objects is where a repository lies. *backend.Local satisfies it; the
// contract of each method stands there.
type objects interface {
	Stage(ctx context.Context, name string) (*backend.Staged, error)
	Publish(ctx context.Context, staged ...*backend.Staged) error
	ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error)
	List(ctx context.Context, prefix string, fn func(name string, size int64) error) error
	Remove(ctx context.Context, names ...string) error
	SyncNames(ctx context.Context, names ...string) error
}

// stager is what backends have whose unfinished objects outlive a kill: each
// writer cleans up its own, while it owns its state directory.
type stager interface {
	SetOwner(owner [16]byte)
	CleanStaged(ctx context.Context) error
}

// namer is what backends have that would have to ask for the sizes of objects
// one by one. Names is List without them.
type namer interface {
	Names(ctx context.Context, prefix string, fn func(name string) error) error
}

// eachName lists the names of objects.
func eachName(ctx context.Context, o objects, prefix string, fn func(name string) error) error {
	if n, ok := o.(namer); ok {
		return n.Names(ctx, prefix, fn)
	}
	return o.List(ctx, prefix, func(name string, _ int64) error { return fn(name) })
}

// Names of objects. Packs lie in 256 directories each, so that no directory
// grows beyond a few thousand entries on a file system that minds.
const (
	nameConfig      = "config"
	prefixKeys      = "keys/"
	prefixData      = "data/"
	prefixMeta      = "meta/"
	prefixSnapshots = "snapshots/"
	prefixLedger    = "ledger/"
	prefixCatalog   = "catalog/"
	prefixCondemned = "condemned/"

	// suffixCopy marks the second copy of what exists only once: the
	// configuration, key slots and epochs.
	suffixCopy = ".copy"
)

func packName(kind object.Kind, id pack.ID) string {
	prefix := prefixData
	if kind == object.MetaPack {
		prefix = prefixMeta
	}
	h := hex.EncodeToString(id[:])
	return prefix + h[:2] + "/" + h
}

// parsePackName is the inverse of packName; ok is false for names that are no pack's.
func parsePackName(name string) (kind object.Kind, id pack.ID, ok bool) {
	switch {
	case len(name) == len(prefixData)+3+64 && name[:len(prefixData)] == prefixData:
		kind = object.DataPack
	case len(name) == len(prefixMeta)+3+64 && name[:len(prefixMeta)] == prefixMeta:
		kind = object.MetaPack
	default:
		return 0, id, false
	}
	if n, err := hex.Decode(id[:], []byte(name[len(name)-64:])); err != nil || n != len(id) {
		return 0, id, false
	}
	return kind, id, packName(kind, id) == name
}

// sealedName is the name of an object that is named by its own hash.
func sealedName(prefix string, id [32]byte) string { return prefix + hex.EncodeToString(id[:]) }

func parseSealedName(prefix, name string) (id [32]byte, ok bool) {
	if len(name) != len(prefix)+64 || name[:len(prefix)] != prefix {
		return id, false
	}
	n, err := hex.Decode(id[:], []byte(name[len(prefix):]))
	return id, err == nil && n == len(id) && sealedName(prefix, id) == name
}

// maxSmallObject bounds every object that is read whole.
const maxSmallObject = 17 << 20

// readObject reads a small object whole.
func readObject(ctx context.Context, o objects, name string) ([]byte, error) {
	buf := make([]byte, 0, 16<<10)
	for {
		if len(buf) == cap(buf) {
			if len(buf) >= maxSmallObject {
				return nil, fmt.Errorf("%s is larger than any such object can be", name)
			}
			buf = append(buf, make([]byte, len(buf))...)[:len(buf)]
		}
		n, err := o.ReadAt(ctx, name, buf[len(buf):cap(buf)], int64(len(buf)))
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// putObject publishes a small object whole.
func putObject(ctx context.Context, o objects, name string, data []byte) error {
	s, err := o.Stage(ctx, name)
	if err != nil {
		return err
	}
	if _, err := s.Write(data); err != nil {
		return errors.Join(err, s.Discard())
	}
	return o.Publish(ctx, s)
}
