package restore

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"keepsake/store"
)

// Owners says whether users and groups of entries are restored.
type Owners uint8

// The ways to treat owners.
const (
	// OwnersAuto restores them by number if the process is root. Anybody else
	// keeps what already fits, sets groups that he belongs to, and finds the
	// rest in Result.NotKept.
	OwnersAuto Owners = iota
	// OwnersNumeric tries to set them by number whoever runs.
	OwnersNumeric
	// OwnersSkip leaves all to the one who runs, and says nothing about it.
	OwnersSkip
)

// Options says what to restore, and where to. Repository, Snapshot and Target
// are required.
type Options struct {
	Repository *store.Repository
	Snapshot   store.Snapshot
	// Path is the part of the snapshot to restore, with slashes; empty means
	// all. The content of a directory goes into the target, a file goes there
	// under its own name.
	Path string
	// Target is created if it is missing; only then is its own metadata set. A
	// symlink there is followed, since it is what the person named.
	Target string
	// Include names what to restore, relative to Path; empty means all. A
	// pattern without a slash matches names at any depth, one with a slash is
	// relative to the top. * ? [a-z] match within a name, ** any number of
	// directories, a slash at the end directories only. What lies below a match
	// is included, and its parents are made.
	Include   []string
	Overwrite Policy
	// Verify reads each file back from the disk and compares its SHA-256 before
	// the file gets its name.
	Verify bool
	// DryRun changes nothing and returns what would be done.
	DryRun bool
	// Delete removes from restored directories what the snapshot does not have.
	// Directories that are only parents of what Include names are left alone.
	Delete bool
	// Salvage keeps the readable ranges of damaged files, with zeros between
	// them, instead of leaving the files out. They are listed as lost anyway.
	Salvage bool
	Owners  Owners
	// Progress may be nil. It is read by others while Run works.
	Progress *Progress
	Log      *slog.Logger
	Now      func() time.Time
}

// validate returns the options with defaults.
func (o Options) validate() (Options, error) {
	if o.Repository == nil {
		panic("restore: no repository")
	}
	if o.Target == "" {
		return o, errors.New("no target given")
	}
	if int(o.Overwrite) >= len(policyWords) {
		return o, fmt.Errorf("%w %d", ErrPolicy, o.Overwrite)
	}
	var err error
	// A later chdir must not move the target.
	if o.Target, err = filepath.Abs(o.Target); err != nil {
		return o, err
	}
	if o.Progress == nil {
		o.Progress = new(Progress)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}
