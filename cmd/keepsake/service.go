package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"keepsake/packaging/systemd"
	"keepsake/store/durable"
)

// serviceFlags are what all verbs of service take.
type serviceFlags struct {
	user, dryRun, force bool
	root                string // of another system; empty for this one
}

func (a *app) serviceCommand() *cobra.Command {
	var f serviceFlags
	c := &cobra.Command{
		Use:   "service",
		Short: "Make a systemd service of it",
		Long: `Lets systemd run keepsake daemon: from the start of the machine, restarted when it
hangs or fails, with few rights and low priority.

Changes to the unit belong into a drop-in (systemctl edit keepsake), which stays when
the unit is written again.`,
		Args: exactly(0, "one of install, uninstall, status"),
		RunE: func(c *cobra.Command, _ []string) error {
			return &usageError{errors.New("keepsake service needs one of install, uninstall, status")}
		},
	}
	p := c.PersistentFlags()
	p.BoolVar(&f.user, "user", false, "a service of your own instead of the machine's")
	p.BoolVar(&f.dryRun, "dry-run", false, "print what would be written and run, and do nothing")
	p.StringVar(&f.root, "root", "", "prepare the system below this directory; runs nothing")
	verb := func(use, short, long string, run func(*serviceUnit, context.Context) error) *cobra.Command {
		v := &cobra.Command{
			Use: use, Short: short, Long: long, Args: exactly(0, "no arguments"),
			RunE: func(c *cobra.Command, _ []string) error {
				u, err := a.serviceUnit(f)
				if err != nil {
					return err
				}
				return run(u, c.Context())
			},
		}
		c.AddCommand(v)
		return v
	}
	install := verb("install", "Write the unit, and a configuration if there is none, and start the service",
		`Writes the unit with the path of this program. If the service has no configuration
yet, the one that keepsake up has written is taken over (with sudo, that of the person
who asks; --config names another).`, (*serviceUnit).install)
	uninstall := verb("uninstall", "Stop the service and remove its unit",
		"Removes the unit. Configuration, keys, state and repository stay.", (*serviceUnit).uninstall)
	for _, v := range []*cobra.Command{install, uninstall} {
		v.Flags().BoolVar(&f.force, "force", false, "also if the unit was changed by hand, or others can change this program")
	}
	verb("status", "Say whether the service is installed, up to date and running",
		"The exit code is 3 unless it is.", (*serviceUnit).status)
	return c
}

// serviceUnit is the unit as it is and as it should be.
type serviceUnit struct {
	a   *app
	out *output
	f   serviceFlags

	path   string // of the unit, on this machine
	config string // of the configuration, as the service sees it
	text   string // what the unit should be
	state  unitState
	inPlay bool // systemd runs here and may be told
}

func (a *app) serviceUnit(f serviceFlags) (*serviceUnit, error) {
	u := &serviceUnit{a: a, out: a.output(), f: f}
	if f.root != "" {
		u.f.root = a.env.abs(f.root)
	}
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	if f.user {
		if f.root != "" {
			return nil, &usageError{errors.New("--root is for the machine's service; leave out --user")}
		}
		u.path = filepath.Join(a.env.xdg("XDG_CONFIG_HOME", ".config"), "systemd/user", systemd.Name)
		u.config = filepath.Join(a.env.configDir(), configName)
		if a.flags.config != "" {
			u.config = a.env.abs(a.flags.config)
		}
		u.text, err = systemd.User(program, u.config)
	} else {
		u.path = filepath.Join(u.f.root, "/etc/systemd/system", systemd.Name)
		u.config = systemConfig
		u.text, err = systemd.System(program, u.config)
	}
	if err != nil {
		return nil, err
	}
	u.text = signed(u.text)
	u.inPlay = u.f.root == "" && !f.dryRun && systemdRuns()
	u.state, err = readUnit(u.path, u.text)
	return u, err
}

// systemdRuns reports whether systemd manages this machine.
func systemdRuns() bool {
	b, err := os.ReadFile("/proc/1/comm")
	return err == nil && strings.TrimSpace(string(b)) == "systemd"
}

func (u *serviceUnit) install(ctx context.Context) error {
	if err := u.mayInstall(); err != nil {
		return err
	}
	config, err := u.newConfig()
	if err != nil {
		return err
	}
	steps := [][]string{u.systemctl("daemon-reload"), u.systemctl("enable", systemd.Name), u.systemctl("restart", systemd.Name)}
	if u.f.root != "" {
		steps = [][]string{{"systemctl", "--root=" + u.f.root, "enable", systemd.Name}}
	}
	u.emit("install", steps)
	if u.f.dryRun {
		u.out.printf("# %s", u.path)
		u.out.printf("%s", u.text)
		if config != nil {
			u.out.printf("# %s", u.configPath())
			u.out.printf("%s", config.text)
		}
		return u.follow(ctx, "Would run", steps)
	}
	disk := &durable.Disk{}
	if config != nil {
		if err := u.writeConfig(disk, config); err != nil {
			return err
		}
	}
	if err := writeUnit(disk, u.path, u.text); err != nil {
		return err
	}
	u.out.printf("Unit           %s", u.path)
	if err := u.follow(ctx, "Now run", steps); err != nil {
		return err
	}
	if u.f.user {
		u.out.note("it runs while you are logged in; to have it run always: loginctl enable-linger")
	}
	return nil
}

// emit tells programs what is done, before it is.
func (u *serviceUnit) emit(verb string, steps [][]string) {
	if !u.out.options.JSON {
		return
	}
	fields := map[string]any{
		"verb": verb, "unit": u.path, "config": u.configPath(), "dry_run": u.f.dryRun, "commands": steps, "runs_commands": u.inPlay,
	}
	if verb == "install" {
		fields["unit_text"] = u.text
	}
	u.out.emit("service", fields)
}

// mayInstall refuses what would end badly.
func (u *serviceUnit) mayInstall() error {
	if err := u.mayWrite("install"); err != nil {
		return err
	}
	if u.state.kind == unitShadowed && !u.f.force {
		return fmt.Errorf("the unit came with the package, at %s; run: systemctl enable --now %s (or --force for a copy of our own in /etc, which updates of the package do not reach)", u.state.shadowed, systemd.Name)
	}
	if u.f.user || u.f.root != "" || u.f.dryRun || u.f.force {
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if why := changeable(program); why != "" {
		return fmt.Errorf("%s, and whoever changes this program becomes root with the service; make both root's alone (chown root, chmod go-w), or put %s where they are, such as /usr/local/bin, and run that one (or --force)", why, program)
	}
	return nil
}

// mayWrite refuses without the rights, and where somebody's work would be lost.
func (u *serviceUnit) mayWrite(verb string) error {
	if !u.f.user && u.f.root == "" && !u.f.dryRun && os.Geteuid() != 0 {
		return &usageError{fmt.Errorf("the machine's service needs root: sudo keepsake service %s; or --user for one of your own", verb)}
	}
	if u.f.force {
		return nil
	}
	switch u.state.kind {
	case unitEdited:
		return fmt.Errorf("%s was changed by hand; move the changes to a drop-in (%s) or give --force", u.path, strings.Join(u.systemctl("edit", systemd.Name), " "))
	case unitForeign:
		return fmt.Errorf("%s was not written by keepsake service install; --force replaces it", u.path)
	}
	return nil
}

func (u *serviceUnit) uninstall(ctx context.Context) error {
	if u.state.kind == unitAbsent || u.state.kind == unitShadowed {
		u.out.note("%s is not there; nothing to do", u.path)
		return nil
	}
	if err := u.mayWrite("uninstall"); err != nil {
		return err
	}
	stop := [][]string{u.systemctl("disable", "--now", systemd.Name)}
	reload := [][]string{u.systemctl("daemon-reload")}
	u.emit("uninstall", append(slices.Clone(stop), reload...))
	if u.f.dryRun {
		u.out.printf("Would remove   %s", u.path)
		return u.follow(ctx, "Would run", append(stop, reload...))
	}
	if u.inPlay { // else it does not run
		if err := u.run(ctx, stop); err != nil {
			return err
		}
	}
	if err := removeUnit(&durable.Disk{}, u.path); err != nil {
		return err
	}
	u.out.printf("Removed        %s. Configuration, keys, state and repository stay.", u.path)
	if u.inPlay {
		return u.run(ctx, reload)
	}
	return nil
}

// follow runs the commands that make systemd see what was written, or says
// them.
func (u *serviceUnit) follow(ctx context.Context, what string, steps [][]string) error {
	if u.inPlay {
		return u.run(ctx, steps)
	}
	for _, s := range steps {
		u.out.printf("%-14s %s", what, strings.Join(s, " "))
	}
	return nil
}

func (u *serviceUnit) run(ctx context.Context, steps [][]string) error {
	for _, s := range steps {
		u.out.say("Running        %s", strings.Join(s, " "))
		out, err := exec.CommandContext(ctx, s[0], s[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(s, " "), err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

func (u *serviceUnit) systemctl(args ...string) []string {
	if u.f.user {
		return append([]string{"systemctl", "--user"}, args...)
	}
	return append([]string{"systemctl"}, args...)
}
