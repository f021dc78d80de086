package store

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"keepsake/crypto"
	"keepsake/store/index"
	"keepsake/store/pack"
	"keepsake/store/tree"
)

// walk follows all references of the snapshots and names the paths that are
// affected by what was found.
func (c *check) walk(ctx context.Context, snapshots []Snapshot) error {
	s := newSurvey(c)
	hurt := make([]bool, len(snapshots))
	for i := range snapshots {
		var err error
		if hurt[i], err = s.snapshot(ctx, &snapshots[i]); err != nil {
			return err
		}
		c.result.Snapshots++
		c.o.Progress.Snapshots.Add(1)
	}
	s.naming = true
	for i := range snapshots {
		if !hurt[i] {
			continue
		}
		c.shaken = true
		if c.trees.problem.Err != nil && c.trees.problem.Object == "" {
			c.trees.problem.Object = sealedName(prefixSnapshots, snapshots[i].ID)
		}
		n := naming{s, snapshots[i].ID}
		if err := n.snapshot(ctx, &snapshots[i]); err != nil {
			return err
		}
	}
	return nil
}

// need returns the packs that snapshots refer to.
func (c *check) need(ctx context.Context, snapshots []Snapshot) (map[pack.ID]struct{}, error) {
	scout := newCheck(c.r, CheckOptions{Progress: &CheckProgress{}})
	if err := scout.walk(ctx, snapshots); err != nil {
		return nil, err
	}
	return scout.used, nil
}

// naming walks one snapshot through what the survey found tainted.
type naming struct {
	*survey
	id SnapshotID
}

func (n naming) snapshot(ctx context.Context, m *Snapshot) error {
	if err := n.named("", false, func(hit func(*fault)) error { return n.own(ctx, m, hit) }); err != nil {
		return err
	}
	if m.Root.Type == tree.Dir {
		return n.dir(ctx, m.Root.Pages, "")
	}
	return nil
}

// named adds a path to each fault that walk hits, once.
func (n naming) named(path string, below bool, walk func(hit func(*fault)) error) error {
	var hits []*fault
	err := walk(func(f *fault) {
		for _, h := range hits {
			if h == f {
				return
			}
		}
		hits = append(hits, f)
	})
	for _, f := range hits {
		f.addPath(AffectedPath{n.id, path, below})
	}
	return err
}

func (n naming) dir(ctx context.Context, root crypto.ChunkID, path string) error {
	if n.seen[keyOf(root)] != tainted {
		return nil
	}
	return n.named(path, true, func(hit func(*fault)) error {
		return n.pages(ctx, root, func(id crypto.ChunkID, f *fault) bool {
			if f != nil {
				hit(f)
			}
			return f == nil && n.seen[keyOf(id)] != clean
		}, func(nodes []tree.Node) error {
			for i := range nodes {
				if err := n.entry(ctx, &nodes[i], path); err != nil {
					return err
				}
			}
			return nil
		}, hit)
	})
}

func (n naming) entry(ctx context.Context, node *tree.Node, dir string) error {
	path := string(node.Name)
	if dir != "" {
		path = dir + "/" + path
	}
	err := n.named(path, false, func(hit func(*fault)) error {
		return n.node(ctx, node, hit)
	})
	if err != nil || node.Type != tree.Dir {
		return err
	}
	return n.dir(ctx, node.Pages, path)
}

// laidOff counts a pack as mended that was known to be damaged before and that
// nothing needs any more: backups have stored anew what it held.
func (c *check) laidOff(f *fault) *fault {
	_, used := c.used[f.pack.ID]
	if c.o.Snapshot == nil && f.marked && f.problem.Kind == DamagedPack && f.problem.PathCount == 0 && !used {
		f.problem.Mended, f.problem.Remedy = true, remedyLaidOff
	}
	return f
}

// conclude reports the packs with all their paths and counts what nobody needs.
func (c *check) conclude() error {
	faults := slices.SortedFunc(maps.Values(c.faults), func(a, b *fault) int {
		return cmp.Compare(a.problem.Object, b.problem.Object)
	})
	for _, f := range append(faults, c.lost, c.trees) {
		if f.problem.Err != nil && (!f.quiet || f.problem.PathCount > 0) {
			c.report(c.laidOff(f).finish())
		}
	}
	if c.o.Snapshot != nil || c.shaken {
		return nil // unread parts of trees may need any pack
	}
	return c.r.index.Packs(func(p index.Pack) error {
		_, used := c.used[p.ID]
		if f := c.faults[p.ID]; !used && (f == nil || f.problem.Kind != MissingPack) {
			c.result.Unreferenced++
		}
		return nil
	})
}
