package fusefs_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"keepsake/crypto"
	"keepsake/fusefs"
	"keepsake/store"
)

// TestForgottenVersions forgets the snapshot that had a version first: the next
// one that has it takes its place.
func TestForgottenVersions(t *testing.T) {
	l := newTimed(t)
	var names []string
	for _, text := range []string{"one", "two", "one", "three", "two"} {
		l.write("x.txt", text)
		l.write("gone/"+text, text)
		names = append(names, l.take()+".txt")
		l.remove("gone")
	}
	m := mount(t, l.r, nil)
	dir := m.path("versions", "library", "x.txt")
	expect(t, dir, map[string]string{names[0]: "one", names[1]: "two", names[3]: "three"})
	all, _, err := l.r.Snapshots(t.Context())
	if err == nil {
		err = l.r.Forget(t.Context(), []store.Snapshot{all[0], all[3]}, "", "")
	}
	if err != nil {
		t.Fatal(err)
	}
	m.Refresh()
	time.Sleep(1100 * time.Millisecond) // as long as the kernel may keep a name
	expect(t, dir, map[string]string{names[1]: "two", names[2]: "one"})
	if _, err := os.Stat(m.path("versions", "library", "gone", "three")); !os.IsNotExist(err) {
		t.Errorf("what only a forgotten snapshot had: %v", err)
	}
}

// countedPages counts the pages that are read.
type countedPages struct {
	*store.Repository
	count atomic.Int64
}

func (c *countedPages) Page(ctx context.Context, id crypto.ChunkID) ([]byte, error) {
	c.count.Add(1)
	return c.Repository.Page(ctx, id)
}

// TestVersionsReadWhatIsNew counts the pages that a listing reads when it is the
// first, when nothing has changed, and after a snapshot of one change.
func TestVersionsReadWhatIsNew(t *testing.T) {
	l := newTimed(t)
	for i := range 700 {
		l.write(fmt.Sprintf("d/f%04d", i), "")
	}
	for i := range 5 {
		l.write(fmt.Sprintf("d/f%04d", i), "x")
		l.take()
	}
	counted := &countedPages{Repository: l.r}
	m := mount(t, l.r, func(o *fusefs.Options) { o.Repository = counted })
	read := func() int64 {
		before := counted.count.Load()
		if got := list(t, m.path("versions", "library", "d")); len(got) < 700 {
			t.Errorf("%d names", len(got))
		}
		return counted.count.Load() - before
	}
	all := read()
	if all < 12 {
		t.Errorf("the first listing read %d pages: the test tests nothing", all)
	}
	if again := read(); again != 0 {
		t.Errorf("the second listing read %d pages", again)
	}
	l.write("d/f0600", "x")
	l.take()
	m.Refresh()
	if one := read(); one == 0 || one > 6 {
		t.Errorf("after one change %d pages of %d were read", one, all)
	}
}
