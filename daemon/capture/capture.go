package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"keepsake/daemon/guard"
	"keepsake/daemon/rules"
	"keepsake/store"
	"keepsake/store/state"
	"keepsake/store/tree"
)

// Options says what to capture. Repository, Writer, Source and, but for Outputs,
// Path are required.
type Options struct {
	Repository *store.Repository
	Writer     *store.Writer
	Source     state.Source
	Path       []byte // absolute path of the source's root, raw bytes
	Tags       []string
	Host, User string

	// Rules say what is left out on purpose; nil leaves out nothing. They are
	// those of the run that made Since, if Dirty is given.
	Rules *rules.Rules
	// Require are paths, relative to the root, that have to be there and not be
	// empty; those that are not make the snapshot incomplete.
	Require []string
	// Named are the directories that events named before a run that looks at
	// everything; Result.Unnamed then tells of changes elsewhere. Nil: nobody
	// wants to know.
	Named []string
	// Why says, in words, why the run looks at more than events named; the
	// snapshot keeps it.
	Why []string
	// Links is the table of multiply linked files, which the run asks and keeps;
	// nil if names of one file are not to be followed.
	Links *Links
	// Read says how gently files are read.
	Read ReadOptions
	// Own are absolute paths without links that are left out because they are
	// keepsake's: repository, state, mount.
	Own []string

	// Dirty limits the run to what is in doubt; nil means all of it. It is
	// heeded only if the newest snapshot is the one that Since names.
	Dirty *Dirty
	// Since is the snapshot after which all changes are in Dirty: Result.Base
	// of an earlier run. Another run's may have left out what this one wants.
	Since store.SnapshotID
	// InFlux are files known to be still changing, relative to the root: their
	// previous version is kept, or, without one, they wait for the next run;
	// after a day they are stored as they are, flagged as torn.
	InFlux map[string]bool
	// Settle is for how long a file must not have changed to be read as good,
	// whether or not InFlux names it; one that changed later counts as in flux.
	// It is compared with the times that the kernel stamps. 0: nobody waits.
	Settle time.Duration
	// Sightings stand in for those times where another machine stamps them: a file
	// that may have changed lately is read if it looks as in an earlier run. The
	// run asks and keeps it; nil trusts all clocks.
	Sightings *Sightings
	// Basis is how the snapshot knows what changed; 0 means Scanned, or Events
	// if Dirty is heeded.
	Basis tree.Basis
	// OnlyIfChanged publishes nothing if the tree is what the previous
	// snapshot holds.
	OnlyIfChanged bool
	// DryRun reads and stores nothing; the counts say what would be read.
	DryRun bool

	// PassTime is how long a run reads before it publishes what it has;
	// 0 means ten minutes.
	PassTime time.Duration
	// Published is told of each in-progress snapshot.
	Published func(store.Snapshot)

	// Progress is counted on, whatever it counted before.
	Progress *Progress
	Log      *slog.Logger
	Now      func() time.Time

	// Guard says how much may change before the snapshot is marked. Window is
	// what earlier runs observed; the caller adds Result.Observation to it.
	Guard  guard.Thresholds
	Window guard.Window
	// Suspect are files whose content changed though size and times did not, as
	// Reread found: true keeps their previous version, false looks at one again
	// that was suspected before. Either way the run looks at them, whatever
	// Dirty says.
	Suspect map[string]bool

	// Unprepared says that a command failed that should have prepared the source:
	// the run is made, and says that it may hold what was never consistent.
	Unprepared error

	outputs []Output          // of commands, instead of Path
	base    Counts            // of Progress when the run began
	began   tree.Time         // of the run, as files are stamped
	seen    guard.Observation // by the passes of this run that were published
}

const defaultPassTime = 10 * time.Minute

func (o Options) withDefaults() (Options, error) {
	if o.Repository == nil || o.Writer == nil && !o.DryRun {
		return o, errors.New("capture needs a repository and a writer")
	}
	if o.outputs == nil && !filepath.IsAbs(string(o.Path)) {
		return o, fmt.Errorf("source path %q is not absolute", o.Path)
	}
	if o.PassTime == 0 {
		o.PassTime = defaultPassTime
	}
	if o.Published == nil {
		o.Published = func(store.Snapshot) {}
	}
	if o.Progress == nil {
		o.Progress = &Progress{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

// Why a run looked at everything although events had named what changed; callers
// have words of their own in Options.Why.
const (
	WhyPrune         = "prune"          // packs were condemned meanwhile
	WhyDamaged       = "damaged"        // what would be taken over cannot be read
	WhyInProgress    = "in-progress"    // the run went on after a snapshot in progress
	WhyMissed        = "missed"         // the previous snapshot missed more than it could name
	WhyOtherSnapshot = "other-snapshot" // the newest snapshot is not the one that events count from
)

// doubtAll stops trusting events.
func (o *Options) doubtAll(why string) {
	if o.Dirty != nil {
		o.Dirty, o.Why = nil, append(slices.Clone(o.Why), why)
	}
}

// Result is what a run did.
type Result struct {
	Snapshot store.Snapshot // zero if nothing was published
	// Base is the snapshot that holds what the run found: the published one, or
	// the previous one if nothing had changed. Zero after a dry run.
	Base    store.SnapshotID
	Changed bool          // the tree, or what is missing in it, differs from the previous snapshot's
	Missed  []tree.Missed // by path; all of them up to a bound
	Missing uint64        // how many there are in all
	Unnamed []string      // directories in which something had changed and that Options.Named lacks; up to a bound
	// Dropped is how much was left out on purpose, by rule (FORMAT.md says what
	// the numbers mean after a run that was limited by events).
	Dropped []tree.Dropped
	// Observation is what the run counted beside the previous snapshot, and
	// Findings what the guards say of it and the window before it.
	Observation guard.Observation
	Findings    []guard.Finding
}

// Run captures a source and returns its published snapshot. Paths that could
// not be captured are no error: they stand in the result.
func Run(ctx context.Context, options Options) (*Result, error) {
	o, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	started := o.Now()
	o.base, o.began = o.Progress.Counts(), kernelTime(restMargin)
	if err := errors.Join(checkRequired(o.Require), o.Read.validate()); err != nil {
		return nil, err
	}
	for {
		r, again, err := runPass(ctx, &o, started)
		if errors.Is(err, store.ErrUnconfirmed) {
			// Packs that this snapshot relies on were condemned meanwhile.
			// Their chunks no longer count as known: store them anew.
			o.Log.Warn("a prune ran meanwhile; looking at everything again")
			o.doubtAll(WhyPrune)
			o.OnlyIfChanged = false
			continue
		}
		if errors.Is(err, store.ErrDamaged) && o.Dirty != nil {
			// What would be taken over cannot be read. A look at everything
			// stores it anew, and counts it afresh.
			o.Log.Warn("a directory of the previous snapshot is damaged; looking at everything", "err", err)
			o.doubtAll(WhyDamaged)
			o.base = o.Progress.Counts()
			continue
		}
		if err != nil || !again {
			return r, err
		}
		o.Published(r.Snapshot)
		o.doubtAll(WhyInProgress)
		o.OnlyIfChanged = false
	}
}

// runPass makes one pass and publishes it. again says that it left files for
// another one.
func runPass(ctx context.Context, o *Options, started time.Time) (r *Result, again bool, err error) {
	prev, ok, err := previous(ctx, o.Repository, o.Source.ID)
	if err != nil {
		return nil, false, err
	}
	var prevRoot *tree.Node
	if ok {
		prevRoot = &prev.Root
	}
	if !ok || prev.ID != o.Since || prev.Basis == tree.InProgress {
		o.doubtAll(WhyOtherSnapshot) // too much is in doubt
	}
	if err := o.retry(ctx, &prev); err != nil {
		return nil, false, err
	}
	o.Dirty.look(o.Suspect)
	p, root, err := walk(ctx, o, prev, prevRoot)
	if err != nil {
		return nil, false, err
	}
	if left := p.left.Load(); left > 0 {
		again = true
		p.missed.add("", tree.ReasonPending, fmt.Sprintf("%d files", left))
	}
	if o.Unprepared != nil {
		p.miss("", tree.ReasonCommand, o.Unprepared)
	}
	missed, missing := p.missed.sorted()
	r = &Result{Missed: missed, Missing: missing, Unnamed: p.unnamed.list()}
	// A snapshot in progress is not what the finished one says, whatever it holds.
	r.Changed = !ok || prev.Basis == tree.InProgress || !sameTree(&prev.Root, root) || !sameMissed(&prev, missed, missing)
	r.Dropped = p.dropped.since(p.droppedBefore, o.Dirty != nil)
	r.Changed = r.Changed || newRule(prev.Dropped, r.Dropped)
	if o.DryRun {
		return r, false, nil
	}
	r.Observation = p.observation(&prev, root, started)
	r.Findings = guard.Judge(o.Guard, o.Window, r.Observation)
	if o.OnlyIfChanged && !r.Changed && !again {
		r.Base = prev.ID
		p.linked.published() // the previous one holds it all
		return r, false, nil
	}
	m := p.manifest(root)
	m.Dropped = r.Dropped
	if ok {
		m.Stats.DeletedFiles = less(prev.Root.Below.Files+m.Stats.NewFiles, root.Below.Files)
	}
	m.Marks = marks(r.Findings)
	m.Started = tree.TimeOf(started)
	_, zone := started.Zone()
	m.ZoneOffset = int32(zone)
	if again {
		m.Basis = tree.InProgress
	}
	if err := p.storeMissed(ctx, &m); err != nil {
		return nil, false, err
	}
	// What was added is known when all of it is published.
	if err := o.Writer.Commit(ctx); err != nil {
		return nil, false, err
	}
	m.Stats.AddedBytes = uint64(o.Writer.Written().StoredBytes)
	r.Snapshot, err = o.Writer.Publish(ctx, m)
	r.Base, r.Observation.Number = r.Snapshot.ID, r.Snapshot.Number
	if err == nil {
		p.linked.published()
	}
	if err == nil || errors.Is(err, store.ErrUnconfirmed) {
		o.seen = r.Observation // the next pass is compared with this one
	}
	return r, again, err
}

// retry has the run look at what the previous snapshot missed, wherever it was:
// at everything, if not all of that is known by name.
func (o *Options) retry(ctx context.Context, prev *store.Snapshot) error {
	if o.Dirty == nil {
		return nil
	}
	missed, err := o.Repository.Missed(ctx, &prev.Snapshot)
	if err != nil {
		return stored(err)
	}
	if prev.MissedCount > uint64(len(missed)) {
		o.doubtAll(WhyMissed)
	}
	o.Dirty.retry(missed)
	return nil
}

// less is a-b, or 0 if that would be negative.
func less(a, b uint64) uint64 { return a - min(a, b) }

// newPass makes a pass that goes on with the numbers of some file systems.
func newPass(o *Options, filesystems []tree.Filesystem) (*pass, error) {
	doubt, err := o.Repository.Doubt()
	if err != nil {
		return nil, err
	}
	p := &pass{
		options: o, repository: o.Repository, writer: o.Writer, log: o.Log, now: o.Now, progress: o.Progress,
		filesystems: newFilesystems(filesystems),
		owners:      newOwners(),
		missed:      &missed{},
		unnamed:     newUnnamed(o.Named),
		dropped:     &dropped{},
		pageCuts:    o.Repository.Cut("page"),
		listCuts:    o.Repository.Cut("list"),
		groups:      o.Repository.Cut("link group"),
		bundleIDs:   o.Repository.Cut("bundle"),
		fluxBundles: bundlesInFlux(o.InFlux),
		doubt:       doubt,
		links:       "/proc/self/fd",
		own:         map[string]bool{},
		twins:       newTwins(),
		seen:        &seen{},
	}
	root, err := filepath.EvalSymlinks(string(o.Path))
	if err != nil {
		root = string(o.Path) // opening it says what is wrong
	}
	for _, path := range o.Own {
		if rel, err := filepath.Rel(path, root); err == nil && filepath.IsLocal(rel) {
			return nil, fmt.Errorf("%s lies inside %s, which is keepsake's own: a snapshot of it would hold itself", o.Path, path)
		}
		if rel, err := filepath.Rel(root, path); err == nil && filepath.IsLocal(rel) {
			p.own[filepath.ToSlash(rel)] = true
		}
	}
	return p, nil
}

// manifest says what the run found. What earlier passes of it read counts as
// read, though the last one finds it unchanged.
func (p *pass) manifest(root *tree.Node) tree.Snapshot {
	o := p.options
	c := o.Progress.Counts().since(o.base)
	basis := o.Basis
	if basis == 0 {
		basis = tree.Scanned
		if o.Dirty != nil {
			basis = tree.Events
		}
	}
	return tree.Snapshot{
		Source: o.Source.ID, Label: o.Source.Label, Host: o.Host, User: o.User, RootPath: o.Path,
		Tags: words(o.Tags), Why: words(o.Why),
		Root: *root, Basis: basis, Finished: tree.TimeOf(o.Now()), Filesystems: p.filesystems.list(),
		Stats: tree.Stats{
			Files: root.Below.Files, Dirs: root.Below.Dirs, Others: root.Below.Others, Bytes: root.Below.Bytes,
			NewFiles: uint64(c.NewFiles), ChangedFiles: uint64(c.ChangedFiles),
			UnchangedFiles: root.Below.Files - min(root.Below.Files, uint64(c.NewFiles+c.ChangedFiles)),
			ReadBytes:      uint64(c.ReadBytes),
		},
	}
}

// words are a set, as manifests keep it.
func words(all []string) []string { return slices.Compact(slices.Sorted(slices.Values(all))) }

// sameMissed reports whether a snapshot misses the same paths. Of many only the
// first are compared, and their number.
func sameMissed(prev *store.Snapshot, missed []tree.Missed, count uint64) bool {
	return prev.MissedCount == count && slices.EqualFunc(prev.Missed, missed[:min(len(missed), len(prev.Missed))], func(a, b tree.Missed) bool {
		return string(a.Path) == string(b.Path) && a.Reason == b.Reason
	})
}

// sameTree reports whether two roots hold the same.
func sameTree(a, b *tree.Node) bool {
	x, errA := a.Append(nil)
	y, errB := b.Append(nil)
	return errA == nil && errB == nil && string(x) == string(y)
}
