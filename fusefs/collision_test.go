package fusefs_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"keepsake/fusefs"
	"keepsake/store/storetest"
)

// collisions is what is looked at while nodes collide: whatever is said of a
// file is its own, and the rest is refused.
type collisions struct {
	t        *testing.T
	files    map[string]string // content by path; each is of its own size
	said, no atomic.Int64      // answers and refusals
}

// check judges one answer about one file.
func (c *collisions) check(what, path string, size int64, err error, content []byte) {
	rel := path[strings.Index(path, "/d"):]
	want, ok := c.files[rel]
	switch {
	case errors.Is(err, unix.EIO):
		c.no.Add(1)
		return
	case err != nil || !ok:
		c.t.Errorf("%s of %s: %v", what, path, err)
	case size != int64(len(want)) || content != nil && string(content) != want:
		c.t.Errorf("%s of %s: %d bytes, %q", what, path, size, content)
	}
	c.said.Add(1)
}

func (c *collisions) stat(path string) {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		c.t.Errorf("%s is not a file: %o", path, st.Mode)
	}
	c.check("stat", path, st.Size, err, nil)
}

func (c *collisions) read(path string) {
	content, err := os.ReadFile(path)
	c.check("reading", path, int64(len(content)), err, content)
}

func (c *collisions) attribute(path string) {
	b := make([]byte, 100)
	n, err := unix.Lgetxattr(path, "user.path", b)
	if err == nil && !strings.HasSuffix(path, string(b[:n])) {
		c.t.Errorf("%s says it is %s", path, b[:n])
	}
	if err != nil && !errors.Is(err, unix.EIO) {
		c.t.Errorf("attribute of %s: %v", path, err)
	}
}

// list lists a directory with what comes along with the names.
func (c *collisions) list(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if !errors.Is(err, unix.EIO) {
			c.t.Errorf("%s: %v", dir, err)
		}
		c.no.Add(1)
		return
	}
	if len(entries) != 12 {
		c.t.Errorf("%s holds %d entries", dir, len(entries))
	}
	for _, e := range entries {
		info, err := e.Info()
		size := int64(0)
		if err == nil {
			size = info.Size()
		}
		c.check("listing", filepath.Join(dir, e.Name()), size, err, nil)
	}
}

// TestCollision forces all nodes onto few inode numbers, with the same
// generation and with others, while they are looked at in many ways at once.
func TestCollision(t *testing.T) {
	needFUSE(t)
	t.Parallel()
	library := filepath.Join(t.TempDir(), "library")
	files := map[string]string{}
	for i := range 120 {
		rel := fmt.Sprintf("/d%d/%02d", i/12, i%12)
		files[rel] = strings.Repeat(fmt.Sprintf("%s,", rel), i+1)
		write(t, library+rel, []byte(files[rel]))
		must(t, unix.Setxattr(library+rel, "user.path", []byte(rel), 0))
	}
	r := storetest.New(t).Open(t)
	back(t, r, library, "library", nil)
	for name, by := range map[string]func(fusefs.Options) (*fusefs.Mounted, error){
		"number and generation": func(o fusefs.Options) (*fusefs.Mounted, error) { return fusefs.MountColliding(t.Context(), o, 40) },
		"number":                func(o fusefs.Options) (*fusefs.Mounted, error) { return fusefs.MountCollidingInos(t.Context(), o, 40) },
	} {
		t.Run(name, func(t *testing.T) {
			m := mountBy(t, r, func(o *fusefs.Options) { o.Nodes = 60 }, by)
			c := &collisions{t: t, files: files}
			roots := views(t, m, "library")
			var group sync.WaitGroup
			for worker := range 4 {
				group.Go(func() {
					rand := rand.New(rand.NewPCG(uint64(worker), 7))
					for range 400 {
						root := roots[rand.IntN(len(roots))]
						i := rand.IntN(120)
						path := fmt.Sprintf("%s/d%d/%02d", root, i/12, i%12)
						[]func(string){c.stat, c.read, c.attribute, func(p string) { c.list(filepath.Dir(p)) }}[rand.IntN(4)](path)
					}
				})
			}
			group.Wait()
			t.Logf("%d answers, %d refusals", c.said.Load(), c.no.Load())
			refuses := name != "number"
			if c.said.Load() == 0 || refuses != (c.no.Load() > 0) || refuses != (len(m.log.lines("same inode number")) > 0) {
				t.Errorf("%d answers, %d refusals, %d lines in the log", c.said.Load(), c.no.Load(), len(m.log.lines("same inode number")))
			}
		})
	}
}
