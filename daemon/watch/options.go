package watch

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// Clock is the time as the watcher sees it. Only differences of Now count, so
// a clock that is set back or forward has no effect as long as Now carries a
// monotonic reading.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

type systemClock struct{}

func (systemClock) Now() time.Time                         { return time.Now() }
func (systemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Options say what to watch. Only Root is required.
type Options struct {
	// Root is the directory to watch. It need not be there yet. Symbolic links in
	// it are resolved once, when it is.
	Root string

	// Exclude, if set, says which paths are not watched and not reported.
	// rel is relative to the root and holds the raw bytes of the names. Below
	// an excluded directory it is not asked again. For a name that has just
	// disappeared isDir may be false although it was a directory. It is called
	// from the goroutine of Run only.
	Exclude func(rel string, isDir bool) bool

	// Settle is how long a file must be quiet. Default 5 s: network clients
	// and render engines pause for a second or two between writes, and a photo
	// is to be in the mount 20 s after its last write.
	Settle time.Duration

	// PollEvery is how often a batch names the directories that cannot be
	// watched though they may change, and the subtrees that others may change
	// unheard. Default 5 min.
	PollEvery time.Duration

	// CookieDir, if set, is a directory of its own for cookies, on any local
	// file system, made if missing. Files in it that begin with "cookie-" are
	// deleted. Without it batches may lack changes of the last milliseconds,
	// which then are in the next one.
	CookieDir string

	// MaxWatches stops adding watches at this number, as the kernel does at
	// fs.inotify.max_user_watches. 0 means that only the kernel's limit holds.
	MaxWatches int

	// EventBuffer bounds the events that wait in memory while directories are
	// read; beyond it events count as lost. Default 65,536, about 10 MB.
	EventBuffer int

	// MaxFlux bounds the files tracked as in flux. Default 131,072, about
	// 25 MB.
	MaxFlux int

	// Clock is replaced in tests. Default: the system's.
	Clock Clock

	// WallOffset says by how much the wall clock is ahead of one that nobody
	// sets and that goes on while the machine sleeps. When the difference jumps,
	// somebody set the clock. Default: CLOCK_REALTIME less CLOCK_BOOTTIME.
	WallOffset func() time.Duration

	// Log receives what an operator should act upon. Default: discarded.
	Log *slog.Logger

	faults faults
}

// faults are switches for this package's tests; all zero otherwise.
type faults struct {
	noReadAfterWatch bool                   // do not read a new directory once it is watched
	ignoreLost       bool                   // do nothing when events were lost
	ignoreMounts     bool                   // do nothing when something was mounted or unmounted
	beforeWatch      func(rel string)       // called just before a directory is watched
	drop             func(name string) bool // whether to lose this event; not called by the owner
}

func (o Options) withDefaults() Options {
	if o.Settle == 0 {
		o.Settle = 5 * time.Second
	}
	if o.PollEvery == 0 {
		o.PollEvery = 5 * time.Minute
	}
	if o.EventBuffer == 0 {
		o.EventBuffer = 1 << 16
	}
	if o.MaxFlux == 0 {
		o.MaxFlux = 1 << 17
	}
	if o.Exclude == nil {
		o.Exclude = func(string, bool) bool { return false }
	}
	if o.Clock == nil {
		o.Clock = systemClock{}
	}
	if o.WallOffset == nil {
		o.WallOffset = WallOffset
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Validate reports the first option that makes no sense, as ErrOptions.
func (o Options) Validate() error {
	switch {
	case o.Root == "":
		return fmt.Errorf("%w: no root", ErrOptions)
	case o.Settle < 0:
		return fmt.Errorf("%w: negative settle time %v", ErrOptions, o.Settle)
	case o.PollEvery < 0:
		return fmt.Errorf("%w: negative poll interval %v", ErrOptions, o.PollEvery)
	case o.MaxWatches < 0 || o.EventBuffer < 0 || o.MaxFlux < 0:
		return fmt.Errorf("%w: negative bound", ErrOptions)
	}
	return nil
}

// resolve makes the paths absolute and the root free of symbolic links, as far
// as that can be done now. It reports whether there is a directory at the root.
func (o *Options) resolve() (found bool, err error) {
	if o.Root, err = filepath.Abs(o.Root); err != nil {
		return false, fmt.Errorf("root of the watch: %w", err)
	}
	if o.CookieDir != "" {
		if o.CookieDir, err = filepath.Abs(o.CookieDir); err != nil {
			return false, fmt.Errorf("cookie directory: %w", err)
		}
	}
	real, found := realRoot(o.Root)
	if found {
		o.Root = real
	}
	return found, nil
}

// realRoot follows the links in a path to a directory, if there is one.
func realRoot(path string) (real string, found bool) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", false
	}
	fi, err := os.Lstat(real)
	return real, err == nil && fi.IsDir()
}
