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
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"keepsake/daemon"
	"keepsake/daemon/capture"
	"keepsake/daemon/config"
	"keepsake/daemon/control"
	"keepsake/daemon/gentle"
	"keepsake/daemon/health"
	"keepsake/daemon/logs"
	"keepsake/daemon/supervise"
	"keepsake/store/backend"
)

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
			d := &service{a: a, pulse: supervise.NewPulse(), news: make(chan struct{}, 1)}
			return d.run(c.Context())
		},
	}
}

// standingEvery is how often the manager is told how sources stand though no
// task has ended: one may have become stale.
const standingEvery = time.Minute

// service is one run of the verb daemon.
type service struct {
	a          *app
	file       string // the configuration
	places     config.Places
	hup        chan os.Signal
	news       chan struct{} // a task has ended
	memory     int64         // the limit in force
	pulse      *supervise.Pulse
	supervisor *supervise.Supervisor
}

func (d *service) run(ctx context.Context) error {
	a := d.a
	d.file = a.configFile()
	if d.file == "" {
		return &usageError{errors.New("there is no configuration; keepsake up DIR writes one, keepsake service install puts it where the service looks")}
	}
	a.env.asks = false // nobody is there to answer
	defer d.catch()()
	if a.config.Mount == "" && os.Geteuid() == 0 {
		a.mount = systemView
	}
	d.places = a.usualPlaces()
	d.places.Repository, d.places.Mount = a.repositoryDir(), a.mountDir()
	var notes []config.Note
	var err error
	if a.config, notes, err = d.readConfig(); err != nil {
		return &usageError{err}
	}
	stopLog := d.openLog(ctx)
	defer stopLog()
	a.logger().Info("keepsake begins", "version", version, "config", d.file, "repository", a.repositoryDir())
	defer func() { a.logger().Info("keepsake has ended") }()
	d.tellNotes(notes)
	d.supervisor = supervise.New(d.pulse, supervise.Options{Log: a.logger()})
	d.memory = a.config.Memory
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

// catch keeps signals from ending the service until the returned function is
// called.
func (d *service) catch() (end func()) {
	// A reload that somebody wants before the service can.
	d.hup = make(chan os.Signal, 1)
	signal.Notify(d.hup, syscall.SIGHUP)
	// A log that nobody takes any more must not end the backups. Caught and not
	// ignored: programs that the service starts would inherit that.
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	return func() {
		signal.Stop(d.hup)
		signal.Stop(pipe)
	}
}

// readConfig reads the configuration as a daemon can run with it.
func (d *service) readConfig() (config.Config, []config.Note, error) {
	c, notes, err := config.ReadPlaced(d.file, d.places)
	if err == nil && len(c.Sources) == 0 {
		err = fmt.Errorf("%s names no source; add a [[source]] with label and path", d.file)
	}
	return c, notes, err
}

// tellNotes says what a configuration may say and its author should know.
func (d *service) tellNotes(notes []config.Note) {
	for _, n := range notes {
		d.a.logger().Info(n.Text, "line", n.Line)
	}
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
		Report: func(e daemon.Event) {
			d.report(s, e)
			select {
			case d.news <- struct{}{}:
			default: // told anyway
			}
		},
	})
	if err != nil {
		return err
	}
	var work sync.WaitGroup
	defer work.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	// Until the very end: a stop that hangs is seen, too.
	beside, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	work.Go(func() {
		if err := d.supervisor.Run(beside); err != nil {
			d.a.logger().Error("the service manager is not told of progress", "error", err)
		}
	})
	context.AfterFunc(ctx, func() {
		d.supervisor.Stopping()
		d.a.logger().Info("stopping; what is being read is given up, what was announced is safe")
	})
	place := viewPlace{dir: d.a.mountDir(), viewOptions: viewOptionsOf(d.a.config)}
	if place.fit() {
		d.a.logger().Info("the cache of the view is cut to half of the memory limit", "bytes", place.Cache)
	}
	return s.keep(ctx, k, place, out, func() {
		started()
		d.a.logger().Info("ready", "sources", listed(d.a.config.Sources), "view", orNone(place.dir), "metrics", orNone(d.a.config.Metrics))
		d.supervisor.Ready(d.summary(k))
		work.Go(func() { d.standing(ctx, k) })
		work.Go(func() { d.reloads(ctx, s, k) })
	})
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// standing has the manager show how the sources stand, until ctx ends.
func (d *service) standing(ctx context.Context, k *daemon.Keeper) {
	tick := time.NewTicker(standingEvery)
	defer tick.Stop()
	for {
		select {
		case <-d.news:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if ctx.Err() == nil { // else the last word is said
			d.supervisor.Status(d.summary(k))
		}
	}
}

// summary is what the service does, in one line that names no file.
func (d *service) summary(k *daemon.Keeper) string {
	all := k.Health()
	text := fmt.Sprintf("Keeping %s", count(len(all), "source"))
	for _, state := range []health.State{health.Guarded, health.Failing, health.Stale, health.Degraded} {
		var labels []string
		for _, s := range all {
			if s.State == state {
				labels = append(labels, s.Label)
			}
		}
		if len(labels) > 0 {
			text += fmt.Sprintf("; %s: %s", state, strings.Join(labels, ", "))
		}
	}
	return text
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
	if d.a.flags.json {
		d.a.log = d.a.log.With("message_type", "log") // as all lines of JSON have one
	}
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
func (d *service) report(s *session, e daemon.Event) {
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
