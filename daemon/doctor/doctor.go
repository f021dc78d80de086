package doctor

import (
	"context"
	"time"
)

// Level is how much a finding matters.
type Level string

const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// Finding is one thing that was looked at.
type Finding struct {
	Name   string `json:"name"` // the same in every run, for machines
	Level  Level  `json:"level"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"` // empty if the level is ok
}

// Source is a directory that is watched, or is to be.
type Source struct {
	Label, Path string
	// Exclude says what is left out, as the watcher is told; nil: nothing.
	Exclude func(rel string, isDir bool) bool
}

// Options say what to look at. Paths are absolute; what is empty does not apply.
type Options struct {
	Config     string // configuration file
	Repository string
	State      string // below it each repository has its state directory
	Key        string // key file
	Mount      string // where snapshots are shown
	AllowOther bool   // users other than this one are to see them
	Cache      int64  // memory for what is shown, in bytes
	ReadAhead  int64  // of the kernel in the view, in bytes; 0: its own choice
	Sources    []Source

	// CountFor bounds the counting of directories, over all sources. Default 1
	// min: longer than a library of a million files takes on disks.
	CountFor time.Duration
	// Progress, if set, is told now and then how far the counting is.
	Progress func(source string, directories int)

	// Root is prefixed to /proc, /sys, /dev and /etc. For tests.
	Root string
}

// Check looks at everything. It ends early when ctx does, with what it found
// until then.
func Check(ctx context.Context, o Options) []Finding {
	if o.CountFor == 0 {
		o.CountFor = time.Minute
	}
	e := &examination{o: o}
	for _, look := range []func(context.Context){
		e.sources, e.inotify, e.permissions, e.fileSystems, e.disks, e.space, e.fuse, e.clock,
	} {
		if ctx.Err() != nil {
			break
		}
		look(ctx)
	}
	return e.findings
}

// examination is one run of Check.
type examination struct {
	o        Options
	findings []Finding
	present  []Source // sources that are there
}

func (e *examination) add(name string, level Level, detail, remedy string) {
	e.findings = append(e.findings, Finding{name, level, detail, remedy})
}

// system is a path below /proc, /sys, /dev or /etc.
func (e *examination) system(path string) string { return e.o.Root + path }

// Worst is the gravest level among findings.
func Worst(findings []Finding) Level {
	worst := OK
	for _, f := range findings {
		if f.Level == Fail || f.Level == Warn && worst == OK {
			worst = f.Level
		}
	}
	return worst
}
