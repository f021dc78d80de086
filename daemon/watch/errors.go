package watch

import "errors"

var (
	// ErrOptions is returned by New for options that make no sense.
	ErrOptions = errors.New("invalid watch options")

	// ErrRunning is returned by Run when it is called a second time. A Watcher
	// runs once.
	ErrRunning = errors.New("watcher was already run")

	// ErrStopped is returned by Next and Take when Run has ended.
	ErrStopped = errors.New("watcher has stopped")
)

// errNoInotify is why nothing is watched while no inotify instance can be had.
var errNoInotify = errors.New("no inotify instance (raise fs.inotify.max_user_instances)")

// errMountedTwice is why the second of two paths to one directory has no watch.
var errMountedTwice = errors.New("the same directory is mounted elsewhere in the tree")

// errWatchLimit stands for ENOSPC of inotify_add_watch, real or simulated by
// Options.MaxWatches.
var errWatchLimit = errors.New("limit of inotify watches reached (raise fs.inotify.max_user_watches)")
