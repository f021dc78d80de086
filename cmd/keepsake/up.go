package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"keepsake/daemon/config"
	"keepsake/daemon/control"
	"keepsake/store"
	"keepsake/store/backend"
	"keepsake/store/durable"
)

func (a *app) upCommand() *cobra.Command {
	var mount string
	var view *viewFlags
	c := &cobra.Command{
		Use:   "up [DIR…]",
		Short: "Back up, show the snapshots as folders, and keep watching",
		Long: `Needs no configuration: makes an encrypted repository on first use, takes a
snapshot of each directory, mounts all snapshots at ~/Keepsake, and takes a new
one whenever files have changed and come to rest. Runs until Ctrl-C.

Without a directory it takes those of the last time, or your pictures and videos.
What it was given is written to keepsake.toml.`,
		Example: "  keepsake up ~/Pictures\n  keepsake up /volume1/weddings /volume1/clients --repository /volume2/keepsake",
		RunE: func(c *cobra.Command, dirs []string) error {
			u := &up{a: a, out: a.output(), mount: mount, view: view}
			return u.run(c.Context(), dirs)
		},
	}
	c.Flags().StringVar(&mount, "mount", "", "where to show the snapshots (default ~/Keepsake)")
	view = newViewFlags(c)
	return c
}

// up is one run of the verb.
type up struct {
	a       *app
	out     *output
	mount   string
	view    *viewFlags
	sources []config.Source
	repo    string
	shown   config.Config // says how the view is mounted
	made    *made         // set if the repository is new
	bytes   int64         // that the sources hold, if they were measured
}

func (u *up) run(ctx context.Context, dirs []string) error {
	if u.mount == "" {
		u.mount = u.a.mountDir()
	}
	u.mount = u.a.env.abs(u.mount)
	u.a.mount = u.mount
	u.shown = u.a.config
	if err := u.view.into(&u.shown); err != nil {
		return err
	}
	if err := u.chooseSources(dirs); err != nil {
		return err
	}
	if err := u.chooseRepository(); err != nil {
		return err
	}
	if err := u.checkPlaces(); err != nil {
		return err
	}
	local, err := backend.OpenLocal(u.repo, nil)
	if err == nil {
		_, err = store.Identify(ctx, local)
	}
	if errors.Is(err, store.ErrNoRepository) || errors.Is(err, backend.ErrNoRepository) {
		if u.a.config.Repository == u.repo && len(u.a.config.Sources) > 0 {
			return fmt.Errorf("%w: %s, which keepsake.toml names, is empty or gone. Is its disk mounted? To begin anew, remove keepsake.toml", store.ErrNoRepository, u.repo)
		}
		local, err = u.create(ctx)
	}
	if err != nil {
		return err
	}
	req := control.Request{Verb: "up", Args: json.RawMessage("{}"), Options: u.a.options()}
	err = u.a.own(ctx, local, req, u.keep)
	if other, ok := errors.AsType[*runningError](err); ok {
		return &refusedError{err, u.instead(other.verb)}
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // interrupted is how it ends
	}
	return err
}

// instead is what to do where an up or a service runs already.
func (u *up) instead(verb string) string {
	var more []string
	for _, s := range u.sources[len(u.a.config.Sources):] {
		more = append(more, shellWord(s.Path))
	}
	switch {
	case verb == "daemon":
		return "Add a [[source]] to its configuration and reload it (systemctl reload keepsake), or stop it first."
	case len(more) == 0:
		return "keepsake status says how its sources stand."
	}
	return "Stop it (Ctrl-C where it runs), then: keepsake up " + strings.Join(more, " ") + ". What it keeps now is kept along with that."
}

// shellWord quotes a path so that the command it stands in can be copied.
func shellWord(path string) string {
	if !strings.ContainsAny(path, " '\"\\$`*?[]()<>|&;#~!{}\t\n") {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// chooseSources takes the directories given, those of the configuration, or
// the person's pictures and videos.
func (u *up) chooseSources(dirs []string) error {
	u.sources = slices.Clone(u.a.config.Sources)
	if len(dirs) == 0 && len(u.sources) == 0 {
		dirs = u.a.libraries()
		if len(dirs) == 0 {
			return &usageError{errors.New("there is no Pictures or Videos directory here; say which directory to keep: keepsake up DIR")}
		}
	}
	for i := range u.sources {
		if u.sources[i].IsCommand() {
			continue
		}
		dir, err := sourceDir(u.sources[i].Path)
		if err != nil {
			return err
		}
		u.sources[i].Path = dir
	}
	for _, d := range dirs {
		dir, err := sourceDir(u.a.env.abs(d))
		if err != nil {
			return err
		}
		if !u.has(dir) {
			u.sources = append(u.sources, u.a.config.NewSource(u.freeLabel(dir), dir))
		}
	}
	return nil
}

func (u *up) has(dir string) bool {
	for _, s := range u.sources {
		if s.Path == dir {
			return true
		}
	}
	return false
}

// freeLabel is the directory's base name, told apart from other sources'.
func (u *up) freeLabel(dir string) string {
	label := labelOf(dir)
	for n := 2; ; n++ {
		taken := false
		for _, s := range u.sources {
			taken = taken || s.Label == label
		}
		if !taken {
			return label
		}
		label = fmt.Sprintf("%s-%d", labelOf(dir), n)
	}
}

// libraries are the XDG directories for pictures and videos that exist.
func (a *app) libraries() []string {
	var dirs []string
	named := a.userDirs()
	for key, fallback := range map[string]string{"XDG_PICTURES_DIR": "Pictures", "XDG_VIDEOS_DIR": "Videos"} {
		dir := named[key]
		if dir == "" {
			dir = filepath.Join(a.env.home, fallback)
		}
		if info, err := os.Stat(dir); err == nil && info.IsDir() && dir != a.env.home {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// userDirs reads user-dirs.dirs (xdg-user-dirs): lines of KEY="$HOME/dir".
func (a *app) userDirs() map[string]string {
	dirs := map[string]string{}
	b, err := os.ReadFile(filepath.Join(a.env.xdg("XDG_CONFIG_HOME", ".config"), "user-dirs.dirs"))
	if err != nil {
		return dirs // most servers have none
	}
	for line := range strings.Lines(string(b)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		value = strings.Trim(value, `"`)
		if rest, ok := strings.CutPrefix(value, "$HOME"); ok {
			value = a.env.home + rest
		}
		if filepath.IsAbs(value) {
			dirs[key] = filepath.Clean(value)
		}
	}
	return dirs
}

// checkPlaces refuses arrangements in which a snapshot would hold itself.
func (u *up) checkPlaces() error {
	for _, s := range u.sources {
		for _, own := range u.a.ownDirs(u.repo) {
			if rel, err := filepath.Rel(own, s.Path); err == nil && filepath.IsLocal(rel) {
				return fmt.Errorf("%s lies inside %s, which is keepsake's own; choose another directory", s.Path, own)
			}
		}
	}
	return nil
}

// create makes the repository, after looking whether the libraries fit.
func (u *up) create(ctx context.Context) (*backend.Local, error) {
	need, err := u.measure(ctx, u.sources)
	if err != nil {
		return nil, err
	}
	u.bytes = int64(need)
	free, _, err := (&durable.Disk{}).Free(existing(u.repo))
	if err != nil {
		return nil, fmt.Errorf("asking for the free space of %s: %w", u.repo, err)
	}
	if need > free {
		return nil, fmt.Errorf("the sources hold %s and %s has %s free; choose a larger disk with --repository. Nothing was read or written", size(need), existing(u.repo), size(free))
	}
	if u.made, err = u.a.initRepository(ctx, u.repo, false); err != nil {
		return nil, err
	}
	u.out.printf("Repository  %s (new, encrypted), %s free", u.repo, size(free))
	u.made.tellKeys(u.out)
	u.warn(u.sources)
	return backend.OpenLocal(u.repo, nil)
}

// warn tells of arrangements that one broken disk or one theft would end.
func (u *up) warn(sources []config.Source) {
	for _, s := range sources {
		if !s.IsCommand() && sameFileSystem(s.Path, u.repo) {
			u.out.note("%s and its repository lie on the same disk: if it breaks, both are lost. --repository puts it elsewhere", s.Label)
			break
		}
	}
	if u.made != nil && u.made.keyFile != "" && sameFileSystem(u.made.keyFile, u.repo) {
		u.out.note("the key lies on the same disk as the repository; keep a copy of %s, or the recovery code, elsewhere", u.made.keyFile)
	}
}

// place is where and how the view is mounted. Whom it lets in was said for this
// run alone: the configuration says it of root's.
func (u *up) place() viewPlace {
	p := viewPlace{dir: u.mount, viewOptions: viewOptionsOf(u.shown), refuse: true}
	if u.view.of.Flags().Changed("allow-other") {
		p.AllowOther = u.view.allowOther
	}
	return p
}

// saveConfig writes keepsake.toml, so that the next run needs no arguments.
func (u *up) saveConfig() error {
	c := u.a.config
	c.Repository = u.repo
	// What the configuration says already stays as it says it, links included.
	c.Sources = append(slices.Clone(c.Sources), u.sources[len(c.Sources):]...)
	if u.mount != u.a.env.defaultMount() {
		c.Mount = u.mount
	}
	c.NoExec, c.Cache, c.ReadAhead = u.shown.NoExec, u.shown.Cache, u.shown.ReadAhead
	if u.made != nil && u.made.keyFile != "" {
		c.KeyFile = u.made.keyFile
	}
	path := u.configPath()
	if c.Equal(u.a.config) && exists(path) {
		return nil
	}
	b, err := c.Amend(u.written(path))
	if err != nil {
		return err
	}
	disk := &durable.Disk{}
	if err := disk.MkdirAll(filepath.Dir(path), durable.PrivateDir); err != nil {
		return err
	}
	u.a.config = c
	return disk.ReplaceFile(path, b, durable.PrivateFile)
}

// configPath is where up writes what it was told.
func (u *up) configPath() string {
	if u.a.flags.config != "" {
		return u.a.env.abs(u.a.flags.config)
	}
	return filepath.Join(u.a.env.configDir(), config.Name)
}

// written is what a configuration file says that was read before; nothing if
// there is none, or if it was another one that was read.
func (u *up) written(path string) []byte {
	if path != u.a.configFile() {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil // it is written anew
	}
	return b
}
