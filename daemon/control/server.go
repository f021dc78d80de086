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
	"slices"
	"sync"
	"time"
)

// ServerOptions configure an owner. Only Handler is required.
type ServerOptions struct {
	Info    Info
	Handler Handler
	Log     *slog.Logger // nil discards
	// Group is the group (gid) whose members may ask for a few verbs; 0 means none. The root group is nobody's.
	Group uint32
	// Public is the absolute path of a second socket, which Group can reach; the state directory is closed to it.
	// Empty: none. Its directory is made if it is missing.
	Public string
	// Metrics answers GET /metrics, to everybody who may ask anything at all; nil serves none.
	Metrics http.Handler
	// MetricsAddress is a loopback address with port ("127.0.0.1:9273") where Metrics are served by TCP, to every
	// user of this machine. Empty: none.
	MetricsAddress string
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
	if o.Public != "" && (!filepath.IsAbs(o.Public) || filepath.Clean(o.Public) != o.Public || o.Public == "/") {
		return fmt.Errorf("control: the public socket's path %q is not absolute and clean", o.Public)
	}
	if o.MetricsAddress != "" {
		if o.Metrics == nil {
			return errors.New("control: an address for metrics, and no metrics")
		}
		if err := CheckMetricsAddress(o.MetricsAddress); err != nil {
			return err
		}
	}
	if o.Grace < 0 || o.Farewell < 0 || o.HeaderTimeout < 0 {
		return errors.New("control: negative duration")
	}
	return nil
}

// Server is a claimed state directory. Its owner calls either Serve, once, or Close.
type Server struct {
	o        ServerOptions
	doors    []*door       // the state directory's first
	problems []error       // of other doors
	hurry    chan struct{} // closed when the grace is over, however much of it is left
	hurried  sync.Once
	stop     context.CancelCauseFunc // ends every handler's context

	mu       sync.Mutex
	running  int           // guarded by mu
	members  int           // of them, asked for by members of the group; guarded by mu
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
//
// A public socket or an address for metrics that cannot be had is no error: backups matter more than being asked
// about. It is logged, and Problems tells it.
func Listen(ctx context.Context, dir string, o ServerOptions) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Server{o: o.withDefaults(), idle: make(chan struct{}), hurry: make(chan struct{})}
	// Not a child of ctx: requests outlive it by the grace.
	base, stop := context.WithCancelCause(context.Background())
	s.stop = stop
	first, err := s.private(ctx, dir)
	if err != nil {
		stop(err)
		return nil, err
	}
	s.admit(base, first)
	for _, open := range []func(context.Context) (*door, error){s.public, s.loopback} {
		d, err := open(ctx)
		switch {
		case err != nil:
			s.o.Log.Error("one way to ask this keepsake is closed", "err", err)
			s.problems = append(s.problems, err)
		case d != nil:
			s.admit(base, d)
		}
	}
	return s, nil
}

// Problems are the reasons why the public socket or the address for metrics is not served.
func (s *Server) Problems() []error { return slices.Clone(s.problems) }

// Close gives a claim up that was never served.
func (s *Server) Close() error {
	var err error
	for _, d := range s.doors {
		err = errors.Join(err, d.shut())
		d.release()
	}
	s.stop(ErrStopping)
	return err
}

// Serve answers clients until ctx ends, and returns nil then, after every handler has returned (see the package's
// third invariant). An error means that the state directory's socket failed.
func (s *Server) Serve(ctx context.Context) error {
	defer func() {
		for _, d := range s.doors {
			d.release()
		}
	}()
	failed := make(chan error, 1)
	var serving sync.WaitGroup
	for i, d := range s.doors {
		serving.Go(func() {
			err := d.http.Serve(d.ln)
			switch {
			case i == 0:
				failed <- err
			case !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed):
				s.o.Log.Error("one way to ask this keepsake has failed", "door", d.name, "err", err)
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		err = fmt.Errorf("control socket: %w", err)
	}
	s.shut()
	serving.Wait()
	s.drain()
	return err
}

// Hurry ends the grace: running requests are cancelled, and cut off a farewell
// later when Serve's context has ended, even one whose client reads nothing.
func (s *Server) Hurry() {
	s.hurried.Do(func() { close(s.hurry) })
	s.stop(ErrStopping)
}

// shut ends the taking of requests.
func (s *Server) shut() {
	for _, d := range s.doors {
		_ = d.shut() // it is closed either way
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	if s.running == 0 {
		close(s.idle)
	}
}

func (s *Server) drain() {
	if !s.settled(s.o.Grace, s.hurry) {
		s.o.Log.Info("cancelling running requests", "grace", s.o.Grace)
		s.stop(ErrStopping)
		s.settled(s.o.Farewell, nil)
	}
	// What has ended may still have its last bytes in net/http's hands.
	ctx, cancel := context.WithTimeout(context.Background(), s.o.Farewell)
	defer cancel()
	settled := s.settled(0, nil)
	for _, d := range s.doors {
		if settled {
			_ = d.http.Shutdown(ctx) // who is still being answered is cut off below
		}
		_ = d.http.Close() // the end of the server, whatever it says
	}
	s.stop(ErrStopping)
	<-s.idle
}

// settled waits at most d, and no longer than hurry is open, until nothing runs.
func (s *Server) settled(d time.Duration, hurry <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.idle:
		return true
	case <-hurry:
	case <-t.C:
	}
	select {
	case <-s.idle:
		return true
	default:
		return false
	}
}

// begin admits one more request, of a member of the group or not; every nil is matched by one end. Members leave
// most places free, so that they cannot lock the owner out.
func (s *Server) begin(member bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return ErrStopping
	}
	if s.running >= MaxRunning || member && s.members >= MaxMembers {
		return ErrBusy
	}
	s.running++
	if member {
		s.members++
	}
	return nil
}

func (s *Server) end(member bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	if member {
		s.members--
	}
	if s.stopping && s.running == 0 {
		close(s.idle)
	}
}
