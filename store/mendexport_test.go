package store

import (
	"context"

	"keepsake/store/index"
)

// PutCatalogs publishes tables as one commit and the end of its session do.
func (r *Repository) PutCatalogs(ctx context.Context, tables []index.Table) error {
	var b catalogBuilder
	if err := b.add(ctx, r, tables); err != nil {
		return err
	}
	return b.flush(ctx, r)
}

// Catalog reads a catalog by the name of its object.
func (r *Repository) Catalog(ctx context.Context, name string) ([]index.Table, error) {
	id, _ := parseSealedName(prefixCatalog, name)
	return r.readCatalog(ctx, name, id)
}

// Occupy takes the place of a commit that is under way. finish commits, calls
// then, and makes room for those who wait.
func (w *Writer) Occupy() (finish func(ctx context.Context, then func()) error) {
	w.commitMu.Lock()
	return func(ctx context.Context, then func()) error {
		defer w.commitMu.Unlock()
		err := w.commit(ctx)
		then()
		return err
	}
}
