package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/user"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

const (
	pathInfo    = "/v1/info"
	pathVerb    = "/v1/verb"
	pathMetrics = "/metrics"
	typeJSON    = "application/json"
	typeFrames  = "application/x-ndjson"
	headerBound = 64 << 10 // of an answer, as a client sees it
)

// refusals gives each error that a client may be told its code on the wire and its status.
var refusals = []struct {
	err    error
	code   string
	status int
}{
	{ErrRefused, "refused", http.StatusForbidden},
	{ErrProtocol, "protocol", http.StatusConflict},
	{ErrTooLarge, "too-large", http.StatusRequestEntityTooLarge},
	{ErrMalformed, "malformed", http.StatusBadRequest},
	{ErrStopping, "stopping", http.StatusServiceUnavailable},
	{ErrBusy, "busy", http.StatusServiceUnavailable},
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathInfo, s.info)
	mux.HandleFunc("POST "+pathVerb, s.verb)
	if s.o.Metrics != nil {
		mux.HandleFunc("GET "+pathMetrics, s.metrics)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Before anything of the request is looked at.
		c, known := callerOf(r.Context())
		if !known {
			s.refuse(w, fmt.Errorf("%w: the kernel does not say who is asking", ErrRefused))
			return
		}
		if c.access == accessNothing {
			s.refuse(w, fmt.Errorf("%w: this keepsake runs as user %d and listens to %s only, not to user %d",
				ErrRefused, os.Geteuid(), s.audience(), c.UID))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// audience says who is listened to.
func (s *Server) audience() string {
	if s.o.Group == 0 {
		return "that user and root"
	}
	return "that user, root and members of " + groupName(s.o.Group)
}

// groupName is a group's name for people.
func groupName(gid uint32) string {
	g, err := user.LookupGroupId(strconv.FormatUint(uint64(gid), 10))
	if err != nil {
		return fmt.Sprintf("group %d", gid)
	}
	return "group " + g.Name
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	// A scraper that does not read would keep others from being answered.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.o.HeaderTimeout))
	s.o.Metrics.ServeHTTP(w, r)
}

// refuse answers with the frozen error form.
func (s *Server) refuse(w http.ResponseWriter, err error) {
	f := failure{Code: "internal", Error: err.Error(), Protocol: Protocol, Version: s.o.Info.Version, PID: s.o.Info.PID}
	status := http.StatusInternalServerError
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			f.Code, status = r.code, r.status
			break
		}
	}
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(f)
}

func (s *Server) info(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", typeJSON)
	_ = json.NewEncoder(w).Encode(s.o.Info)
}

func (s *Server) verb(w http.ResponseWriter, r *http.Request) {
	req, err := s.receive(w, r)
	member := false
	if err == nil {
		c, _ := callerOf(r.Context()) // routes has made sure
		member = c.access == accessGroup
		err = s.begin(member)
	}
	if err != nil {
		s.refuse(w, err)
		return
	}
	defer s.end(member)
	w.Header().Set("Content-Type", typeFrames)
	// Before the handler starts: a client without a header knows that nothing was run.
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	out := newSink()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		out.run(w, cancel)
	}()
	// Deferred, because a handler may also end by runtime.Goexit, and nobody else may use w then.
	exit := exitInternal
	defer func() {
		out.finish(exit)
		<-sent
	}()
	exit = s.call(ctx, req, out.stream())
}

// receive reads a request and decides whether its peer may make it.
func (s *Server) receive(w http.ResponseWriter, r *http.Request) (Request, error) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.o.HeaderTimeout))
	// Read to its end: only then does net/http watch for the client's going away, without a deadline.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxRequest))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return Request{}, fmt.Errorf("%w: a request over %d bytes", ErrTooLarge, MaxRequest)
	case err != nil:
		return Request{}, fmt.Errorf("%w: request body: %w", ErrMalformed, err)
	}
	req, err := parseRequest(s.o.Info.Version, body)
	if err != nil {
		return Request{}, err
	}
	c, _ := callerOf(r.Context()) // routes has made sure
	if !c.access.allows(req.Verb) {
		return Request{}, fmt.Errorf("%w: members of %s may run %s, not %s",
			ErrRefused, groupName(s.o.Group), strings.Join(groupVerbs[:], ", "), req.Verb)
	}
	req.Peer = c.Peer
	return req, nil
}

// call runs the handler, and outlives its panics.
func (s *Server) call(ctx context.Context, req Request, out Stream) (exit int) {
	defer func() {
		if p := recover(); p != nil {
			s.o.Log.Error("a request panicked", "verb", req.Verb, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			fmt.Fprintf(out.Stderr, "internal error: %v\n", p)
			exit = exitInternal
		}
	}()
	exit = s.o.Handler(ctx, req, out)
	if exit < 0 || exit > maxExit {
		panic(fmt.Sprintf("control: handler of %q returned exit code %d", req.Verb, exit))
	}
	return exit
}
