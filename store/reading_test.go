package store_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"keepsake/store"
	"keepsake/store/tree"
)

// readAll reads every file of every snapshot and returns the paths that do not
// give all their bytes, and what must never happen: wrong bytes, or errors that
// are not damage.
func (l *library) readAll(ctx context.Context, r *store.Repository) (damaged map[store.SnapshotID][]string, wrong []error) {
	damaged = map[store.SnapshotID][]string{}
	for _, s := range l.snapshots {
		read := reading{ctx, r, map[string]error{}}
		read.dir(&s.Root, "", func(path string, got []byte) {
			if want, ok := l.want[s.ID][path]; !ok || !bytes.Equal(got, want) {
				wrong = append(wrong, fmt.Errorf("%s %s: wrong bytes", s.ID.Short(), path))
			}
		})
		for path := range l.want[s.ID] {
			err, ok := read.done[path]
			for dir := path; !ok && dir != ""; { // its directory may be unreadable
				dir = strings.Trim(filepath.Dir("/"+dir), "/")
				err, ok = read.done[dir+"/"]
			}
			switch {
			case !ok:
				wrong = append(wrong, fmt.Errorf("%s %s: not in the tree", s.ID.Short(), path))
			case err == nil:
			case isDamage(err):
				damaged[s.ID] = append(damaged[s.ID], path)
			default:
				wrong = append(wrong, fmt.Errorf("%s %s: %w", s.ID.Short(), path, err))
			}
		}
		slices.Sort(damaged[s.ID])
	}
	return damaged, wrong
}

// reading reads a whole tree. done has the outcome of each file, and under a
// name that ends with a slash what keeps a directory from being listed.
type reading struct {
	ctx  context.Context
	r    *store.Repository
	done map[string]error
}

func (d *reading) dir(n *tree.Node, path string, visit func(path string, got []byte)) {
	if _, err := d.r.Xattrs(d.ctx, n); err != nil {
		d.done[path+"/"] = err
		return
	}
	for child, err := range d.r.Entries(d.ctx, n) {
		if err != nil {
			d.done[path+"/"] = err
			return
		}
		under := strings.Trim(path+"/"+string(child.Name), "/")
		if child.Type == tree.Dir {
			d.dir(child, under, visit)
			continue
		}
		got, err := contentOf(d.ctx, d.r, child)
		if d.done[under] = err; err == nil {
			visit(under, got)
		}
	}
}

// content reads a file of a snapshot.
func content(ctx context.Context, r *store.Repository, s store.Snapshot, path string) ([]byte, error) {
	n, err := r.Resolve(ctx, &s.Root, path)
	if err != nil {
		return nil, err
	}
	return contentOf(ctx, r, n)
}

func contentOf(ctx context.Context, r *store.Repository, n *tree.Node) ([]byte, error) {
	if _, err := r.Xattrs(ctx, n); err != nil {
		return nil, err
	}
	f, err := r.OpenFile(n)
	if err != nil {
		return nil, err
	}
	b := make([]byte, f.Size())
	if len(b) == 0 {
		return b, nil
	}
	got, err := f.ReadAt(ctx, b, 0)
	if err == nil && got != len(b) {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}
