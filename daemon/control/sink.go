package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// maxPending bounds the frames that wait while earlier ones are being sent.
const maxPending = 256 << 10

// errEnded is what a handler's left-over goroutines get from a stream whose request is over.
var errEnded = errors.New("write to the output of a request that has ended")

// buffers recycles the two buffers of each sink, *[]byte.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// sink turns what a handler writes into frames. Writers append frames to pending; one goroutine, run, sends whatever
// has gathered there while it was sending before. So a lone line leaves at once, a flood of lines shares system
// calls, and encoding overlaps with sending.
type sink struct {
	mu      sync.Mutex
	work    sync.Cond // pending has become non-empty, or ended is set
	room    sync.Cond // pending has been taken, or err is set
	pending []byte    // guarded by mu
	ended   bool      // guarded by mu: no more frames
	err     error     // guarded by mu: the first failure of sending
}

func newSink() *sink {
	s := &sink{}
	s.work.L, s.room.L = &s.mu, &s.mu
	return s
}

// stream is the handler's view.
func (s *sink) stream() Stream {
	return Stream{Stdout: sinkWriter{s, frameStdout}, Stderr: sinkWriter{s, frameStderr}, Progress: s.progress}
}

type sinkWriter struct {
	s    *sink
	kind frameKind
}

// Write blocks while the client does not read. A write of up to maxPayload bytes is never torn by another's.
func (w sinkWriter) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		part := p[done:min(len(p), done+maxPayload)]
		if err := w.s.add(outputFrameSize(len(part)), func(dst []byte) []byte {
			return appendOutput(dst, w.kind, part)
		}); err != nil {
			return done, err
		}
		done += len(part)
	}
	return done, nil
}

func (s *sink) progress(event json.RawMessage) error {
	e, err := compactProgress(event)
	if err != nil {
		return err
	}
	return s.add(len(headProgress)+len(e)+len(tailValue), func(dst []byte) []byte { return appendProgress(dst, e) })
}

// add waits for room and lets render append one frame of the given size.
func (s *sink) add(size int, render func([]byte) []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && !s.ended && len(s.pending) > 0 && len(s.pending)+size > maxPending {
		s.room.Wait()
	}
	if s.err != nil {
		return s.err
	}
	if s.ended {
		return errEnded
	}
	s.pending = render(s.pending)
	s.work.Signal()
	return nil
}

// finish adds the exit frame, after which nothing can follow. run returns once it is sent.
func (s *sink) finish(exit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// No waiting for room: this frame is small, and a stuck client is run's affair.
	s.pending = appendExit(s.pending, exit)
	s.ended = true
	s.work.Signal()
	s.room.Broadcast()
}

// run sends frames until finish or the first failure, which it reports to gone. It alone uses w.
func (s *sink) run(w http.ResponseWriter, gone func(error)) {
	a, b := buffers.Get().(*[]byte), buffers.Get().(*[]byte)
	defer func() { buffers.Put(a); buffers.Put(b) }()
	flusher := http.NewResponseController(w)
	spare := (*a)[:0]
	s.mu.Lock()
	s.pending = append((*b)[:0], s.pending...)
	for {
		for len(s.pending) == 0 && !s.ended {
			s.work.Wait()
		}
		out := s.pending
		s.pending = spare
		last := s.ended
		s.room.Broadcast()
		s.mu.Unlock()

		err := send(w, flusher, out)
		spare = out[:0]

		s.mu.Lock()
		if err != nil {
			s.err = fmt.Errorf("%w: %w", ErrGone, err)
			s.room.Broadcast()
		}
		if err != nil || last {
			*a, *b = spare, s.pending[:0]
			s.pending = nil
			s.mu.Unlock()
			if err != nil {
				gone(s.err)
			}
			return
		}
	}
}

func send(w io.Writer, flusher *http.ResponseController, out []byte) error {
	if len(out) == 0 {
		return nil
	}
	if _, err := w.Write(out); err != nil {
		return err
	}
	return flusher.Flush()
}
