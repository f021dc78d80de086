package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"keepsake/daemon/config"
)

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Check the configuration, or show every setting and its reason",
		RunE: func(*cobra.Command, []string) error {
			return &usageError{errors.New("keepsake config needs one of check, show")}
		},
		// In the place of reading the configuration, which these verbs do in
		// their own way: it may be wrong, and no repository is needed.
		PersistentPreRunE: func(*cobra.Command, []string) error { return nil },
	}
	check := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say everything that is wrong with the configuration, and what to know about it",
		Long: `Reads FILE, else what --config names, else the nearest keepsake.toml, and looks
at the directories and programs that it names. Needs neither repository nor key.

Ends with 0 if keepsake can run with it, with 1 if there are problems, with 2 if
there is no such file.`,
		Args: atMostOneFile,
		RunE: func(_ *cobra.Command, args []string) error { return a.checkConfig(args) },
	}
	show := &cobra.Command{
		Use:   "show [FILE]",
		Short: "Show every setting, where it comes from, and why a default is as it is",
		Long: `Shows all settings that count, as TOML: those of FILE, else of what --config
names, else of the nearest keepsake.toml; without any, the defaults.`,
		Args: atMostOneFile,
		RunE: func(_ *cobra.Command, args []string) error { return a.showConfig(args) },
	}
	c.AddCommand(check, show)
	return c
}

func atMostOneFile(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return &usageError{fmt.Errorf("%s takes one file at most; see %[1]s --help", c.CommandPath())}
	}
	return nil
}

// namedConfig is the configuration that a verb is about, empty if there is none.
// The service's stands for the service's usual places.
func (a *app) namedConfig(args []string) string {
	path := a.configFile()
	if len(args) > 0 {
		path = a.env.abs(args[0])
	}
	a.env.system = filepath.Dir(path) == systemConfigDir
	return path
}

// usualPlaces are where keepsake's own things lie if the configuration does not
// say.
func (a *app) usualPlaces() config.Places {
	p := config.Places{Repository: a.env.get("KEEPSAKE_REPOSITORY"), Mount: a.env.defaultMount(), State: a.env.stateBase()}
	if p.Repository == "" {
		p.Repository = a.env.dataDir()
	}
	if key := a.env.defaultKeyFile(); exists(key) {
		p.KeyFile = key
	}
	return p
}

func (a *app) checkConfig(args []string) error {
	path := a.namedConfig(args)
	if path == "" {
		return &usageError{errors.New("there is no configuration; keepsake up DIR writes one, or say which file to check")}
	}
	c, notes, err := config.Check(path, a.usualPlaces())
	if errors.Is(err, fs.ErrNotExist) {
		return &usageError{err}
	}
	if err != nil {
		return err
	}
	out := a.output()
	if a.flags.json {
		for _, n := range notes {
			out.emit("config_note", map[string]any{"line": n.Line, "text": n.Text})
		}
		out.emit("config_check", map[string]any{"file": path, "profile": c.Profile, "sources": labels(c)})
		return nil
	}
	for _, n := range notes {
		out.say("%s %s", out.color(text.FgYellow, "note"), quote(n.String()))
	}
	sources := ""
	if len(c.Sources) > 0 {
		sources = ": " + strings.Join(labels(c), ", ")
	}
	out.say("%s is in order, profile %s, %s%s", quote(path), c.Profile, count(len(c.Sources), "source"), sources)
	return nil
}

func labels(c config.Config) []string {
	all := []string{}
	for _, s := range c.Sources {
		all = append(all, s.Label)
	}
	return all
}

func (a *app) showConfig(args []string) error {
	path := a.namedConfig(args)
	c, settings, err := config.Show(path, a.usualPlaces())
	if errors.Is(err, fs.ErrNotExist) {
		return &usageError{err}
	}
	if err != nil {
		return err
	}
	out := a.output()
	if a.flags.json {
		for _, s := range settings {
			out.emit("setting", settingJSON(s))
		}
		return nil
	}
	if path == "" {
		path = "no configuration file: all is default"
	}
	out.say("%s, profile %s", quote(path), c.Profile)
	out.settings(settings)
	return nil
}

// settingJSON leaves out what does not apply.
func settingJSON(s config.Setting) map[string]any {
	fields := map[string]any{"key": s.Name, "value": s.JSON(), "toml": s.Value, "from": s.From, "meaning": s.Meaning}
	for name, text := range map[string]string{"section": s.Section, "source": s.Source, "output": s.Output, "reason": s.Reason} {
		if text != "" {
			fields[name] = text
		}
	}
	if s.Line > 0 {
		fields["line"] = s.Line
	}
	return fields
}

// problems tells everything that is wrong with a configuration.
func (o *output) problems(all config.Problems) {
	if o.options.JSON {
		for _, p := range all {
			o.object(o.stream.Stderr, map[string]any{"message_type": "config_problem", "line": p.Line, "key": p.Key, "text": p.Text, "remedy": p.Remedy})
		}
		return
	}
	for _, p := range all {
		remedy := p.Remedy
		p.Remedy = ""
		write(o.stream.Stderr, o.color(text.FgYellow, "! ")+quote(p.String())+"\n")
		if remedy != "" {
			write(o.stream.Stderr, "    "+quote(remedy)+"\n")
		}
	}
}
