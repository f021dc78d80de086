package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"keepsake/daemon/config"
	"keepsake/daemon/control"
	"keepsake/store/backend"
)

// version is set by the linker for releases.
var version = "0.1.0-dev"

// app is one invocation.
type app struct {
	env   *environment
	flags struct {
		repository, config, keyFile string
		json, quiet, noColor        bool
		verbose                     int
	}
	config config.Config
	screen *screen      // made on first use, when the flags are known
	mount  string       // where up was told to mount; empty for the usual place
	log    *slog.Logger // of the service; others say more with -v
	// invalid is why the configuration cannot be read, of verbs that do without
	// its sources.
	invalid error
	// slip is what is wrong with a text that was given as a password and looks like
	// a mistyped recovery code.
	slip error
}

// run carries out a command line and returns the exit code.
func run(ctx context.Context, env *environment, args []string) int {
	a := &app{env: env}
	root := a.command()
	root.SetArgs(args)
	root.SetOut(env.stdout)
	root.SetErr(env.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if remote, ok := errors.AsType[*remoteExit](err); ok {
		return remote.code // the owner has said the rest
	}
	return a.fail(ctx, err)
}

// fail tells an error and returns its exit code.
func (a *app) fail(ctx context.Context, err error) int {
	out := a.output()
	return out.fail(ctx, err)
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "keepsake",
		Short: "Encrypted snapshots of photo and video libraries, shown as folders",
		Long: `keepsake keeps encrypted, deduplicated snapshots of directories and shows every
snapshot as a folder.

  keepsake up ~/Pictures     back up, browse at ~/Keepsake, keep watching
  keepsake snapshots         what there is
  keepsake restore latest --target ~/restored

Every verb works while up or the service is running. keepsake help VERB says more.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			err := a.readConfig()
			if err != nil && !needsSources(c.CommandPath()) && a.salvage(err) {
				a.invalid, err = err, nil
			}
			return err
		},
	}
	f := root.PersistentFlags()
	f.StringVarP(&a.flags.repository, "repository", "r", "", "directory of the repository (KEEPSAKE_REPOSITORY)")
	f.StringVar(&a.flags.config, "config", "", "configuration file instead of the usual places")
	f.StringVar(&a.flags.keyFile, "key-file", "", "file that opens the repository (KEEPSAKE_KEY_FILE)")
	f.BoolVar(&a.flags.json, "json", false, "print lines of JSON, each with a message_type")
	f.BoolVarP(&a.flags.quiet, "quiet", "q", false, "print results and errors only")
	f.CountVarP(&a.flags.verbose, "verbose", "v", "say more; twice for debugging")
	f.BoolVar(&a.flags.noColor, "no-color", false, "no colours (NO_COLOR)")
	root.AddCommand(
		a.upCommand(), a.initCommand(), a.backupCommand(), a.snapshotsCommand(), a.lsCommand(), a.restoreCommand(),
		a.forgetCommand(), a.undeleteCommand(),
		a.dumpCommand(), a.mountCommand(), a.checkCommand(), a.scrubCommand(), a.keyCommand(), a.statusCommand(), a.doctorCommand(),
		a.backupNowCommand(), a.pauseCommand(), a.ackCommand(), a.notifyCommand(), a.daemonCommand(), a.serviceCommand(),
		a.configCommand(), a.sambaConfigCommand(), a.versionCommand(),
	)
	strict(root, a.showVersion)
	return root
}

// systemConfig is the configuration of the service.
const systemConfig = systemConfigDir + "/" + config.Name

// readConfig reads the nearest configuration file, if there is one.
func (a *app) readConfig() error {
	a.config = config.Default(config.Production)
	path := a.configFile()
	if path == "" {
		return nil
	}
	c, err := config.Read(path)
	if errors.Is(err, fs.ErrPermission) && path == systemConfig && a.flags.config == "" {
		return nil // it is the service's, which says what this user may do
	}
	if err != nil {
		return &usageError{err}
	}
	a.config = c
	a.env.system = filepath.Dir(path) == systemConfigDir
	return nil
}

// needsSources reports whether a verb cannot do with a part of the
// configuration: it keeps sources, or makes things where the file says.
func needsSources(commandPath string) bool {
	verb, _, _ := strings.Cut(strings.TrimPrefix(commandPath, "keepsake "), " ")
	return slices.Contains([]string{"up", "daemon", "backup", "service", "init"}, verb)
}

// salvage takes what can be had of a configuration that cannot be read because
// of err: a slip of the pen in a list of sources must not stand between a person
// and a file to be restored. It reports false for a file that was named and is
// none: that is a slip on the command line.
func (a *app) salvage(err error) bool {
	path, what := a.configFile(), err.Error()
	wrong, misconfigured := errors.AsType[*config.FileError](err)
	switch {
	case misconfigured:
		what = fmt.Sprintf("%s has %s", path, count(len(wrong.Problems), "problem"))
	case a.flags.config != "":
		return false
	}
	a.config = config.Salvage(path)
	a.env.system = filepath.Dir(path) == systemConfigDir
	check := "keepsake config check"
	if a.flags.config != "" {
		check += " " + quote(path)
	}
	a.output().note("%s; this goes on with the places that it names, as far as they can be read. All that is wrong: %s", what, check)
	return true
}

// configFile is the configuration that counts: the one that was named, else the
// nearest one that exists, else none.
func (a *app) configFile() string {
	if a.flags.config != "" {
		return a.env.abs(a.flags.config)
	}
	for _, path := range []string{filepath.Join(a.env.configDir(), config.Name), systemConfig} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return path
		}
	}
	return ""
}

// repositoryDir is where the repository lies: flag, environment, configuration,
// default.
func (a *app) repositoryDir() string {
	for _, dir := range []string{a.flags.repository, a.env.get("KEEPSAKE_REPOSITORY")} {
		if dir != "" {
			return a.env.abs(dir)
		}
	}
	return a.configuredRepository()
}

// configuredRepository is where it lies if flags and environment say nothing.
func (a *app) configuredRepository() string {
	if a.config.Repository != "" {
		return a.env.abs(a.config.Repository)
	}
	return a.env.dataDir()
}

func (a *app) options() control.Options {
	return control.Options{
		JSON: a.flags.json, Quiet: a.flags.quiet, Verbose: min(a.flags.verbose, 9),
		Color:    a.env.terminal && !a.flags.noColor && a.env.get("NO_COLOR") == "",
		Terminal: a.env.terminal, Width: a.env.width, Dir: []byte(a.env.dir),
	}
}

// act carries out a verb of the repository: in this process if it can own the
// state directory, else through the process that does.
func (a *app) act(ctx context.Context, verb string, args any) error {
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	// The server puts whom the kernel names in place of what is said here.
	me := control.Peer{PID: os.Getpid(), UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	req := control.Request{Verb: verb, Args: raw, Options: a.options(), Peer: me}
	path, said := a.env.socket()
	if a.invalid != nil && !said && !a.namedRepository() {
		if done, err := a.despite(ctx, path, req); done {
			return err
		}
	}
	if said || a.keptAt(ctx, path, verb) {
		return a.public(ctx, req, nil)
	}
	err = a.here(ctx, req)
	// A user who named no repository and has none may mean the service's. Root reads where the service's is.
	none := !a.namedRepository() && os.Geteuid() != 0 && exitCode(ctx, err) == exitNoRepository
	switch {
	case !none && !errors.As(err, new(*closedError)):
		return err
	case control.ForGroup(verb):
		return a.public(ctx, req, err)
	}
	return a.membersOnly(ctx, verb, err)
}

// despite has the keepsake that listens at path carry out a verb if the service's
// configuration does not even say where the repository is: the service goes on
// with the one that it has read. done is false if nobody is there, or not for
// this user. Otherwise it says which repository is looked at.
func (a *app) despite(ctx context.Context, path string, req control.Request) (done bool, err error) {
	// Another person's configuration says nothing of the service's repository.
	if a.env.system {
		code, err := a.askAt(ctx, path, req)
		if err == nil {
			return true, a.exit(code)
		}
		if !errors.Is(err, control.ErrNoOwner) && !errors.Is(err, control.ErrRefused) && !errors.Is(err, fs.ErrPermission) {
			return true, err
		}
	}
	a.output().note("the repository is taken to be %s; --repository names another", a.repositoryDir())
	return false, nil
}

// here carries out a verb in this process or through the owner of the state.
func (a *app) here(ctx context.Context, req control.Request) error {
	local, err := backend.OpenLocal(a.repositoryDir(), nil)
	if err != nil {
		return closed(err)
	}
	return a.own(ctx, local, req, func(ctx context.Context, s *session) error {
		return a.exit(s.serve(ctx, req, a.stream()))
	})
}

// namedRepository reports whether somebody said where the repository is.
func (a *app) namedRepository() bool {
	return a.flags.repository != "" || a.env.get("KEEPSAKE_REPOSITORY") != "" || a.config.Repository != ""
}

// remoteExit is the end of a verb that has told everything itself.
type remoteExit struct{ code int }

func (e *remoteExit) Error() string { return fmt.Sprintf("exit %d", e.code) }

func (a *app) exit(code int) error {
	if code == exitOK {
		return nil
	}
	return &remoteExit{code}
}
