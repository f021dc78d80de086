package capture

import (
	"context"
	"maps"
	"slices"
	"strings"

	"keepsake/store/tree"
)

// synthetic is a directory that no file system has: what is in it by name, each
// either a file or another such directory.
type synthetic struct {
	files map[string]*tree.Node
	dirs  map[string]*synthetic
}

// add puts a file at a path below the directory.
func (s *synthetic) add(path string, n *tree.Node) {
	first, rest, deeper := strings.Cut(path, "/")
	if !deeper {
		if s.files == nil {
			s.files = map[string]*tree.Node{}
		}
		n.Name = []byte(first)
		s.files[first] = n
		return
	}
	if s.dirs == nil {
		s.dirs = map[string]*synthetic{}
	}
	if s.dirs[first] == nil {
		s.dirs[first] = &synthetic{}
	}
	s.dirs[first].add(rest, n)
}

// makeDirectory stores a synthetic directory and returns its node. It is as old
// as what is in it: the time of a previous one that holds the same stays.
func (p *pass) makeDirectory(ctx context.Context, rel string, s *synthetic, previous *tree.Node) (*tree.Node, error) {
	build := p.newDirectoryBuilder(ctx, rel)
	names := slices.AppendSeq(slices.Collect(maps.Keys(s.files)), maps.Keys(s.dirs))
	slices.Sort(names)
	for _, name := range names {
		n := s.files[name]
		if n == nil {
			var err error
			if n, err = p.makeDirectory(ctx, join(rel, name), s.dirs[name], p.directoryBefore(ctx, previous, name)); err != nil {
				return nil, err
			}
			n.Name = []byte(name)
		}
		if err := build.add(ready(n), nil); err != nil {
			return nil, err
		}
	}
	n := p.ownNode(tree.Dir, 0o700)
	if err := build.finish(n); err != nil {
		return nil, err
	}
	n.MTime = tree.TimeOf(p.now())
	if previous != nil && previous.Pages == n.Pages && previous.Entries == n.Entries {
		n.MTime = previous.MTime
	}
	n.CTime = n.MTime
	p.progress.directory()
	return n, nil
}

// directoryBefore returns the previous version of a directory in a directory,
// or nil.
func (p *pass) directoryBefore(ctx context.Context, parent *tree.Node, name string) *tree.Node {
	if parent == nil {
		return nil
	}
	n, err := p.repository.Lookup(ctx, parent, []byte(name))
	if err != nil || n.Type != tree.Dir {
		return nil // it has a time of its own then; nothing more hangs on it
	}
	return n
}
