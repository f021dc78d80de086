package watch

import (
	"errors"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// delivery is what happened since the previous one, in order.
type delivery struct {
	events []fsnotify.Event
	lost   bool // events were dropped; those present still happened
}

// kernel is one inotify instance and the goroutine that empties it. add,
// remove and close belong to the owner of the loop.
type kernel struct {
	fs      *fsnotify.Watcher
	out     chan delivery
	stopped chan struct{}
}

func openKernel(buffer int, drop func(string) bool) (*kernel, error) {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	k := &kernel{fs: fs, out: make(chan delivery), stopped: make(chan struct{})}
	go k.pump(buffer, drop)
	return k, nil
}

// pump never stops receiving while fsnotify runs: a full buffer loses events
// and says so, which costs a scan; a blocked fsnotify could cost a deadlock.
func (k *kernel) pump(buffer int, drop func(string) bool) {
	defer close(k.stopped)
	var next delivery
	events, errs := k.fs.Events, k.fs.Errors
	for events != nil || errs != nil {
		var out chan<- delivery
		if len(next.events) > 0 || next.lost {
			out = k.out
		}
		select {
		case e, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			if drop != nil && drop(e.Name) {
				next.lost = true
				continue
			}
			next.add(e, buffer)
		case err, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			// EINVAL is fsnotify removing the watch of a directory that was
			// moved and is gone by now. Any other error may have hidden events.
			if !errors.Is(err, syscall.EINVAL) {
				next.lost = true
			}
		case out <- next:
			next = delivery{}
		}
	}
}

func (d *delivery) add(e fsnotify.Event, buffer int) {
	if n := len(d.events); n > 0 && d.events[n-1] == e {
		return
	}
	if len(d.events) >= buffer {
		d.lost = true
		return
	}
	d.events = append(d.events, e)
}

// add watches path. fsnotify keeps the older name of an inode or path that it
// knows already, so the caller makes sure that it knows neither.
func (k *kernel) add(path string) error {
	err := k.fs.Add(path)
	if errors.Is(err, syscall.ENOSPC) {
		return errWatchLimit
	}
	return err
}

// remove forgets path. That it is not watched, or that the kernel has dropped
// the watch already, is as good.
func (k *kernel) remove(path string) {
	_ = k.fs.Remove(path)
}

// close frees all watches and waits for the goroutines of the instance.
func (k *kernel) close() {
	_ = k.fs.Close()
	<-k.stopped
}
