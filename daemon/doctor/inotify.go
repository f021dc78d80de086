package doctor

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

const (
	// watchCost is what a watch takes of the kernel's memory: the mark, and the
	// inode that it keeps there (fs/notify/inotify reckons with two).
	watchCost = 1280
	// queueWanted is how many events a queue should hold: the kernel's own
	// default. A burst of a card reader fills less than half of it.
	queueWanted = 16384
	// sysctlFile is where limits outlive a restart.
	sysctlFile = "/etc/sysctl.d/60-keepsake.conf"
)

// inotify compares what the sources need with what the kernel allows.
func (e *examination) inotify(ctx context.Context) {
	if len(e.present) == 0 {
		return
	}
	e.watches(ctx)
	e.instances()
	e.queue()
}

func (e *examination) watches(ctx context.Context) {
	const name = "inotify watches"
	limit, err := e.smaller("/proc/sys/fs/inotify/max_user_watches", "/proc/sys/user/max_inotify_watches")
	if err != nil {
		e.unknown(name, err)
		return
	}
	counting, cancel := context.WithTimeout(ctx, e.o.CountFor)
	defer cancel()
	need, complete := 0, true
	for _, s := range e.present {
		n, all := (&counter{source: s, progress: e.o.Progress}).count(counting)
		need += n + 1 // and one for the proof that nothing is on its way
		complete = complete && all
	}
	atLeast := ""
	if !complete {
		atLeast = "at least "
	}
	detail := fmt.Sprintf("%s%s needed, %s allowed to each user", atLeast, comma(need), comma(limit))
	remedy := sysctl("max_user_watches", wanted(need), fmt.Sprintf(" It costs about %s of memory while all of them are in use, and nothing otherwise.", size(uint64(wanted(need))*watchCost)))
	switch {
	case need > limit:
		e.add(name, Fail, detail+": the directories beyond are scanned every few minutes instead of watched", remedy)
	case need > limit/4*3:
		e.add(name, Warn, detail+", and other programs take some of them", remedy)
	case !complete:
		e.add(name, Warn, fmt.Sprintf("%s; the counting was ended after %v", detail, e.o.CountFor), "Run keepsake doctor again: what was read once is counted faster.")
	default:
		e.add(name, OK, fmt.Sprintf("%s, about %s of the kernel's memory", detail, size(uint64(need)*watchCost)), "")
	}
}

// wanted is twice what is needed, as a power of two: libraries grow, and
// desktops watch too.
func wanted(need int) int {
	n := 1 << 19
	for n < 2*need {
		n *= 2
	}
	return n
}

func (e *examination) instances() {
	const name = "inotify instances"
	limit, err := e.smaller("/proc/sys/fs/inotify/max_user_instances", "/proc/sys/user/max_inotify_instances")
	if err != nil {
		e.unknown(name, err)
		return
	}
	need := len(e.present)
	detail := fmt.Sprintf("%s needed, %s allowed to each user", comma(need), comma(limit))
	remedy := sysctl("max_user_instances", max(512, 2*need), "")
	switch {
	case need > limit:
		e.add(name, Fail, detail+": the sources beyond are not watched at all", remedy)
	case need > limit/2:
		e.add(name, Warn, detail+", and other programs take some of them", remedy)
	default:
		e.add(name, OK, detail, "")
	}
}

func (e *examination) queue() {
	const name = "inotify queue"
	limit, err := e.number("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		e.unknown(name, err)
		return
	}
	detail := comma(limit) + " events may wait"
	if limit < queueWanted {
		e.add(name, Warn, detail+": more at once and everything is scanned", sysctl("max_queued_events", queueWanted, ""))
		return
	}
	e.add(name, OK, detail, "")
}

func (e *examination) unknown(name string, err error) {
	e.add(name, Warn, fmt.Sprintf("unknown: %v", err), "Let keepsake see /proc (ProcSubset=all, ProtectProc=default).")
}

// sysctl is the remedy for a limit that is too low.
func sysctl(key string, value int, more string) string {
	return fmt.Sprintf("echo fs.inotify.%s=%d | sudo tee -a %s && sudo sysctl --system.%s", key, value, sysctlFile, more)
}

// smaller is the smaller of two limits, of which the second may not exist.
func (e *examination) smaller(first, second string) (int, error) {
	n, err := e.number(first)
	if err != nil {
		return 0, err
	}
	if other, err := e.number(second); err == nil {
		n = min(n, other)
	}
	return n, nil
}

func (e *examination) number(path string) (int, error) {
	b, err := os.ReadFile(e.system(path))
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return n, nil
}
