package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	cookiePrefix = "cookie-"
	// cookiePatience is how long a cookie's event may take. The queue holds a
	// few seconds of work at most; after that something is wrong with the
	// cookies, and a snapshot without proof is better than none.
	cookiePatience = 10 * time.Second
)

// cookie proves that the queue has drained. One is under way at a time.
type cookie struct {
	dir     string // empty: there are none
	number  uint64
	name    string // of the one under way or seen last
	waiting bool
	seen    uint64 // number of the last one seen
	sent    instant
}

// openCookies watches the directory for cookies. Failing that, batches go out
// without proof.
func (l *loop) openCookies() {
	dir := l.opts.CookieDir
	if dir == "" {
		return
	}
	if err := l.prepareCookies(dir); err != nil {
		l.stats.CookiesFailed++
		l.log.Warn("cannot prove that all events were seen before a snapshot", "error", err)
		return
	}
	l.cookie.dir = dir
}

func (l *loop) prepareCookies(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(globQuote(dir), cookiePrefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		_ = os.Remove(path) // of a killed run; harmless if it stays
	}
	if err := l.kernel.add(dir); err != nil {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	return nil
}

// globQuote makes filepath.Glob take dir literally.
func globQuote(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

func (c *cookie) owns(name string) bool {
	return c.dir != "" && (name == c.dir || strings.HasPrefix(name, c.dir+"/"))
}

func (l *loop) cookieEvent(name string) {
	if l.cookie.waiting && name == l.cookie.name {
		l.cookie.waiting, l.cookie.seen = false, l.cookie.number
		l.stats.CookiesSeen++
		l.consider = true
	}
}

// drained reports whether a cookie written after r began to be due was seen. It
// is asked again when more events have come.
func (l *loop) drained(r *request, now instant) bool {
	c := &l.cookie
	switch {
	case c.dir == "":
		return true
	case r.asked && c.seen >= r.cookie:
		return true
	case c.waiting && now-c.sent < cookiePatience:
		return false
	case c.waiting:
		c.waiting = false
		l.stats.CookiesFailed++
		l.log.Warn("a cookie was not seen; the snapshot may lack the last changes", "dir", c.dir)
		return true
	}
	c.number++
	r.asked, r.cookie = true, c.number
	c.name = filepath.Join(c.dir, fmt.Sprintf("%s%d", cookiePrefix, c.number))
	f, err := os.OpenFile(c.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		l.stats.CookiesFailed++
		l.log.Warn("cannot write a cookie; the snapshot may lack the last changes", "error", err)
		return true
	}
	_ = f.Close()         // nothing was written; the event is all that is wanted of it
	_ = os.Remove(c.name) // one that stays is swept at the next start
	c.waiting, c.sent = true, now
	return false
}
