package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ServerOptions configure an owner. Only Handler is required.
type ServerOptions struct {
	Info    Info
	Handler Handler
	Log     *slog.Logger // nil discards
	// Grace is how long running requests may go on after Serve's context ended.
	Grace time.Duration
	// Farewell is how long cancelled requests may still write before their connections are closed.
	Farewell time.Duration
	// HeaderTimeout bounds the arrival of a request's header, and of its body.
	HeaderTimeout time.Duration
}

func (o ServerOptions) withDefaults() ServerOptions {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Grace == 0 {
		// Long enough for every verb that only reads; a restore of hours must not hold up a shutdown, whose
		// service manager loses patience after 90 s.
		o.Grace = 10 * time.Second
	}
	if o.Farewell == 0 {
		o.Farewell = 2 * time.Second // a summary of what was left undone; a client that reads needs milliseconds
	}
	if o.HeaderTimeout == 0 {
		o.HeaderTimeout = 10 * time.Second // a local client sends at once, even on a NAS that is swapping
	}
	o.Info.Protocol = Protocol
	if o.Info.PID == 0 {
		o.Info.PID = os.Getpid()
	}
	o.Info.Version = printable(o.Info.Version)
	return o
}

// Validate refuses what cannot work.
func (o ServerOptions) Validate() error {
	if o.Handler == nil {
		return errors.New("control: no handler")
	}
	if o.Grace < 0 || o.Farewell < 0 || o.HeaderTimeout < 0 {
		return errors.New("control: negative duration")
	}
	return nil
}

// Server is a claimed socket. Its owner calls either Serve, once, or Close.
type Server struct {
	o    ServerOptions
	dir  *directory
	ln   *net.UnixListener
	own  unix.Stat_t // identity of the socket file
	http *http.Server
	stop context.CancelCauseFunc // ends every handler's context

	mu       sync.Mutex
	running  int           // guarded by mu
	stopping bool          // guarded by mu
	idle     chan struct{} // closed when stopping and nothing runs
}

// Serve is Listen followed by (*Server).Serve, for callers that need not know when the socket is there.
func Serve(ctx context.Context, dir string, info Info, h Handler) error {
	s, err := Listen(ctx, dir, ServerOptions{Info: info, Handler: h})
	if err != nil {
		return err
	}
	return s.Serve(ctx)
}

// Listen claims the socket of the state directory dir, which must exist. From its return on clients can connect; they
// are answered once Serve runs. ctx bounds only the claim. Errors: an *OwnedError if another process serves dir,
// ErrForeign if something else than a socket is in the way.
func Listen(ctx context.Context, dir string, o ServerOptions) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	d, err := openDirectory(dir)
	if err != nil {
		return nil, err
	}
	ln, err := d.claim(ctx)
	if err != nil {
		d.close()
		return nil, err
	}
	s := &Server{o: o.withDefaults(), dir: d, ln: ln, idle: make(chan struct{})}
	if s.own, err = d.lstat(SocketName); err != nil {
		ln.Close()
		d.close()
		return nil, &os.PathError{Op: "lstat", Path: filepath.Join(d.path, SocketName), Err: err}
	}
	// Not a child of ctx: requests outlive it by the grace.
	base, stop := context.WithCancelCause(context.Background())
	s.stop = stop
	s.http = &http.Server{
		Handler:           s.routes(),
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       withPeer,
		ReadHeaderTimeout: s.o.HeaderTimeout,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}
	// One request per connection: so a half-closed connection always means its one request.
	s.http.SetKeepAlivesEnabled(false)
	return s, nil
}

// Close gives a claim up that was never served.
func (s *Server) Close() error {
	s.dir.withdraw(s.own)
	err := s.ln.Close()
	s.stop(ErrStopping)
	s.dir.close()
	return err
}

// Serve answers clients until ctx ends, and returns nil then, after every handler has returned (see the package's
// third invariant). An error means that the socket failed.
func (s *Server) Serve(ctx context.Context) error {
	defer s.dir.close()
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.ln) }()
	var err error
	select {
	case <-ctx.Done():
		s.shut()
		<-failed
	case err = <-failed:
		err = fmt.Errorf("control socket: %w", err)
		s.shut()
	}
	s.drain()
	return err
}

// shut ends the taking of requests. The file goes first, while the socket still answers: so nobody can take it for a
// stale one and put another in its place that would then be removed.
func (s *Server) shut() {
	s.dir.withdraw(s.own)
	s.ln.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	if s.running == 0 {
		close(s.idle)
	}
}

func (s *Server) drain() {
	if !s.settled(s.o.Grace) {
		s.o.Log.Info("cancelling running requests", "grace", s.o.Grace)
		s.stop(ErrStopping)
		s.settled(s.o.Farewell)
	}
	// What has ended may still have its last bytes in net/http's hands.
	ctx, cancel := context.WithTimeout(context.Background(), s.o.Farewell)
	defer cancel()
	if s.settled(0) {
		_ = s.http.Shutdown(ctx)
	}
	_ = s.http.Close()
	s.stop(ErrStopping)
	<-s.idle
}

// settled waits at most d until nothing runs.
func (s *Server) settled(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.idle:
		return true
	case <-t.C:
	}
	select {
	case <-s.idle:
		return true
	default:
		return false
	}
}

// begin admits one more request; every nil is matched by one end.
func (s *Server) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return ErrStopping
	}
	if s.running >= MaxRunning {
		return ErrBusy
	}
	s.running++
	return nil
}

func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	if s.stopping && s.running == 0 {
		close(s.idle)
	}
}
