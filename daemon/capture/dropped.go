package capture

import (
	"os"
	"slices"
	"strings"
	"sync"

	"keepsake/daemon/rules"
	"keepsake/store/tree"
)

// dropped counts what a pass leaves out on purpose, by rule. A directory counts
// as one path, whatever lies in it. It is not looked into.
type dropped struct {
	mu    sync.Mutex
	paths map[string]uint64
}

func (d *dropped) add(rule string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.paths == nil {
		d.paths = map[string]uint64{}
	}
	d.paths[rule]++
}

// since returns the numbers for the manifest. A run that took directories over
// did not see what is left out in them: it repeats its predecessor's numbers,
// which may be a little old, unless it met more than that itself.
func (d *dropped) since(previous []tree.Dropped, limited bool) []tree.Dropped {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []tree.Dropped
	for rule, paths := range d.paths {
		all = append(all, tree.Dropped{Rule: rule, Paths: paths})
	}
	if limited {
		for _, p := range previous {
			if i := slices.IndexFunc(all, func(a tree.Dropped) bool { return a.Rule == p.Rule }); i >= 0 {
				all[i].Paths = max(all[i].Paths, p.Paths)
			} else {
				all = append(all, p)
			}
		}
	}
	slices.SortFunc(all, func(a, b tree.Dropped) int { return strings.Compare(a.Rule, b.Rule) })
	return all
}

// newRule reports whether something fell under a rule under which nothing fell
// before: then the snapshot is less than it was, though its tree be the same.
func newRule(previous, now []tree.Dropped) bool {
	return slices.ContainsFunc(now, func(d tree.Dropped) bool {
		return !slices.ContainsFunc(previous, func(p tree.Dropped) bool { return p.Rule == d.Rule })
	})
}

// excluded reports whether a path is left out on purpose.
func (p *pass) excluded(rel string, isDir bool) bool {
	if p.own[rel] {
		return true
	}
	rule, out := p.options.Rules.MatchName(rel, isDir)
	if out {
		p.dropped.add(rule)
	}
	return out
}

// The name and first bytes of a file that makes its directory a cache
// (https://bford.info/cachedir/).
const (
	cacheDirTag       = "CACHEDIR.TAG"
	cacheDirSignature = "Signature: 8a477f597d28d172789f06886806bc55"
)

// withoutCache returns the names of a directory that are captured: all of them, or the
// tag alone if the directory calls itself a cache. The source's root was named
// by a person, who knows better.
func (p *pass) withoutCache(dir int, rel string, names []string) []string {
	if rel == "" || !p.options.Rules.CacheDirTags() {
		return names
	}
	if _, listed := slices.BinarySearch(names, cacheDirTag); !listed || len(names) == 1 || !tagged(dir) {
		return names
	}
	p.dropped.add(rules.CacheDirTag)
	return []string{cacheDirTag}
}

// tagged reports whether the tag in a directory is a true one. One that cannot
// be read leaves nothing out.
func tagged(dir int) bool {
	if s, err := statAt(dir, cacheDirTag); err != nil || s.typ != tree.File {
		return false // neither a pipe nor a device is opened
	}
	fd, err := openAt(dir, cacheDirTag, false)
	if err != nil {
		return false
	}
	f := os.NewFile(uintptr(fd), cacheDirTag)
	defer f.Close()
	head := make([]byte, len(cacheDirSignature))
	n, _ := f.ReadAt(head, 0) // a short or failed read is no signature
	return string(head[:n]) == cacheDirSignature
}
