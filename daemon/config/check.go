package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
)

// Check reads a configuration file as Read does, and looks at the disk as well:
// at links that make one directory of two names, and at what is named but not
// there. Notes are what is allowed and should be known.
func Check(path string, p Places) (Config, []Note, error) {
	_, r, err := load(path, func(r *reading) {
		r.judge()
		r.arrange(p, Resolve)
		r.inspect(p)
	})
	if err != nil {
		return Config{}, nil, err
	}
	slices.SortStableFunc(r.notes, func(a, b Note) int { return cmp.Compare(a.Line, b.Line) })
	return r.config, r.notes, nil
}

// inspect looks for what the configuration names.
func (r *reading) inspect(p Places) {
	c := &r.config
	r.inspectOwn(p)
	if len(c.Sources) == 0 {
		r.note(0, "there is no [[source]]: nothing is backed up")
	}
	for i, s := range c.Sources {
		at := fmt.Sprintf("source[%d]", i)
		if filepath.IsAbs(s.Path) {
			r.inspectDir(r.line(at, "path"), "source.path", s.Path, fmt.Sprintf("source %s, %s, is not there: it is watched as soon as it is, and a gap until then is reported", quoteTOML(s.Label), s.Path))
		}
		for _, o := range s.Outputs {
			r.inspectProgram(r.line(at, "command"), o.Command)
		}
		for _, key := range []string{"before", "after"} {
			commands := map[string][][]string{"before": s.Before, "after": s.After}[key]
			for _, args := range commands {
				r.inspectProgram(r.line(at, key), args)
			}
		}
	}
	if c.Group != "" {
		if _, err := user.LookupGroup(c.Group); err != nil {
			r.problem(r.line("", "group"), "group", fmt.Sprintf("= %s is no group of this machine", quoteTOML(c.Group)), "make it with groupadd, or name one of /etc/group")
		}
	}
	r.inspectNotify()
}

func (r *reading) inspectOwn(p Places) {
	c := &r.config
	if dir := or(c.Mount, p.Mount); dir != "" {
		r.inspectDir(r.line("", "mount"), "mount", dir, fmt.Sprintf("the mount %s is not there: it is created", dir))
	}
	if dir := or(c.Repository, p.Repository); dir != "" {
		r.inspectDir(r.line("", "repository"), "repository", dir, fmt.Sprintf("the repository %s is not there: is its disk mounted? A new one is made with keepsake init", dir))
	}
	if c.KeyFile != "" {
		if _, err := os.Stat(c.KeyFile); err != nil {
			r.note(r.line("", "key-file"), "the key file cannot be looked at: %v", err)
		}
	}
}

// inspectDir refuses what is no directory, and notes what is missing.
func (r *reading) inspectDir(line int, key, path, missing string) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.note(line, "%s", missing)
	case err != nil:
		r.note(line, "%s cannot be looked at: %v", path, err)
	case !info.IsDir():
		r.problem(line, key, fmt.Sprintf("= %s is not a directory", path), "name the directory above it")
	}
}

// inspectNotify holds the program that tells people to more than others: that it
// cannot run would come out at the moment when it must.
func (r *reading) inspectNotify() {
	args := r.config.Notify.Command
	switch {
	case len(args) == 0 && r.config.Profile != Development:
		r.note(r.lines["notify"], "there is no command below [notify]: nobody is told when a source fails, and keepsake status must be looked at")
	case len(args) > 0 && filepath.IsAbs(args[0]):
		if fault, remedy := program(args[0]); fault != "" {
			r.problem(r.line("notify", "command"), "notify.command", fmt.Sprintf("= %s %s", args[0], fault), remedy)
		}
	}
}

// inspectProgram notes a program that is not there. It may be when it is its
// turn, and if not, the snapshot says so.
func (r *reading) inspectProgram(line int, args []string) {
	if len(args) == 0 || args[0] == "" {
		return
	}
	if filepath.IsAbs(args[0]) {
		if fault, remedy := program(args[0]); fault != "" {
			r.note(line, "%s %s, and a snapshot without it is degraded: %s", args[0], fault, remedy)
		}
		return
	}
	if _, err := exec.LookPath(args[0]); err != nil {
		r.note(line, "%s is in no directory of this PATH; the daemon's may be another: an absolute path is safer", args[0])
	}
}

// program is what keeps a file from being run, or from being trusted, with the
// remedy; nothing if it can be.
func program(path string) (fault, remedy string) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "is not there", "install it"
	case err != nil:
		return "cannot be looked at: " + err.Error(), "let the user of the daemon reach it"
	case !info.Mode().IsRegular():
		return "is not a program", "name the file that is to run"
	case info.Mode().Perm()&0o111 == 0:
		return "is not executable", "chmod +x " + path
	case info.Mode().Perm()&0o002 != 0:
		return "can be changed by everybody", "chmod o-w " + path
	}
	return "", ""
}
