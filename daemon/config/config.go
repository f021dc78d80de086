package config

import (
	"reflect"
	"slices"
	"time"

	"keepsake/daemon/guard"
	"keepsake/daemon/schedule"
	"keepsake/store/retention"
)

// Name is what a configuration file is called.
const Name = "keepsake.toml"

// The profiles: named sets of defaults.
const (
	Production  = "production"
	Development = "development"
)

// Config is keepsake.toml with all defaults filled in. Empty places mean the
// usual ones, which depend on who runs keepsake.
type Config struct {
	Profile    string
	Repository string
	Mount      string
	AllowOther bool  // other users may enter the view, with the permissions that files had
	NoExec     bool  // programs cannot be run out of the view
	Cache      int64 // bytes of memory for decrypted files while snapshots are shown
	ReadAhead  int64 // bytes that the kernel reads ahead in the view; 0: its own choice
	KeyFile    string
	Group      string // whose members may look on; empty: nobody's
	Metrics    string // loopback address that serves metrics; empty: the socket alone
	MaxRead    int64  // bytes per second; 0: as fast as the disk gives
	Memory     int64  // bytes that the daemon aims to stay below
	Gentle     bool   // reading gives way to other programs
	Notify     Notify
	// Defaults is what a source has that says nothing about itself.
	Defaults Source
	Sources  []Source
}

// Notify says who is told when a source's state changes.
type Notify struct {
	Command []string // absolute; empty: nobody is told
	Timeout time.Duration
}

// Source is a directory, or the output of commands, that snapshots are taken of.
type Source struct {
	Label string
	Path  string // of a directory; empty if Outputs are set
	// Outputs are commands whose standard output becomes a file each; the first
	// one gives the source its purpose, the others are kept beside it.
	Outputs  []Output
	Schedule schedule.Schedule
	Keep     retention.Policy // zero keeps everything
	Settle   time.Duration    // how long a file must be quiet
	Scan     time.Duration    // between scans of everything
	Poll     time.Duration    // the same where events never arrive
	Require  []string         // relative paths that must exist and not be empty
	Exclude  []string
	Presets  []string
	// CacheDirTag leaves out directories marked as caches.
	CacheDirTag   bool
	Before, After [][]string
	Timeout       time.Duration // of each command
	MinShare      float64       // an output smaller than this share of the last one is degraded
	Guard         guard.Thresholds
	Reread        int64 // bytes read again per day, to find rot
}

// Output is a command whose standard output becomes a file of the snapshot.
type Output struct {
	Command []string
	File    string // relative, below the source's root
}

// ServiceCache is the cache of a service, which keeps to Memory with everything
// that it does: beyond half of it, it would do little else than collect garbage.
func (c Config) ServiceCache() int64 { return min(c.Cache, c.Memory/2) }

// IsCommand reports whether the source is the output of commands.
func (s Source) IsCommand() bool { return len(s.Outputs) > 0 }

// Default is a configuration that says nothing, in a profile.
func Default(profile string) Config {
	var c Config
	for _, f := range globalKeys() {
		f.reset(&c, profile)
	}
	c.Profile = profile
	for _, f := range notifyKeys() {
		f.reset(&c.Notify, profile)
	}
	for _, f := range defaultKeys() {
		f.reset(&c.Defaults, profile)
	}
	return c
}

// NewSource is a directory that says nothing about itself.
func (c Config) NewSource(label, path string) Source {
	s := c.Defaults
	s.Label, s.Path = label, path
	s.Schedule = inherited(c.Defaults.Schedule, s)
	return s
}

// inherited is what a source has of the defaults' schedule if it says nothing of
// its own there. Every is for directories: nothing tells that the output of a
// command has changed, and a dump at 02:30 must not become one every quarter of
// an hour. And without a time there is nothing to be later than.
func inherited(usual schedule.Schedule, s Source) schedule.Schedule {
	if s.IsCommand() {
		usual.Every = 0
	}
	if s.Schedule.Every == 0 && len(s.Schedule.At) == 0 {
		usual.Delay = 0
	}
	return usual
}

// Equal reports whether two configurations say the same.
func (c Config) Equal(other Config) bool { return reflect.DeepEqual(c, other) }

// RunsCommands reports whether the configuration makes keepsake run programs:
// then whoever can write it can do all that the daemon can.
func (c Config) RunsCommands() bool {
	return len(c.Notify.Command) > 0 || c.Defaults.runsCommands() || slices.ContainsFunc(c.Sources, Source.runsCommands)
}

func (s Source) runsCommands() bool { return len(s.Outputs)+len(s.Before)+len(s.After) > 0 }
