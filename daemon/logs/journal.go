package logs

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
)

// Journal reports whether a file leads to the journal: stream is the value of
// JOURNAL_STREAM, which names the device and inode that the manager connected
// (systemd.exec(5)). A file that was redirected since is another one.
func Journal(stream string, f *os.File) bool {
	if stream == "" || f == nil {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false // then its lines go nowhere anyway
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// line passes lines on in one Write each, with their priorities if they go to
// the journal.
type line struct {
	w       io.Writer
	journal bool
	level   slog.Level // of the line that comes next
	buffer  []byte
}

func (l *line) Write(p []byte) (int, error) {
	if !l.journal {
		return l.w.Write(p)
	}
	l.buffer = append(l.buffer[:0], '<', priority(l.level), '>')
	// The formats quote newlines; one that slipped in would begin a line with
	// a priority of its own.
	body := bytes.TrimSuffix(p, []byte("\n"))
	l.buffer = append(l.buffer, bytes.ReplaceAll(body, []byte("\n"), []byte(" "))...)
	l.buffer = append(l.buffer, '\n')
	if _, err := l.w.Write(l.buffer); err != nil {
		return 0, err
	}
	return len(p), nil
}

// priority is what syslog(3) calls a level.
func priority(l slog.Level) byte {
	switch {
	case l < slog.LevelInfo:
		return '7'
	case l < slog.LevelWarn:
		return '6'
	case l < slog.LevelError:
		return '4'
	case l == slog.LevelError:
		return '3'
	}
	return '2'
}
