package samba

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

// ErrAbove says that a share is not the source's directory, nor below it.
var ErrAbove = errors.New("shadow_copy2 can show earlier versions only of a share that is the source's directory or lies below it")

// Share is a share of a source, or of a directory below it. All paths are
// absolute, clean and without symlinks.
type Share struct {
	Name    string
	Path    string // the directory that it shows
	Source  string // the directory that snapshots are taken of
	Folders string // the directory of the view that holds a folder for each snapshot, named for Samba
}

// Parameter is a line of the section.
type Parameter struct{ Name, Value string }

// Parameters are those without which Windows shows no versions, in order.
func (s Share) Parameters() ([]Parameter, error) {
	if err := Name(s.Name); err != nil {
		return nil, fmt.Errorf("a share cannot be called %q: %w", s.Name, err)
	}
	for _, dir := range []string{s.Path, s.Source, s.Folders} {
		if !path.IsAbs(dir) {
			return nil, fmt.Errorf("%q is no absolute path", dir)
		}
		if err := Value(dir); err != nil {
			return nil, fmt.Errorf("%q: %w", dir, err)
		}
	}
	below, err := filepath.Rel(s.Source, s.Path)
	if err != nil || !filepath.IsLocal(below) {
		return nil, fmt.Errorf("%s: %w, %s", s.Path, ErrAbove, s.Source)
	}
	base := Parameter{"shadow:basedir", s.Source}
	if below != "." {
		if err := Value(below); err != nil {
			return nil, fmt.Errorf("%q: %w", below, err)
		}
		base = Parameter{"shadow:snapsharepath", below}
	}
	return []Parameter{
		{"vfs objects", "shadow_copy2"},
		{"shadow:snapdir", s.Folders},
		base,
		{"shadow:format", "@GMT-%Y.%m.%d-%H.%M.%S"},
		{"shadow:localtime", "no"},
		{"shadow:sort", "desc"},
		{"shadow:snapdirseverywhere", "no"},
		{"shadow:crossmountpoints", "no"},
	}, nil
}

// Stanza is the section for smb.conf. Nothing but the paths and the name, which
// were looked at, is in it from outside.
func (s Share) Stanza() (string, error) {
	all, err := s.Parameters()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(`# Windows' "Previous Versions", written by keepsake samba-config.
# If the share exists already, give it the lines from "vfs objects" on. If it has
# vfs objects, add shadow_copy2 to them.
`)
	fmt.Fprintf(&b, "[%s]\n\tpath = %s\n\tread only = no\n", s.Name, s.Path)
	for _, p := range all {
		if about := meaning[p.Name]; about != "" {
			fmt.Fprintf(&b, "\t# %s\n", about)
		}
		fmt.Fprintf(&b, "\t%s = %s\n", p.Name, p.Value)
	}
	return b.String(), nil
}

// meaning is what stands above a line.
var meaning = map[string]string{
	"shadow:snapdir":            "Where keepsake shows a folder for each snapshot.",
	"shadow:basedir":            "The directory that those folders are snapshots of.",
	"shadow:snapsharepath":      "Where in each of those folders this share is.",
	"shadow:format":             "How the folders are named: by times in UTC.",
	"shadow:snapdirseverywhere": "These two would take back what was said above.",
}
