package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"keepsake/daemon"
	"keepsake/daemon/capture"
	"keepsake/daemon/config"
	"keepsake/daemon/control"
	"keepsake/daemon/gentle"
	"keepsake/daemon/logs"
	"keepsake/daemon/supervise"
	"keepsake/store/backend"
)

// serviceView is where the service shows snapshots if nothing else is said.
const serviceView = "/run/keepsake/view"

func (a *app) daemonCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "daemon",
		Short: "Keep what the configuration names, as a service",
		Long: `Keeps the sources of a configuration file: watches them, takes snapshots when they
are due, judges them, lets old ones expire, shows all of them as folders, and
tells somebody when something is wrong. Asks nothing; runs until SIGTERM.

SIGHUP reads the configuration again. An invalid one changes nothing, and the log
says what is wrong with it. keepsake config check says so beforehand.

keepsake service install makes a systemd service of it.`,
		Example: "  keepsake daemon --config /etc/keepsake/keepsake.toml",
		Args:    exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			d := &service{a: a, pulse: supervise.NewPulse()}
			return d.run(c.Context())
		},
	}
}

// service is one run of the verb daemon.
type service struct {
	a          *app
	file       string // the configuration
	pulse      *supervise.Pulse
	supervisor *supervise.Supervisor
}

func (d *service) run(ctx context.Context) error {
	a := d.a
	d.file = a.configFile()
	if d.file == "" {
		return &usageError{errors.New("there is no configuration; keepsake up DIR writes one, keepsake service install puts it where the service looks")}
	}
	if len(a.config.Sources) == 0 {
		return &usageError{fmt.Errorf("%s names no source; add a [[source]] with label and path", d.file)}
	}
	a.env.asks = false // nobody is there to answer
	if a.config.Mount == "" && os.Geteuid() == 0 {
		a.mount = serviceView
	}
	stopLog := d.openLog(ctx)
	defer stopLog()
	d.supervisor = supervise.New(d.pulse, supervise.Options{Log: a.logger()})
	gentle.Apply(gentle.Options{
		Eager: !a.config.Gentle, Memory: a.config.Memory, GoMemLimit: a.env.get("GOMEMLIMIT"),
	}).Log(a.logger())
	// Rebuilding an index takes longer than a service manager waits.
	started := d.supervisor.Extend(ctx)
	defer started()
	local, err := backend.OpenLocal(a.repositoryDir(), nil)
	if err != nil {
		return err
	}
	req := control.Request{Verb: "daemon", Args: json.RawMessage("{}"), Options: a.options()}
	err = a.own(ctx, local, req, func(ctx context.Context, s *session) error { return d.keep(ctx, s, started) })
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // told to stop is how it ends
	}
	return err
}

// keep is the daemon's work as the owner of the state.
func (d *service) keep(ctx context.Context, s *session, started func()) error {
	out := d.a.output()
	for _, text := range s.takeNotices() {
		out.note("%s", text)
	}
	k, err := daemon.New(ctx, daemon.Options{
		Repository: s.repo, Config: d.a.config, Host: d.a.env.host, User: d.a.env.user, Own: s.own,
		Progress: &capture.Progress{}, Pulse: d.pulse, Log: d.a.logger(), Free: s.backend.Free,
		Report: func(e daemon.Event) { d.report(s, out, e) },
	})
	if err != nil {
		return err
	}
	beside, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	go func() {
		if err := d.supervisor.Run(beside); err != nil {
			d.a.logger().Error("the service manager is not told of progress", "error", err)
		}
	}()
	go d.reloads(ctx, k)
	context.AfterFunc(ctx, d.supervisor.Stopping)
	// Without root's rights the system may not let others in; with them, files'
	// own permissions decide.
	place := viewPlace{dir: d.a.mountDir(), allowOther: d.a.config.AllowOther && os.Geteuid() == 0}
	return s.keep(ctx, k, place, out, func() {
		started()
		d.supervisor.Ready(d.summary(d.a.config))
	})
}

func (d *service) summary(c config.Config) string {
	return fmt.Sprintf("Keeping %s", count(len(c.Sources), "source"))
}

// reloads reads the configuration again at each SIGHUP until ctx ends.
func (d *service) reloads(ctx context.Context, k *daemon.Keeper) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-hup:
		case <-ctx.Done():
			return
		}
		d.supervisor.Reloading()
		if err := d.reload(ctx, k); err != nil {
			d.a.logger().Error("the configuration is not taken over; the old one stays", "file", d.file, "error", err)
			d.supervisor.Ready("The new configuration is invalid, the old one stays: see the log")
			continue
		}
		d.a.logger().Info("configuration read again", "file", d.file)
		d.supervisor.Ready(d.summary(k.Config()))
	}
}

func (d *service) reload(ctx context.Context, k *daemon.Keeper) error {
	c, err := config.Read(d.file)
	if err != nil {
		return err
	}
	changes, err := k.Reload(ctx, c)
	if err == nil && len(changes.Restart) > 0 {
		d.a.logger().Warn("some changes count when the daemon starts again", "keys", strings.Join(changes.Restart, ", "))
	}
	return err
}

// openLog makes the log of a service: structured, without secrets, bounded.
func (d *service) openLog(ctx context.Context) (end func()) {
	level := slog.LevelInfo
	if d.a.flags.verbose > 0 {
		level = slog.LevelDebug
	}
	h := logs.New(logs.Options{
		Writer: d.a.env.stderr, JSON: d.a.flags.json, Level: level,
		Journal: logs.Journal(d.a.env.get("JOURNAL_STREAM"), os.Stderr),
	})
	d.a.log = slog.New(h)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := h.Run(ctx); err != nil {
			write(d.a.env.stderr, "keepsake: the log cannot be written: "+err.Error()+"\n")
		}
	}()
	return func() { cancel(); <-done }
}

// report tells the log what happened to a source, and the view of new snapshots.
func (d *service) report(s *session, out *output, e daemon.Event) {
	log := d.a.logger()
	switch {
	case e.Note != "":
		log.Info("a source "+e.Note, "source", e.Label)
		return
	case e.Err != nil:
		log.Error("a snapshot could not be taken; it is tried again", "source", e.Label, "error", e.Err)
		return
	}
	s.published()
	if e.Snapshot.Number == 0 {
		log.Info("nothing has changed since the last snapshot", "source", e.Label)
		return
	}
	level := log.Info
	if e.Missing > 0 || len(e.Snapshot.Marks) > 0 {
		level = log.Warn
	}
	level("snapshot", "source", e.Label, "id", e.Snapshot.ID.Short(), "files", e.Snapshot.Stats.Files, "new", e.Snapshot.Stats.NewFiles,
		"changed", e.Snapshot.Stats.ChangedFiles, "deleted", e.Snapshot.Stats.DeletedFiles, "read_bytes", e.Snapshot.Stats.ReadBytes,
		"missed", e.Missing, "marks", e.Snapshot.Marks, "basis", e.Snapshot.Basis.String(), "why", e.Snapshot.Why)
}
