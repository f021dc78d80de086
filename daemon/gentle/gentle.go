package gentle

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime/debug"
)

// Nice is the processor priority of a gentle process. It is the one that
// people know from nice(1): well below everything interactive, and still enough
// that a busy file server does not starve the backup for days.
const Nice = 10

// Options says what to set. The zero value sets what every daemon should have.
type Options struct {
	// Eager leaves processor and disk priority as they are.
	Eager bool
	// Memory is the configured limit in bytes; 0 means none but the control
	// group's.
	Memory int64
	// GoMemLimit is the value of GOMEMLIMIT, which the runtime has obeyed
	// already. If it is not empty, nothing about memory is changed.
	GoMemLimit string
	// Root is where /proc and /sys lie; empty means /. For tests of memory.
	Root string
}

// Report says what came of it.
type Report struct {
	Threads int // that were looked at last; each has the values, unless Problems says otherwise
	Nice    int
	Idle    bool // disk access is of the idle class
	// Memory is the limit in force, 0 if there is none, and MemoryFrom whose
	// choice it is: "GOMEMLIMIT", "configuration" or "control group".
	Memory     int64
	MemoryFrom string
	Problems   []error
}

// Apply makes this process gentle.
func Apply(o Options) Report {
	var r Report
	if !o.Eager {
		applyPriorities(&r)
	}
	applyMemory(&r, o)
	return r
}

// Log tells what was set at Info, and what was not at Warn.
func (r Report) Log(log *slog.Logger) {
	log.Info("priorities and memory", "threads", r.Threads, "nice", r.Nice, "io_idle", r.Idle, "memory_limit", r.Memory, "from", r.MemoryFrom)
	for _, p := range r.Problems {
		log.Warn("the process is less gentle than it should be", "error", p)
	}
}

// leastMemory is a limit below which the runtime would spend its time
// collecting: a smaller one is raised to it.
const leastMemory = 64 << 20

func applyMemory(r *Report, o Options) {
	if o.GoMemLimit != "" {
		r.Memory, r.MemoryFrom = debug.SetMemoryLimit(-1), "GOMEMLIMIT"
		return
	}
	root := o.Root
	if root == "" {
		root = "/"
	}
	limit, from := o.Memory, "configuration"
	group, err := groupMemory(filepath.Clean(root))
	if err != nil {
		r.Problems = append(r.Problems, fmt.Errorf("reading the control group's memory limit: %w", err))
	}
	// The rest is for what the runtime does not count.
	if group = group / 10 * 9; group > 0 && (limit == 0 || group < limit) {
		limit, from = group, "control group"
	}
	if limit <= 0 {
		return
	}
	if limit < leastMemory {
		r.Problems = append(r.Problems, fmt.Errorf("a memory limit of %d bytes (%s) is too little to work with; %d are taken as the limit", limit, from, leastMemory))
		limit = leastMemory
	}
	debug.SetMemoryLimit(limit)
	r.Memory, r.MemoryFrom = limit, from
}
