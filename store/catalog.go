package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"keepsake/crypto"
	"keepsake/store/index"
	"keepsake/store/object"
	"keepsake/store/pack"
	"keepsake/store/tree"
)

// catalogTarget is when the tables of a session are published as a catalog and
// dropped from memory: some 80,000 chunks.
const catalogTarget = 4 << 20

// catalogBuilder collects the tables of the packs of a session.
type catalogBuilder struct {
	packs []tree.CatalogPack
	bytes int
}

// add takes tables of packs that are published. A catalog holds at most one
// table more than the target, some 3 MB, and so never exceeds tree.MaxRecord.
func (b *catalogBuilder) add(ctx context.Context, r *Repository, tables []index.Table) error {
	for i := range tables {
		t := &tables[i]
		entries := pack.AppendEntries(nil, t.Entries)
		b.packs = append(b.packs, tree.CatalogPack{
			ID: t.Pack.ID, Kind: uint8(t.Pack.Kind), Epoch: uint32(t.Pack.Epoch), Size: uint64(t.Pack.Size), Entries: entries,
		})
		b.bytes += len(entries)
		if b.bytes < catalogTarget {
			continue
		}
		if err := b.flush(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// flush publishes what was collected. Catalogs are derived: losing one costs a
// listing and the reading of tables.
func (b *catalogBuilder) flush(ctx context.Context, r *Repository) error {
	if len(b.packs) == 0 {
		return nil
	}
	c := tree.Catalog{Writer: r.state.Writer(), Packs: b.packs}
	if _, err := r.rand.Read(c.Session[:]); err != nil {
		return err
	}
	slices.SortFunc(c.Packs, func(a, b tree.CatalogPack) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	plain, err := c.Marshal()
	if err != nil {
		return fmt.Errorf("encoding a catalog: %w", err)
	}
	id, err := r.putSealed(ctx, object.Catalog, prefixCatalog, plain)
	if err != nil {
		return fmt.Errorf("publishing a catalog: %w", err)
	}
	*b = catalogBuilder{}
	return r.index.AddCatalog(id)
}

func (r *Repository) readCatalog(ctx context.Context, name string, id [32]byte) ([]index.Table, error) {
	plain, err := r.openSealed(ctx, object.Catalog, name, id)
	if err != nil {
		return nil, err
	}
	tables, err := parseTables(plain)
	if err != nil {
		return nil, &DamageError{Object: name, Err: err}
	}
	return tables, nil
}

// parseTables reads the plaintext of a catalog.
func parseTables(plain []byte) ([]index.Table, error) {
	c, err := tree.ParseCatalog(plain)
	if err != nil {
		return nil, err
	}
	tables := make([]index.Table, 0, len(c.Packs))
	for _, p := range c.Packs {
		entries, err := pack.ParseEntries(p.Entries)
		if err != nil {
			return nil, fmt.Errorf("table of pack %x: %w", p.ID, err)
		}
		tables = append(tables, index.Table{
			Pack: index.Pack{
				ID: p.ID, Kind: object.Kind(p.Kind), Epoch: crypto.Epoch(p.Epoch), Size: int64(p.Size), Chunks: uint32(len(entries)),
			},
			Entries: entries,
		})
	}
	return tables, nil
}
