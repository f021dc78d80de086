package capture

import (
	"context"
	"path"
	"slices"
	"strings"

	"keepsake/store/tree"
)

// A bundle is several files that are one thing to the program that writes
// them: a raw photo and its sidecar, a database and its log, everything in the
// library of an editing program. Captured at two moments it is broken, though
// each of its files be whole.
//
// A bundle of siblings is known by names. A JPEG beside a raw photo of its name
// is none: it is a picture of its own, and nothing describes both.

// raws are the extensions of raw photos; sidecars describe them, as IMG.xmp or
// as IMG.CR3.xmp.
func isRaw(ext string) bool {
	switch ext {
	case ".3fr", ".ari", ".arw", ".bay", ".braw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq", ".k25", ".kdc",
		".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f":
		return true
	}
	return false
}

func isSidecar(ext string) bool { return ext == ".xmp" || ext == ".dop" || ext == ".pp3" }

// logSuffixes are what SQLite puts behind the name of a database: its logs, and
// memory that its users share. Lightroom keeps a directory beside a catalogue.
const (
	suffixWAL     = "-wal"
	suffixJournal = "-journal"
	suffixShared  = "-shm"
	suffixData    = "-data" // of .lrcat
)

// isDatabase reports whether a name is one that SQLite databases have. Others
// are known by their first bytes when they are read.
func isDatabase(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".lrcat", ".cocatalogdb", ".cosessiondb", ".db", ".db3", ".sqlite", ".sqlite3", ".photosdb", ".apdb", ".aplib":
		return true
	}
	return false
}

// isBundle reports whether a directory is one thing to the program that writes
// it. Of RED's, a clip is one and a magazine is not: it grows for a day, and
// holds more than should wait for its last clip.
func isBundle(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".fcpbundle", ".fcpproject", ".photoslibrary", ".photolibrary", ".migratedphotolibrary", ".imovielibrary", ".imovieproject", ".rcproject",
		".cocatalog", ".lrlibrary", ".lrcat-data", ".aplibrary", ".dvdproj", ".rdc", ".logicx", ".band", ".dra":
		return len(name) > len(path.Ext(name)) // ".band" alone is a hidden directory
	}
	return false
}

// bundleKey returns the bundle that a name may belong to, and whether it is
// what the bundle is about or an addition to it; a bundle has both.
func bundleKey(name string) (keys []string, addition bool) {
	ext := strings.ToLower(path.Ext(name))
	stem := name[:len(name)-len(ext)]
	switch {
	case isRaw(ext):
		keys = append(keys, stem)
	case isSidecar(ext):
		if inner := strings.ToLower(path.Ext(stem)); isRaw(inner) {
			stem = stem[:len(stem)-len(inner)]
		}
		return []string{stem}, true
	}
	for _, suffix := range [...]string{suffixWAL, suffixJournal, suffixShared} {
		if base, ok := strings.CutSuffix(name, suffix); ok && base != "" {
			return []string{base + "\x00"}, true
		}
	}
	if base, ok := strings.CutSuffix(name, suffixData); ok && ext == ".lrcat-data" {
		return []string{base + "\x00"}, true
	}
	return append(keys, name+"\x00"), false // may be a database
}

// bundles finds the bundles of siblings in a sorted listing, by the names of
// their members. Names that are left out belong to none.
func (p *pass) bundles(rel string, names []string) map[string]*group {
	if p.options.DryRun {
		return nil
	}
	additions := map[string][]string{} // by key
	for _, name := range names {
		if keys, addition := bundleKey(name); addition && !p.leftOut(join(rel, name)) {
			additions[keys[0]] = append(additions[keys[0]], name)
		}
	}
	if len(additions) == 0 {
		return nil
	}
	var found map[string]*group
	for _, name := range names {
		keys, addition := bundleKey(name)
		if addition || p.leftOut(join(rel, name)) {
			continue
		}
		for _, key := range keys {
			with := additions[key]
			if len(with) == 0 {
				continue
			}
			if found == nil {
				found = map[string]*group{}
			}
			g := found[with[0]]
			if g == nil {
				g = p.newGroup(rel, key)
				for _, addition := range with {
					g.join(addition)
					found[addition] = g
				}
			}
			g.join(name)
			found[name] = g
			break
		}
	}
	return found
}

func (p *pass) leftOut(rel string) bool {
	_, out := p.options.Rules.MatchName(rel, false)
	return out || p.own[rel]
}

// withLogs adds the logs that a database had in the previous snapshot and has
// no more: a version of it that is kept is worth nothing without them.
func (p *pass) withLogs(ctx context.Context, names []string, previous *tree.Node) []string {
	if previous == nil || p.options.DryRun || !slices.ContainsFunc(names, isDatabase) {
		return names
	}
	all := slices.Clone(names)
	for _, name := range names {
		if !isDatabase(name) {
			continue
		}
		for _, suffix := range [...]string{suffixJournal, suffixWAL} {
			at, listed := slices.BinarySearch(all, name+suffix)
			if listed {
				continue
			}
			// What cannot be read is read anew below, and said there.
			if n, err := p.repository.Lookup(ctx, previous, []byte(name+suffix)); err == nil && n.Type == tree.File {
				all = slices.Insert(all, at, name+suffix)
			}
		}
	}
	return all
}
