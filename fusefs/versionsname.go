package fusefs

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"keepsake/fusefs/catalogue"
	"keepsake/store/history"
)

// maxExtension is the longest extension that is kept, in bytes: those of
// catalogues and sessions are the longest that mean something to programs.
const maxExtension = 32

// extension returns the last extension of a name with its dot, if it is one by
// which a program would know what to open: letters, digits and a few marks. A
// name that begins with its only dot has none.
func extension(name string) string {
	i := strings.LastIndexByte(name, '.')
	if i <= 0 || strings.Trim(name[:i], ".") == "" || len(name)-i > maxExtension || i == len(name)-1 || !utf8.ValidString(name[i:]) {
		return ""
	}
	for _, r := range name[i+1:] {
		if !unicode.In(r, unicode.L, unicode.N, unicode.M) && !strings.ContainsRune("_-+~#", r) {
			return ""
		}
	}
	return name[i:]
}

// versionName is what a version of a file is called: as the snapshot that had
// it first, with the extension of the file. A path that was a directory too has
// the names of that beside it, which stay as they are; then the version gets
// digits of its snapshot's id, as snapshots of one second do.
func (k *known) versionName(s *catalogue.Snapshot, extension string) string {
	name := s.Name + extension
	digits := s.ID.String()
	for n := 8; n <= len(digits) && (k.names.Dir(name) != nil || k.names.File(name) != nil); n += 8 {
		name = s.Name + "-" + digits[:n] + extension
	}
	return name
}

// snapshotOf returns the snapshot that had a version first, or nil if it is
// newer than src.
func snapshotOf(src *catalogue.Source, ver history.Version) *catalogue.Snapshot {
	if ver.Snapshot < len(src.Snapshots) {
		return src.Snapshots[ver.Snapshot]
	}
	return nil
}

// version returns the version of a name, or false if there is none.
func (k *known) version(src *catalogue.Source, extension, name string) (history.Version, *catalogue.Snapshot, bool) {
	base, ok := strings.CutSuffix(name, extension)
	if !ok || len(k.versions) == 0 {
		return history.Version{}, nil, false
	}
	for {
		if s := src.Snapshot(base); s != nil {
			if ver, ok := k.versionAt(src, s); ok && k.versionName(s, extension) == name {
				return ver, s, true
			}
		}
		// Without the digits.
		i := strings.LastIndexByte(base, '-')
		if i < 0 || len(k.names.Dirs)+len(k.names.Files) == 0 {
			return history.Version{}, nil, false
		}
		base = base[:i]
	}
}

// versionAt returns the version that a snapshot had first.
func (k *known) versionAt(src *catalogue.Source, s *catalogue.Snapshot) (history.Version, bool) {
	i, _ := slices.BinarySearchFunc(k.versions, s, func(ver history.Version, s *catalogue.Snapshot) int {
		if at := snapshotOf(src, ver); at != nil {
			return at.Started.Compare(s.Started)
		}
		return 1
	})
	// Of snapshots that were started in the same moment any may come first.
	for ; i < len(k.versions); i++ {
		at := snapshotOf(src, k.versions[i])
		if at == s {
			return k.versions[i], true
		}
		if at == nil || at.Started != s.Started {
			break
		}
	}
	return history.Version{}, false
}
