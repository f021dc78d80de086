package control

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
)

const (
	// maxFrame bounds a line with its newline.
	maxFrame = 128 << 10
	// maxPayload is the most output that one frame carries: a multiple of 3, so that a long write is not padded in
	// the middle, and small enough for its line to stay under maxFrame.
	maxPayload = 96<<10 - 48
	maxExit    = 255
)

// frameKind is which of the four forms a frame has.
type frameKind byte

const (
	frameStdout frameKind = iota + 1
	frameStderr
	frameProgress
	frameExit
)

// Each form's line up to its value. Written out, and compared as bytes, because encoding/json would spend several
// times more on a frame of a large file than base64 itself.
const (
	headStdout   = `{"stdout":"`
	headStderr   = `{"stderr":"`
	headProgress = `{"progress":`
	headExit     = `{"exit":`
	tailString   = "\"}\n"
	tailValue    = "}\n"
)

// Strict refuses non-zero bits under the padding: one payload has one encoding.
var encoding = base64.StdEncoding.Strict()

// frame is one line, read. payload and progress alias the parser's buffers.
type frame struct {
	kind    frameKind
	payload []byte // stdout, stderr: the bytes; progress: the JSON
	exit    int
}

// outputFrameSize is the length of the line that carries n bytes of output.
func outputFrameSize(n int) int {
	return len(headStdout) + encoding.EncodedLen(n) + len(tailString)
}

// appendOutput appends the frame that carries p, of 1 to maxPayload bytes, on stdout or stderr.
func appendOutput(dst []byte, kind frameKind, p []byte) []byte {
	head := headStdout
	if kind == frameStderr {
		head = headStderr
	}
	dst = append(dst, head...)
	dst = encoding.AppendEncode(dst, p)
	return append(dst, tailString...)
}

// compactProgress brings an event into the only form that frames carry, and bounds it.
func compactProgress(event []byte) ([]byte, error) {
	if len(event) > maxFrame {
		return nil, fmt.Errorf("%w: a progress event of %d bytes", ErrTooLarge, len(event))
	}
	var b bytes.Buffer
	if err := json.Compact(&b, event); err != nil {
		return nil, fmt.Errorf("%w: progress event: %w", ErrMalformed, err)
	}
	if len(headProgress)+b.Len()+len(tailValue) > maxFrame {
		return nil, fmt.Errorf("%w: a progress event of %d bytes", ErrTooLarge, b.Len())
	}
	return b.Bytes(), nil
}

// appendProgress appends the frame of an event that compactProgress gave.
func appendProgress(dst, event []byte) []byte {
	dst = append(dst, headProgress...)
	dst = append(dst, event...)
	return append(dst, tailValue...)
}

func appendExit(dst []byte, code int) []byte {
	dst = append(dst, headExit...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	return append(dst, tailValue...)
}

// parseFrame reads one line including its newline. buf, of at least maxPayload bytes, receives decoded output. What
// it accepts, the append functions render to the same bytes.
func parseFrame(line, buf []byte) (frame, error) {
	if len(line) > maxFrame {
		return frame{}, fmt.Errorf("%w: a frame of %d bytes", ErrTooLarge, len(line))
	}
	if v, ok := between(line, headStdout, tailString); ok {
		return parseOutput(frameStdout, v, buf)
	}
	if v, ok := between(line, headStderr, tailString); ok {
		return parseOutput(frameStderr, v, buf)
	}
	if v, ok := between(line, headProgress, tailValue); ok {
		c, err := compactProgress(v)
		if err != nil {
			return frame{}, err
		}
		if !bytes.Equal(c, v) || bytes.IndexByte(v, '\n') >= 0 {
			return frame{}, fmt.Errorf("%w: progress event is not compact", ErrMalformed)
		}
		return frame{kind: frameProgress, payload: v}, nil
	}
	if v, ok := between(line, headExit, tailValue); ok {
		n, err := strconv.Atoi(string(v))
		if err != nil || n < 0 || n > maxExit || strconv.Itoa(n) != string(v) {
			return frame{}, fmt.Errorf("%w: exit code %.20q", ErrMalformed, v)
		}
		return frame{kind: frameExit, exit: n}, nil
	}
	return frame{}, fmt.Errorf("%w: frame %.40q", ErrMalformed, line)
}

func parseOutput(kind frameKind, v, buf []byte) (frame, error) {
	room := len(v) / 4 * 3
	if len(v)%4 != 0 || room == 0 || room > maxPayload {
		return frame{}, fmt.Errorf("%w: output of %d encoded bytes", ErrMalformed, len(v))
	}
	n, err := encoding.Decode(buf[:room], v)
	if err != nil {
		return frame{}, fmt.Errorf("%w: output: %w", ErrMalformed, err)
	}
	// The decoder skips line breaks, which would give one payload several encodings.
	padding := bytes.Count(v[len(v)-2:], []byte{'='})
	if n != room-padding {
		return frame{}, fmt.Errorf("%w: output of %d bytes in %d encoded", ErrMalformed, n, len(v))
	}
	return frame{kind: kind, payload: buf[:n]}, nil
}

// between returns what lies between head and tail, if line has both without overlap.
func between(line []byte, head, tail string) ([]byte, bool) {
	if len(line) < len(head)+len(tail) || string(line[:len(head)]) != head || string(line[len(line)-len(tail):]) != tail {
		return nil, false
	}
	return line[len(head) : len(line)-len(tail)], true
}
