package doctor

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// told is how often Progress is.
const told = 200 * time.Millisecond

// counter counts the directories that would be watched.
type counter struct {
	source   Source
	progress func(source string, directories int)
	last     time.Time
	found    int
}

// count returns how many directories there are, and whether that is all.
func (c *counter) count(ctx context.Context) (int, bool) {
	if real, err := filepath.EvalSymlinks(c.source.Path); err == nil {
		c.source.Path = real // only the source itself may be named by a link
	}
	// Names wait here: at most those of the directories along one path and
	// their siblings.
	waiting := []string{"."}
	for len(waiting) > 0 {
		if ctx.Err() != nil {
			return c.found, false
		}
		rel := waiting[len(waiting)-1]
		waiting = waiting[:len(waiting)-1]
		c.found++
		waiting = c.subdirectories(ctx, rel, waiting)
		if c.progress != nil && time.Since(c.last) > told {
			c.last = time.Now()
			c.progress(c.source.Label, c.found)
		}
	}
	return c.found, true
}

// subdirectories appends those of rel. A directory that cannot be read takes no
// more watches than its own.
func (c *counter) subdirectories(ctx context.Context, rel string, all []string) []string {
	f, err := os.OpenFile(filepath.Join(c.source.Path, rel), os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return all
	}
	defer f.Close()
	for ctx.Err() == nil {
		entries, err := f.ReadDir(1024)
		for _, e := range entries {
			if !e.IsDir() {
				continue
			}
			path := filepath.Join(rel, e.Name())
			if c.source.Exclude == nil || !c.source.Exclude(path, true) {
				all = append(all, path)
			}
		}
		if err != nil || len(entries) == 0 {
			break
		}
	}
	return all
}
