package main

import (
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"keepsake/daemon/config"
)

// viewOptions say how a view is mounted, whichever process does it.
type viewOptions struct {
	AllowOther, NoExec bool
	Cache, ReadAhead   int64 // bytes
}

// viewPlace is where and how snapshots are shown; nowhere if dir is empty.
type viewPlace struct {
	dir string
	viewOptions
	// refuse ends everything if something else is at the place: a person who
	// looks on mends that at once. For a service backups matter more.
	refuse bool
}

// viewFlags are the flags of a verb that mounts. Each is a key of the
// configuration, too, and comes before it.
type viewFlags struct {
	of               *cobra.Command
	allowOther       bool
	noExec           bool
	cache, readAhead string
}

func newViewFlags(c *cobra.Command) *viewFlags {
	f := &viewFlags{of: c}
	p := c.Flags()
	p.BoolVar(&f.allowOther, "allow-other", false, "let other users in, with the permissions that files had")
	p.BoolVar(&f.noExec, "no-exec", false, "forbid to run programs out of the view")
	p.StringVar(&f.cache, "cache", "", "memory for decrypted files, at most `SIZE` (default 64MiB)")
	p.StringVar(&f.readAhead, "read-ahead", "", "the kernel reads `SIZE` ahead in files, such as 1MiB; takes root (default 512KiB for root)")
	return f
}

// into puts what was given into the configuration.
func (f *viewFlags) into(c *config.Config) error {
	for _, said := range []struct{ flag, text string }{{"cache", f.cache}, {"read-ahead", f.readAhead}} {
		if !f.of.Flags().Changed(said.flag) {
			continue
		}
		if err := c.Set(said.flag, said.text); err != nil {
			return flagError(f.of, fmt.Errorf("--%s %s", said.flag, strings.TrimPrefix(err.Error(), "= ")))
		}
	}
	if f.of.Flags().Changed("no-exec") {
		c.NoExec = f.noExec
	}
	return nil
}

// viewOptionsOf is how a configuration has a view mounted by a process that
// stays. Without root's rights the system may not let others in; with them,
// files' own permissions decide.
func viewOptionsOf(c config.Config) viewOptions {
	o := viewOptions{AllowOther: c.AllowOther, NoExec: c.NoExec, Cache: c.Cache, ReadAhead: c.ReadAhead}
	if os.Geteuid() != 0 {
		o.AllowOther = false
		if o.ReadAhead == config.UsualReadAhead {
			o.ReadAhead = 0
		}
	}
	return o
}

// fit keeps the cache to half of what memory this process was given, if it was
// given a limit, and reports whether it had to: a service's, which a mount may be
// asked of, or that of a small machine.
func (o *viewOptions) fit() (cut bool) {
	limit := debug.SetMemoryLimit(-1) // asks, and sets nothing
	if limit == math.MaxInt64 || o.Cache <= limit/2 {
		return false
	}
	o.Cache = limit / 2
	return true
}
