package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ClientOptions configure a client; the zero value works.
type ClientOptions struct {
	// Version is this program's, for error messages.
	Version string
	// Patience is how long Do still listens after its context ended.
	Patience time.Duration
	// AnswerTimeout bounds how long the owner may take to begin an answer.
	AnswerTimeout time.Duration
}

func (o ClientOptions) withDefaults() ClientOptions {
	o.Version = printable(o.Version)
	if o.Patience == 0 {
		o.Patience = 5 * time.Second // a handler says in milliseconds what it left undone
	}
	if o.AnswerTimeout == 0 {
		o.AnswerTimeout = 10 * time.Second // answers begin before any work is done: only a stopped process is slower
	}
	return o
}

// Client talks to one owner. It holds no connection, and may be used concurrently.
type Client struct {
	dir  string // where the socket lies
	name string // of the socket
	o    ClientOptions
}

// Dial looks for the owner of the state directory dir and makes sure that both understand each other. Errors:
// ErrNoOwner, ErrNoAnswer, ErrRefused, a *ProtocolError.
func Dial(ctx context.Context, dir string, o ClientOptions) (*Client, error) {
	return dial(ctx, &Client{dir: dir, name: SocketName, o: o.withDefaults()})
}

// DialSocket is Dial for a socket outside a state directory: the one that a group reaches (ServerOptions.Public).
func DialSocket(ctx context.Context, path string, o ClientOptions) (*Client, error) {
	if !filepath.IsAbs(path) || filepath.Base(path) == "/" {
		return nil, fmt.Errorf("%w: the socket's path %q is not absolute", ErrMalformed, path)
	}
	return dial(ctx, &Client{dir: filepath.Dir(path), name: filepath.Base(path), o: o.withDefaults()})
}

func dial(ctx context.Context, c *Client) (*Client, error) {
	var info Info
	var err error
	// An owner that leaves just now drops connections it has not accepted; the next attempt finds nobody, or its
	// successor.
	for range 3 {
		if info, err = c.Info(ctx); !errors.Is(err, errDropped) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if info.Protocol != Protocol {
		return nil, &ProtocolError{Running: info.Version, This: c.o.Version,
			RunningProtocol: info.Protocol, ThisProtocol: Protocol}
	}
	return c, nil
}

// Info asks the owner about itself. It works across protocols.
func (c *Client) Info(ctx context.Context) (Info, error) {
	l, err := c.connect(ctx)
	if err != nil {
		return Info{}, err
	}
	defer l.close()
	resp, err := l.exchange(ctx, http.MethodGet, pathInfo, nil)
	if err != nil {
		return Info{}, err
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxSmall+1))
	if err != nil {
		return Info{}, fmt.Errorf("%w: %w", errDropped, err)
	}
	var info Info
	if len(b) > maxSmall {
		return Info{}, fmt.Errorf("%w: information of over %d bytes", ErrTooLarge, maxSmall)
	}
	if err := json.Unmarshal(b, &info); err != nil {
		return Info{}, fmt.Errorf("%w: information: %w", ErrMalformed, err)
	}
	info.Version = printable(info.Version)
	return info, nil
}

// Do has the owner carry req out, copies what it writes to out as it comes, and returns its exit code, which means
// something only if the error is nil.
//
// When ctx ends the request is cancelled, and Do goes on until the handler has said its last words and its exit code,
// which are then returned like any other, or until the patience is over, when it returns ctx's error. A failed write
// to out cancels the request and is returned. ErrNoOwner, ErrStopping, ErrBusy, ErrRefused and ErrProtocol mean that
// nothing was run; ErrBroken that the owner died underway.
func (c *Client) Do(ctx context.Context, req Request, out Stream) (exit int, err error) {
	body, err := marshalRequest(c.o.Version, req)
	if err != nil {
		return -1, err
	}
	l, err := c.connect(ctx)
	if err != nil {
		return -1, err
	}
	defer l.close()
	resp, err := l.exchange(ctx, http.MethodPost, pathVerb, body)
	if err == nil {
		exit, err = l.frames(resp.Body, out)
	}
	if err == nil {
		return exit, nil
	}
	if ctx.Err() != nil && !errors.As(err, new(outputError)) {
		return -1, fmt.Errorf("%s: %w", req.Verb, context.Cause(ctx))
	}
	return -1, err
}

// outputError is a failure of the caller's own writer.
type outputError struct{ error }

func (e outputError) Unwrap() error { return e.error }

// frames copies an answer to out and returns the exit code.
func (l *link) frames(body io.Reader, out Stream) (int, error) {
	r := bufio.NewReaderSize(body, maxFrame)
	buf := make([]byte, maxPayload)
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return -1, fmt.Errorf("%w: a frame over %d bytes", ErrTooLarge, maxFrame)
		}
		if err != nil {
			return -1, fmt.Errorf("%w (process %d): what it did is unknown: %w", ErrBroken, l.owner.PID, err)
		}
		f, err := parseFrame(line, buf)
		if err != nil {
			return -1, err
		}
		if f.kind == frameExit {
			return f.exit, nil
		}
		if err := out.deliver(f); err != nil {
			return -1, outputError{err}
		}
	}
}

func (s Stream) deliver(f frame) error {
	switch {
	case f.kind == frameStdout && s.Stdout != nil:
		_, err := s.Stdout.Write(f.payload)
		return err
	case f.kind == frameStderr && s.Stderr != nil:
		_, err := s.Stderr.Write(f.payload)
		return err
	case f.kind == frameProgress && s.Progress != nil:
		return s.Progress(f.payload)
	}
	return nil
}

// failed turns an answer other than 200 into the error that it stands for.
func (l *link) failed(resp *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxSmall))
	var f failure
	if err != nil || json.Unmarshal(b, &f) != nil || f.Code == "" {
		return fmt.Errorf("%w: status %d", ErrMalformed, resp.StatusCode)
	}
	if f.Code == "protocol" {
		return &ProtocolError{Running: printable(f.Version), This: l.version, RunningProtocol: f.Protocol, ThisProtocol: Protocol}
	}
	for _, r := range refusals {
		if r.code != f.Code {
			continue
		}
		// The text begins with the sentinel's own already.
		text, more := strings.CutPrefix(f.Error, r.err.Error()+": ")
		if !more {
			return fmt.Errorf("%w (process %d)", r.err, l.owner.PID)
		}
		return fmt.Errorf("%w: %s", r.err, text)
	}
	return fmt.Errorf("the running keepsake (process %d): %s", l.owner.PID, f.Error)
}

// unreachable explains why nobody was reached in dir.
func unreachable(dir string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("%s: %w", dir, ErrNoOwner)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w: it belongs to another user: %w", dir, ErrRefused, err)
	case errors.Is(err, unix.EAGAIN):
		return fmt.Errorf("%s: %w: its queue is full", dir, ErrNoAnswer)
	case errors.Is(err, unix.EPROTOTYPE):
		return fmt.Errorf("%s: %w", dir, ErrForeign)
	}
	return fmt.Errorf("%s: %w", dir, err)
}
