package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"keepsake/daemon/config"
	"keepsake/daemon/doctor"
	"keepsake/daemon/rules"
)

func (a *app) doctorCommand() *cobra.Command {
	var allowOther bool
	var problems []doctor.Finding
	c := &cobra.Command{
		Use:   "doctor [DIR…]",
		Short: "Say what should be mended on this machine",
		Long: `Looks at what keepsake depends on: whether the sources can be watched within the
kernel's limits, who else can reach the repository, the key, the configuration
and the state, what lies on which disk and file system, free space, FUSE, the
clock. Each finding that is not ok comes with what to do about it.

The sources are those of the configuration, or the directories named. Nothing is
changed, and neither a key nor an existing repository is needed.

The exit code is 0 if everything is ok or no more than a warning, 1 if anything
fails.`,
		// A configuration that is wrong is a finding like any other.
		PersistentPreRunE: func(*cobra.Command, []string) (err error) {
			problems, err = a.configProblems()
			return err
		},
		RunE: func(c *cobra.Command, dirs []string) error { return a.doctor(c.Context(), dirs, allowOther, problems) },
	}
	c.Flags().BoolVar(&allowOther, "allow-other", false, "look at what mount --allow-other needs, too")
	return c
}

// configProblems reads the configuration, and returns what is wrong with it.
// What is looked at then are the usual places.
func (a *app) configProblems() ([]doctor.Finding, error) {
	err := a.readConfig()
	wrong, ok := errors.AsType[*config.FileError](err)
	if !ok {
		return nil, err
	}
	a.env.system = filepath.Dir(a.configFile()) == systemConfigDir
	var found []doctor.Finding
	for _, p := range wrong.Problems {
		remedy := p.Remedy
		if remedy == "" {
			remedy = "See keepsake config check."
		}
		p.Remedy = ""
		found = append(found, doctor.Finding{Name: "configuration", Level: doctor.Fail, Detail: p.String(), Remedy: remedy})
	}
	return found, nil
}

func (a *app) doctor(ctx context.Context, dirs []string, allowOther bool, problems []doctor.Finding) error {
	o := doctor.Options{
		Config:     a.configFile(),
		Repository: a.repositoryDir(),
		State:      a.env.stateBase(),
		Key:        a.usedKeyFile(),
		AllowOther: allowOther,
	}
	if runtime.GOARCH != "arm" { // there is no view there
		view := viewOptionsOf(a.config)
		o.Mount, o.Cache, o.ReadAhead = a.mountDir(), view.Cache, view.ReadAhead
	}
	for _, s := range a.config.Sources {
		if len(dirs) == 0 && s.Path != "" {
			o.Sources = append(o.Sources, a.examined(s))
		}
	}
	for _, dir := range dirs {
		dir = a.env.abs(dir)
		o.Sources = append(o.Sources, a.examined(a.config.NewSource(filepath.Base(dir), dir)))
	}
	var counted atomic.Int64
	o.Progress = func(_ string, n int) { counted.Store(int64(n)) }
	out := a.output()
	stop := out.watchProgress(ctx, func() progress {
		return progress{Action: "counting", Files: counted.Load(), Noun: "directory"}
	})
	findings := append(problems, doctor.Check(ctx, o)...)
	stop()
	if err := ctx.Err(); err != nil {
		return err
	}
	out.findings(findings)
	if doctor.Worst(findings) == doctor.Fail {
		return a.exit(exitFailed)
	}
	return nil
}

// examined is a source as the daemon would watch it.
func (a *app) examined(s config.Source) doctor.Source {
	real := config.Resolve(s.Path)
	own := map[string]bool{}
	for _, dir := range a.ownDirs(a.repositoryDir()) {
		if rel, err := filepath.Rel(real, dir); err == nil && filepath.IsLocal(rel) {
			own[rel] = true
		}
	}
	rules, err := rules.New(s.Exclude, s.Presets, s.CacheDirTag)
	if err != nil {
		rules = nil // reading the configuration has refused it
	}
	return doctor.Source{Label: s.Label, Path: s.Path, Exclude: func(rel string, isDir bool) bool {
		if own[rel] || rules == nil {
			return own[rel]
		}
		_, out := rules.Match(rel, isDir)
		return out
	}}
}

// usedKeyFile is the key file if somebody named one or there is one in the
// usual place.
func (a *app) usedKeyFile() string {
	path := a.keyFile()
	if path == a.env.defaultKeyFile() && !exists(path) {
		return ""
	}
	return path
}

// findings shows what was found, each remedy below what it mends.
func (o *output) findings(all []doctor.Finding) {
	number := map[doctor.Level]int{}
	var rows []table.Row
	for _, f := range all {
		number[f.Level]++
		if o.options.JSON {
			o.emit("finding", map[string]any{"name": f.Name, "level": f.Level, "detail": f.Detail, "remedy": f.Remedy})
			continue
		}
		if f.Level == doctor.OK && o.options.Quiet {
			continue
		}
		color := map[doctor.Level]text.Color{doctor.OK: text.FgGreen, doctor.Warn: text.FgYellow, doctor.Fail: text.FgRed}[f.Level]
		rows = append(rows, table.Row{o.color(color, string(f.Level)), line(f.Name), line(f.Detail)})
		if f.Remedy != "" {
			rows = append(rows, table.Row{"", "", "→ " + line(f.Remedy)})
		}
	}
	if o.options.JSON {
		o.emit("doctor", map[string]any{"ok": number[doctor.OK], "warn": number[doctor.Warn], "fail": number[doctor.Fail]})
		return
	}
	if len(rows) > 0 {
		o.table(table.Row{"", "what", "found"}, rows)
	}
	o.say("%s", verdict(number))
}

func verdict(number map[doctor.Level]int) string {
	switch fails, warns := number[doctor.Fail], number[doctor.Warn]; {
	case fails > 0:
		return fmt.Sprintf("%s must be mended; %s.", count(fails, "thing"), count(warns, "warning"))
	case warns > 0:
		return fmt.Sprintf("Nothing fails. %s could be better.", count(warns, "thing"))
	}
	return "Everything is fine."
}

// line keeps a text with paths in it on one line.
func line(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return quote(s)
	}
	return s
}
