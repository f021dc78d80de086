package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Protocol is the number of the language that this program speaks.
const Protocol = 2

// SocketName is the socket's name inside the state directory.
const SocketName = "control.sock"

const (
	// MaxRequest is the largest request in bytes of JSON. Arguments are paths and patterns, never content.
	MaxRequest = 1 << 20
	// MaxRunning is how many requests an owner serves at once.
	MaxRunning = 64
	// MaxMembers is how many of them may be for members of the group.
	MaxMembers = 16

	maxVerb    = 64
	maxVersion = 64
	maxWidth   = 10_000
	maxDir     = 4096
	maxSmall   = 64 << 10 // information and errors
)

// Exit codes that this package itself gives.
const exitInternal = 2

// Request is a verb to be carried out. Everything in it that a handler may print or open comes from the client.
type Request struct {
	// Verb is lower-case words separated by single spaces ("key list"), at most 64 bytes.
	Verb string `json:"verb"`
	// Args are the verb's own, as JSON; nil for none. Paths in them belong into []byte fields: JSON strings cannot
	// hold every file name. They may hold secrets.
	Args json.RawMessage `json:"args,omitempty"`
	// Options say how to write the output.
	Options Options `json:"options"`
	// Peer is who asks, attested by the kernel. Set by the server; a client's value is ignored.
	Peer Peer `json:"-"`
}

// Options are the client's circumstances that shape output, so that the owner's own do not.
type Options struct {
	JSON     bool `json:"json,omitempty"`
	Quiet    bool `json:"quiet,omitempty"`
	Verbose  int  `json:"verbose,omitempty"`  // how often -v was given, 0 to 9
	Color    bool `json:"color,omitempty"`    // the client wants and its terminal shows colours
	Terminal bool `json:"terminal,omitempty"` // standard output is a terminal: some things are shown nowhere else
	Width    int  `json:"width,omitempty"`    // columns of the terminal, 0 if unknown
	// Dir is the absolute working directory that relative paths in the arguments start from; bytes, since JSON
	// strings cannot hold every path.
	Dir []byte `json:"dir,omitempty"`
}

// Info describes an owner. Its JSON form never changes meaning, whatever the protocol.
type Info struct {
	Protocol   int       `json:"protocol"` // set by the server
	Version    string    `json:"version"`
	PID        int       `json:"pid"`  // set by the server if 0
	Verb       string    `json:"verb"` // what the owner itself is doing: "daemon", "backup"
	Started    time.Time `json:"started"`
	Repository string    `json:"repository"`
}

// Stream is where the output of a verb goes. A handler writes to it; a client gives the places where it shall end
// up. Nil fields discard. Written slices are only borrowed.
type Stream struct {
	Stdout, Stderr io.Writer
	// Progress takes one event, a JSON value.
	Progress func(event json.RawMessage) error
}

// Handler carries out a request and returns the exit code, 0 to 255. It must return soon after its context ended,
// and may still write then. Its stream may be used from several goroutines until it returns. A write that fails with
// ErrGone means that nobody reads any more.
type Handler func(ctx context.Context, req Request, out Stream) (exit int)

// envelope is a request as sent.
type envelope struct {
	Protocol int    `json:"protocol"`
	Version  string `json:"version"`
	Request
}

// failure is the frozen form of an answer other than 200.
type failure struct {
	Code     string `json:"code"`
	Error    string `json:"error"`
	Protocol int    `json:"protocol"`
	Version  string `json:"version"`
	PID      int    `json:"pid"`
}

func marshalRequest(version string, r Request) ([]byte, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(envelope{Protocol: Protocol, Version: printable(version), Request: r})
	if err != nil {
		return nil, fmt.Errorf("%w: arguments of %s: %w", ErrMalformed, r.Verb, err)
	}
	if len(b) > MaxRequest {
		return nil, fmt.Errorf("%w: a request of %d bytes, limit %d", ErrTooLarge, len(b), MaxRequest)
	}
	return b, nil
}

// parseRequest reads what marshalRequest wrote. The protocol is compared before anything else is looked at, since
// another protocol's fields cannot be judged.
func parseRequest(version string, b []byte) (Request, error) {
	if len(b) > MaxRequest {
		return Request{}, fmt.Errorf("%w: a request over %d bytes", ErrTooLarge, MaxRequest)
	}
	var head struct {
		Protocol int    `json:"protocol"`
		Version  string `json:"version"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return Request{}, fmt.Errorf("%w: request: %w", ErrMalformed, err)
	}
	if head.Protocol != Protocol {
		return Request{}, &ProtocolError{Running: printable(version), This: printable(head.Version),
			RunningProtocol: Protocol, ThisProtocol: head.Protocol}
	}
	var e envelope
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return Request{}, fmt.Errorf("%w: request: %w", ErrMalformed, err)
	}
	if err := e.validate(); err != nil {
		return Request{}, err
	}
	return e.Request, nil
}

func (r Request) validate() error {
	if !validVerb(r.Verb) {
		return fmt.Errorf("%w: verb %.80q", ErrMalformed, r.Verb)
	}
	o := r.Options
	if o.Verbose < 0 || o.Verbose > 9 {
		return fmt.Errorf("%w: verbosity %d", ErrMalformed, o.Verbose)
	}
	if o.Width < 0 || o.Width > maxWidth {
		return fmt.Errorf("%w: width %d", ErrMalformed, o.Width)
	}
	if len(o.Dir) > 0 && (len(o.Dir) > maxDir || o.Dir[0] != '/' || bytes.IndexByte(o.Dir, 0) >= 0) {
		return fmt.Errorf("%w: working directory %.80q", ErrMalformed, o.Dir)
	}
	return nil
}

// validVerb accepts lower-case words with digits and inner hyphens, separated by single spaces.
func validVerb(v string) bool {
	if v == "" || len(v) > maxVerb {
		return false
	}
	for word := range strings.SplitSeq(v, " ") {
		if word == "" || word[0] == '-' || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// printable keeps a version that came over the wire fit for a terminal.
func printable(version string) string {
	if version == "" || len(version) > maxVersion {
		return "unknown"
	}
	for _, c := range []byte(version) {
		if c < ' ' || c > '~' {
			return "unknown"
		}
	}
	return version
}
