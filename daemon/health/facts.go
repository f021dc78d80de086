package health

import "time"

// Kind says what a source is.
type Kind string

// The kinds.
const (
	Path    Kind = "path"    // a directory tree
	Command Kind = "command" // the output of commands
)

// Facts are what is known of one source at one moment. The zero value of a field means that it is not known, or that
// there is none. Whoever fills them sends copies: nothing here is shared with a running daemon.
//
// The JSON names are read by scripts. They keep their meaning; new ones may be added.
type Facts struct {
	Label string `json:"source"`
	Kind  Kind   `json:"kind"`
	Path  string `json:"path,omitempty"` // of the directory; empty for commands

	// The schedule.
	Gap         time.Duration `json:"-"`                     // see the package's vocabulary; 0: nothing is scheduled
	OnChange    bool          `json:"on_change"`             // runs also begin when changes have come to rest
	NextRun     time.Time     `json:"next_run,omitzero"`     // the next time of the schedule
	PausedUntil time.Time     `json:"paused_until,omitzero"` // by a person
	// Retired says that there is a configuration, that it does not name the source, and that nobody keeps it.
	Retired bool `json:"retired,omitempty"`
	// Polled is why events do not announce all changes ("NFS sends no events"); empty if they do.
	Polled string `json:"polled,omitempty"`

	// Snapshots.
	Newest         *Snapshot `json:"newest,omitempty"`
	NewestComplete time.Time `json:"newest_complete,omitzero"` // when the newest that misses nothing was begun

	// Runs.
	First     bool      `json:"first_run,omitempty"` // none has ended well yet
	Running   bool      `json:"running"`             // one is under way
	LastBegan time.Time `json:"last_run_began,omitzero"`
	LastEnded time.Time `json:"last_run_ended,omitzero"`
	LastError string    `json:"last_error,omitempty"`  // of the last run that ended; empty if it ended well
	Looked    time.Time `json:"last_success,omitzero"` // when the last successful look ended
	// AfterError is what the commands after the last run failed with: what the ones before it did may still stand.
	AfterError string `json:"after_error,omitempty"`
	Totals     Totals `json:"totals,omitzero"`

	// What a person should know.
	Alarms   []Alarm  `json:"alarms,omitempty"`
	Waiting  int      `json:"waiting"` // files that changed and have not come to rest, as of now
	Suspects Suspects `json:"suspects,omitzero"`
	Reread   Reread   `json:"reread,omitzero"`
	Watch    *Watch   `json:"watch,omitempty"` // nil if nobody watches
}

// Snapshot is the manifest of the newest snapshot, as far as it says how the source stands.
type Snapshot struct {
	ID          string    `json:"id"`
	Number      uint64    `json:"number"`
	Time        time.Time `json:"time"` // when it was begun, in the captured machine's zone
	Finished    time.Time `json:"finished,omitzero"`
	Basis       string    `json:"basis"` // "scanned", "events", "polled", "in-progress"
	Complete    bool      `json:"complete"`
	Files       uint64    `json:"files"`
	Bytes       uint64    `json:"bytes"`
	Missed      uint64    `json:"missed"`                 // all paths that it misses
	Writing     uint64    `json:"writing,omitempty"`      // of them, files that were still being written
	Unreadable  uint64    `json:"unreadable,omitempty"`   // of them, paths that could not be read
	Rotten      uint64    `json:"rotten,omitempty"`       // of them, files that seem to have rotted: their earlier versions are kept
	MissedPaths []Missed  `json:"missed_paths,omitempty"` // the first of them
	Marks       []string  `json:"marks,omitempty"`        // guards that found something when it was made
	Why         []string  `json:"why,omitempty"`          // why it was scanned rather than made from events
	Dropped     []Dropped `json:"dropped,omitempty"`      // what was left out on purpose
}

// Dropped counts the paths that one rule left out; a directory counts as one.
type Dropped struct {
	Rule  string `json:"rule"` // "pattern *.tmp", "preset nas-droppings"
	Paths uint64 `json:"paths"`
}

// Missed is a path that a snapshot should hold and does not, or not in its present version.
type Missed struct {
	Path   string `json:"path"` // relative to the source; bytes that are not UTF-8 are escaped by the filler
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"`
}

// Alarm is what a guard found and nobody has acknowledged.
type Alarm struct {
	Guard  string    `json:"guard"`  // "mass-change"
	Detail string    `json:"detail"` // "31 % changed in 4 min"
	Since  time.Time `json:"since,omitzero"`
	// Pinned is when the last good snapshot was begun, which is kept until somebody acknowledges; zero if there is none.
	Pinned   time.Time `json:"pinned,omitzero"`
	PinnedID string    `json:"pinned_id,omitempty"`
}

// Suspects are files whose content changed though size, mtime and ctime did not, and that nobody has acknowledged.
type Suspects struct {
	Count uint64   `json:"count"`
	Paths []string `json:"paths,omitempty"` // the first of them
}

// Reread is how far the rolling re-read of the source has come.
type Reread struct {
	Bytes      uint64    `json:"bytes"` // read again since the process started
	Files      uint64    `json:"files"`
	Mismatches uint64    `json:"mismatches"`           // found since the process started
	RoundEnded time.Time `json:"round_ended,omitzero"` // when everything had been read again the last time
}

// Watch are the figures of a watcher. Counts of what happened start at zero with the process.
type Watch struct {
	Directories uint64 `json:"directories"`
	Watches     uint64 `json:"watches"`
	Unwatched   uint64 `json:"unwatched,omitempty"` // directories without a watch: they are polled
	Limit       uint64 `json:"limit,omitempty"`     // of watches for this user; 0 if unknown
	AtLimit     bool   `json:"at_limit,omitempty"`  // some directories have none because of it
	Dirty       uint64 `json:"dirty"`               // directories that wait to be looked at

	Events       uint64 `json:"events"`
	Overflows    uint64 `json:"overflows"`     // times that events were lost
	LimitReached uint64 `json:"limit_reached"` // times that the limit of watches was newly reached
	Remounts     uint64 `json:"remounts"`
	ClockJumps   uint64 `json:"clock_jumps"`
	Differences  uint64 `json:"differences"` // changes that a full scan found and no event had announced
}

// Totals count what the runs of a source did since the process started.
type Totals struct {
	Complete   uint64        `json:"complete"`  // runs whose snapshot misses nothing
	Degraded   uint64        `json:"degraded"`  // runs whose snapshot misses something or is marked
	Unchanged  uint64        `json:"unchanged"` // successful looks that found nothing to store
	Failed     uint64        `json:"failed"`
	Took       time.Duration `json:"-"` // by all of them together
	ReadBytes  uint64        `json:"read_bytes"`
	AddedBytes uint64        `json:"added_bytes"` // to the repository, as stored
}

// Runs is how many runs ended.
func (t Totals) Runs() uint64 { return t.Complete + t.Degraded + t.Unchanged + t.Failed }
