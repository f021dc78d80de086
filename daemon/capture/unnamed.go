package capture

import (
	"slices"
	"sync"

	"keepsake/store/tree"
)

// maxUnnamed bounds how many directories are told one by one that no event named.
const maxUnnamed = 1000

// unnamed collects the directories in which a scan finds a change although no
// event named them: how well the watch works shows in their number.
type unnamed struct {
	named map[string]bool // by events; nil if nobody wants to know

	mu   sync.Mutex
	dirs map[string]bool
}

func newUnnamed(named []string) *unnamed {
	u := &unnamed{dirs: map[string]bool{}}
	if named != nil {
		u.named = map[string]bool{}
		for _, dir := range named {
			u.named[dir] = true
		}
	}
	return u
}

// compare looks at an entry of a directory, or at the directory itself, beside
// what the previous snapshot holds. A new or deleted entry shows in the
// directory's own times.
func (u *unnamed) compare(dir string, n, previous *tree.Node) {
	if u.named == nil || u.named[dir] || previous == nil || n.Type != previous.Type || n.Flags|previous.Flags != 0 {
		return
	}
	if n.Size == previous.Size && n.MTime == previous.MTime && n.CTime == previous.CTime {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.dirs) < maxUnnamed {
		u.dirs[dir] = true
	}
}

// list returns the directories, in order.
func (u *unnamed) list() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := make([]string, 0, len(u.dirs))
	for dir := range u.dirs {
		all = append(all, dir)
	}
	slices.Sort(all)
	return all
}
