package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"keepsake/crypto"
	"keepsake/daemon"
	"keepsake/daemon/config"
	"keepsake/daemon/control"
	"keepsake/store"
	"keepsake/store/backend"
	"keepsake/store/state"
)

const (
	// ownerPause is the pause between attempts to own the state or to reach
	// its owner, while one process is ending and another begins.
	ownerPause = 100 * time.Millisecond
	// ownerPatience is how long that may go on.
	ownerPatience = 15 * time.Second
)

// session is an open repository in the process that owns its state.
type session struct {
	repo    *store.Repository
	backend *backend.Local
	env     *environment
	started time.Time
	own     []string // directories that sources leave out
	log     *slog.Logger
	keeper  atomic.Pointer[daemon.Keeper] // set while up or the service runs

	configured []config.Source // that the configuration of this process names for this repository
	runs       runs
	troubles   troubles
	views      views

	mu      sync.Mutex
	notices []string // of opening, told by the first verb; guarded by mu
}

// takeNotices returns what opening had to say, once.
func (s *session) takeNotices() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.notices
	s.notices = nil
	return all
}

// handler carries out a verb's requests. It may run for another process: it
// reads no environment and writes to its output only.
type handler struct {
	run  func(ctx context.Context, s *session, args json.RawMessage, out *output) error
	args reflect.Type
}

// handlers are the verbs that need an open repository.
func handlers() map[string]handler {
	return map[string]handler{
		"backup":       handle(backupHandler),
		"snapshots":    handle(snapshotsHandler),
		"ls":           handle(lsHandler),
		"restore":      handle(restoreHandler),
		"dump":         handle(dumpHandler),
		"mount":        handle(mountHandler),
		"check":        handle(checkHandler),
		"key list":     handle(keyListHandler),
		"key add":      handle(keyAddHandler),
		"key confirm":  handle(keyConfirmHandler),
		"status":       handle(statusHandler),
		"backup-now":   handle(backupNowHandler),
		"pause":        handle(pauseHandler),
		"ack":          handle(ackHandler),
		"notify test":  handle(notifyTestHandler),
		"forget":       handle(forgetHandler),
		"undelete":     handle(undeleteHandler),
		"samba-config": handle(sambaConfigHandler),
	}
}

// handle gives a handler its own type of arguments. Arguments that it does not
// know are refused: a mount that was asked for without exec must not have it
// because the process that mounts is an older one. That such processes do not
// talk to each other at all is what control.Protocol is for.
func handle[A any](h func(ctx context.Context, s *session, args A, out *output) error) handler {
	run := func(ctx context.Context, s *session, raw json.RawMessage, out *output) error {
		var args A
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&args); err != nil {
			return &usageError{fmt.Errorf("arguments: %w", err)}
		}
		return h(ctx, s, args, out)
	}
	return handler{run, reflect.TypeFor[A]()}
}

// serve carries out one request, for this process or another.
func (s *session) serve(ctx context.Context, req control.Request, stream control.Stream) int {
	out := newOutput(req.Options, stream)
	out.peer = req.Peer
	h, ok := handlers()[req.Verb]
	if !ok {
		return out.fail(ctx, &usageError{fmt.Errorf("unknown verb %q", req.Verb)})
	}
	for _, text := range s.takeNotices() {
		out.note("%s", text)
	}
	return out.fail(ctx, h.run(ctx, s, req.Args, out))
}

// asked notes in the log of a service what somebody had it do, and who.
func (s *session) asked(out *output, what string, attributes ...any) {
	s.log.Info(what, append(attributes, "by", out.peer.User(), "pid", out.peer.PID)...)
}

// own makes this process the owner of the repository's state and runs f, or
// has the present owner carry req out.
func (a *app) own(ctx context.Context, local *backend.Local, req control.Request, f func(context.Context, *session) error) error {
	id, err := store.Identify(ctx, local)
	if err != nil {
		return closed(err)
	}
	dir := store.StateDir(a.env.stateBase(), id)
	deadline := time.Now().Add(ownerPatience)
	for {
		code, err := a.ask(ctx, dir, req)
		if err == nil {
			return a.exit(code)
		}
		if !errors.Is(err, control.ErrNoOwner) && !errors.Is(err, control.ErrStopping) {
			return closed(err)
		}
		s, err := a.open(ctx, local)
		if err == nil {
			return s.runAsOwner(ctx, a, req.Verb, f)
		}
		if !errors.As(err, new(*state.OwnedError)) || time.Now().After(deadline) {
			return closed(err)
		}
		select {
		case <-time.After(ownerPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ask sends a request to the owner of a state directory.
func (a *app) ask(ctx context.Context, dir string, req control.Request) (int, error) {
	c, err := control.Dial(ctx, dir, control.ClientOptions{Version: version})
	if err != nil {
		return 0, err
	}
	if keeps(req.Verb) {
		info, err := c.Info(ctx)
		if err != nil {
			return 0, err
		}
		switch {
		case keeps(info.Verb):
			return 0, &runningError{info.Verb, &state.OwnedError{Dir: dir, PID: info.PID}}
		case info.Verb == "mount":
			return 0, fmt.Errorf("stop keepsake mount first, %s shows the snapshots itself: %w", req.Verb, &state.OwnedError{Dir: dir, PID: info.PID})
		}
		return 0, control.ErrNoOwner // a verb that ends by itself; wait for that
	}
	return c.Do(ctx, req, a.stream())
}

// runningError says that another process keeps the sources of a repository: it
// does not end by itself.
type runningError struct {
	verb  string
	owned *state.OwnedError
}

func (e *runningError) Error() string {
	return fmt.Sprintf("keepsake %s is running already (process %d)", e.verb, e.owned.PID)
}
func (e *runningError) Unwrap() error { return e.owned }

// keeps reports whether a verb keeps sources until it is stopped.
func keeps(verb string) bool { return verb == "up" || verb == "daemon" }

// open opens the repository in this process.
func (a *app) open(ctx context.Context, local *backend.Local) (*session, error) {
	s := &session{backend: local, env: a.env, started: time.Now(), log: a.logger()}
	if config.Resolve(local.Dir()) == config.Resolve(a.configuredRepository()) {
		s.configured = a.config.Sources
	}
	r, err := store.Open(ctx, store.Options{
		Objects:   local,
		StateBase: a.env.stateBase(),
		Secret:    a.secret,
		Version:   version,
		Notice:    func(text string) { s.notices = append(s.notices, text) },
		Log:       a.logger(),
	})
	if errors.Is(err, crypto.ErrWrongSecret) && a.slip != nil {
		err = fmt.Errorf("%w; if it is the recovery code, then mistyped: %w", err, a.slip)
	}
	if err != nil {
		return nil, err
	}
	s.repo = r
	// Argon2id has left 64 MiB of garbage, if a password opened the repository.
	debug.FreeOSMemory()
	if r.State().Fresh() && r.State().SetAside() == "" {
		all, _, err := r.Briefs(ctx)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		if len(all) > 0 {
			s.notices = append(s.notices, "this machine has no memory of the repository: a new state directory was begun, and the next backup reads all metadata once and starts a new chain")
		}
	}
	s.own = a.ownDirs(local.Dir())
	return s, nil
}

// ownDirs are the directories that sources leave out, as they are once links
// in their paths are followed: sources are named that way, too.
func (a *app) ownDirs(repository string) []string {
	return []string{config.Resolve(repository), config.Resolve(a.env.stateBase()), config.Resolve(a.mountDir())}
}

func (a *app) mountDir() string {
	if a.mount != "" {
		return a.mount
	}
	if a.config.Mount != "" {
		return a.config.Mount
	}
	return a.env.defaultMount()
}

// runAsOwner runs f while other processes are served through the socket.
func (s *session) runAsOwner(ctx context.Context, a *app, verb string, f func(context.Context, *session) error) (err error) {
	defer func() { err = errors.Join(err, s.repo.Close(), s.closeDisk()) }()
	options := control.ServerOptions{
		Info:    control.Info{Version: version, Verb: verb, Started: s.started, Repository: s.backend.Dir()},
		Handler: s.serve,
		Metrics: s.metrics(a),
		Log:     a.logger(),
		Grace:   forOthers, Farewell: farewell,
	}
	if err := a.doors(verb, &options); err != nil {
		a.output().note("%v; backups go on without", err)
	}
	server, err := control.Listen(ctx, s.repo.State().Dir(), options)
	if err != nil {
		return err
	}
	for _, p := range server.Problems() {
		a.output().note("%v; backups go on without", p)
	}
	// What is left of this goroutine at the end of the process has nothing to do.
	defer context.AfterFunc(ctx, func() {
		time.Sleep(whenStopped)
		server.Hurry()
	})()
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- server.Serve(serving) }()
	err = f(ctx, s)
	stop()
	select {
	case others := <-done:
		return errors.Join(err, others)
	case <-time.After(time.Second):
		a.output().note("done; this process goes on with what other keepsake commands asked of it (Ctrl-C stops them)")
	}
	return errors.Join(err, <-done)
}

// closeDisk closes what is open of the repository, but waits for no file system
// that hangs: what is open is closed by the end of the process, too.
func (s *session) closeDisk() error {
	closed := make(chan error, 1)
	go func() { closed <- s.backend.Close() }()
	select {
	case err := <-closed:
		return err
	case <-time.After(forClosing):
		return nil
	}
}

const (
	// forClosing is how long the repository's disk may take to be closed.
	forClosing = 3 * time.Second
	// forOthers bounds how long the owner goes on for others when its own verb
	// is done: a backup that came in meanwhile may take a day.
	forOthers = 30 * 24 * time.Hour
	// whenStopped bounds it when the owner itself was told to stop. Together with
	// the farewell it leaves room in what a service may take to stop.
	whenStopped = 7 * time.Second
	// farewell is how long a request that was cut short may say so.
	farewell = time.Second
)

// path makes a path of the request absolute against the client's directory.
func (o *output) path(p []byte) string {
	if filepath.IsAbs(string(p)) || len(p) == 0 {
		return string(p)
	}
	return filepath.Join(string(o.options.Dir), string(p))
}
