package config

import (
	"fmt"
	"path/filepath"
)

// Read reads a configuration file. Its error is a *FileError with all Problems if
// the file can be read at all. It looks at no other file than this one and its directory: a
// disk that is not mounted, or a program that is gone, must not keep a daemon
// from starting.
func Read(path string) (Config, error) {
	_, r, err := load(path, func(r *reading) {
		r.judge()
		r.arrange(Places{}, filepath.Clean)
	})
	if err != nil {
		return Config{}, err
	}
	return r.config, nil
}

// ReadPlaced reads a configuration file as Read does, and looks at where its
// directories really lie, those of keepsake's own included that only the
// environment names: what would hold itself is a problem, what is left out of a
// source is a note.
func ReadPlaced(path string, p Places) (Config, []Note, error) {
	_, r, err := load(path, func(r *reading) {
		r.judge()
		r.arrange(p, Resolve)
	})
	if err != nil {
		return Config{}, nil, err
	}
	return r.config, r.notes, nil
}

// Parse reads the text of a configuration as Read does, without a file.
func Parse(b []byte) (Config, error) {
	r := parse(b)
	if len(r.problems) > 0 {
		return Config{}, r.problems.inOrder()
	}
	return r.config, nil
}

func parse(b []byte) *reading {
	if len(b) > maxFile {
		return &reading{problems: Problems{{Line: 1, Text: fmt.Sprintf("begins a text of %d bytes, and a configuration has at most %d", len(b), maxFile), Remedy: "is it the right file?"}}}
	}
	r := read(b)
	if len(r.lines) > 0 {
		r.judge()
		r.arrange(Places{}, filepath.Clean)
	}
	return r
}

// load reads a file and looks at what it says in the way that is asked for.
func load(path string, look func(*reading)) (*file, *reading, error) {
	f, err := open(path)
	if err != nil {
		return nil, nil, err
	}
	r := read(f.text)
	if len(r.lines) > 0 { // else it is not TOML
		look(r)
	}
	if r.config.RunsCommands() {
		r.problems = append(f.untrusted(), r.problems...)
	}
	if len(r.problems) > 0 {
		return nil, nil, &FileError{path, r.problems.inOrder()}
	}
	return f, r, nil
}
