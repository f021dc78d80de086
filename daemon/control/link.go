package control

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// errDropped: the connection ended before an answer began, so nothing was run.
var errDropped = fmt.Errorf("%w any more", ErrNoOwner)

// link is one connection to an owner, for one request. net/http's client is not used because cancelling must be able
// to close the sending half alone, which tells the owner to stop and still hears it out.
type link struct {
	conn    *net.UnixConn
	owner   Peer
	version string
	limit   io.LimitedReader // bounds the answer's header
	timeout time.Duration
	stop    func() bool

	mu        sync.Mutex
	cancelled bool // guarded by mu
}

// connect reaches the owner and makes sure that it may be trusted. From then on the end of ctx hangs up.
func (c *Client) connect(ctx context.Context) (*link, error) {
	d, err := reachDirectory(c.dir)
	if err != nil {
		return nil, unreachable(c.dir, err)
	}
	defer d.close()
	conn, err := d.connect(ctx, c.name)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, unreachable(c.dir, err)
	}
	owner, err := credentials(conn)
	if err == nil && !trusted(owner.UID, d.uid) {
		err = fmt.Errorf("%s: %w: the socket is served by user %d, who is not the directory's owner", c.dir, ErrRefused, owner.UID)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	l := &link{conn: conn, owner: owner, version: c.o.Version, timeout: c.o.AnswerTimeout}
	l.limit = io.LimitedReader{R: conn, N: headerBound}
	l.stop = context.AfterFunc(ctx, func() { l.hangUp(c.o.Patience) })
	return l, nil
}

func (l *link) close() {
	l.stop()
	l.conn.Close()
}

// hangUp says that nothing more is wanted, and bounds how long the owner is still listened to.
func (l *link) hangUp(patience time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancelled = true
	_ = l.conn.SetDeadline(time.Now().Add(patience)) // fails on a connection that has ended, which is what is wanted
	_ = l.conn.CloseWrite()                          // the same
}

// deadline sets the connection's, unless the request was cancelled, which has set its own.
func (l *link) deadline(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.cancelled {
		_ = l.conn.SetDeadline(t)
	}
}

// exchange sends a request and returns the answer once its header says 200.
func (l *link) exchange(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	// Not with ctx, which is hangUp's affair.
	req, err := http.NewRequest(method, "http://keepsake"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Close = true
	if body != nil {
		req.Header.Set("Content-Type", typeJSON)
	}
	l.deadline(time.Now().Add(l.timeout))
	// A failed write is no verdict: an owner that refuses closes early, and its answer is waiting to be read.
	werr := req.Write(l.conn)
	resp, err := http.ReadResponse(bufio.NewReaderSize(&l.limit, maxFrame), req)
	if err != nil {
		return nil, l.silent(ctx, errors.Join(err, werr))
	}
	l.limit.N = 1<<63 - 1
	if resp.StatusCode != http.StatusOK {
		return nil, l.failed(resp)
	}
	want := typeFrames
	if method == http.MethodGet {
		want = typeJSON
	}
	if got := resp.Header.Get("Content-Type"); got != want {
		return nil, fmt.Errorf("%w: an answer of type %.40q", ErrMalformed, got)
	}
	if method == http.MethodPost {
		l.deadline(time.Time{}) // handlers may be silent for hours
	}
	return resp, nil
}

// silent explains the lack of an answer.
func (l *link) silent(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w (process %d, waited %s)", ErrNoAnswer, l.owner.PID, l.timeout)
	case l.limit.N <= 0:
		return fmt.Errorf("%w: an answer's header of over %d bytes", ErrTooLarge, headerBound)
	case dropped(err):
		return fmt.Errorf("%w: process %d has just ended: %w", errDropped, l.owner.PID, err)
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

func dropped(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
}
