package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/text"

	"keepsake/daemon"
	"keepsake/daemon/capture"
	"keepsake/daemon/config"
	"keepsake/store/tree"
)

// keep is up's work as the owner of the state: mount, capture, watch.
func (u *up) keep(ctx context.Context, s *session) error {
	for _, text := range s.takeNotices() {
		u.out.note("%s", text)
	}
	if u.made == nil {
		u.out.say("Repository  %s", u.repo)
	}
	added := u.sources[len(u.a.config.Sources):]
	if u.made == nil && len(added) > 0 {
		// Measuring takes a while: not before it is sure that this one keeps them.
		need, err := u.measure(ctx, added)
		if err != nil {
			return err
		}
		u.bytes = int64(need)
		u.warn(added)
	}
	u.tellAdded(s.own, added)
	counts := &capture.Progress{}
	counts.Expect(u.bytes)
	kept := u.a.config
	kept.Sources = u.sources
	shown := u.showProgress(ctx, counts)
	defer shown()
	first := len(u.sources)
	k, err := daemon.New(ctx, daemon.Options{
		Repository: s.repo, Config: kept, Host: u.a.env.host, User: u.a.env.user, Own: s.own,
		Progress: counts, Log: u.a.logger(),
		Report: func(e daemon.Event) {
			if e.Err == nil {
				s.published()
			}
			if e.First {
				if first--; first == 0 {
					shown()
				}
			}
			u.tell(e)
			if e.First && first == 0 {
				u.out.say("Watching. Files are safe about 15 s after a copy ends. Ctrl-C stops.")
				u.out.say("Browse %s: latest, snapshots by time, versions of one file.", u.mount)
			}
		},
	})
	if err != nil {
		return err
	}
	// Only what works is worth repeating without being asked.
	if err := u.saveConfig(); err != nil {
		return err
	}
	err = s.keep(ctx, k, u.place(), u.out, func() {})
	if ctx.Err() != nil {
		shown()
		u.tellStop(k.Pending())
	}
	return err
}

// tellStop says what a person who stopped it may rely on.
func (u *up) tellStop(files uint64, more bool) {
	switch {
	case u.out.options.JSON:
		u.out.emit("stopped", map[string]any{"files_waiting": files, "more_waiting": more})
	case more:
		u.out.say("Stopped. Some changes may not be in a snapshot yet; the next keepsake up takes them first.")
	case files > 0:
		u.out.say("Stopped. %s still being written and not in a snapshot yet; the next keepsake up looks there first.", count(files, "file"))
	default:
		u.out.say("Stopped. Everything seen is safe.")
	}
}

// showProgress shows how much is safe until the returned function is called,
// which may happen more than once.
func (u *up) showProgress(ctx context.Context, counts *capture.Progress) (end func()) {
	note := "browse: " + filepath.Join(u.mount, "latest")
	stop := u.out.watchProgress(ctx, func() progress {
		p := captureProgress("Safe so far", counts.Counts())
		p.Note = note
		return p
	})
	return sync.OnceFunc(stop)
}

// tell prints one line for what happened to a source.
func (u *up) tell(e daemon.Event) {
	if e.Note != "" {
		u.out.note("%s %s", e.Label, e.Note)
		return
	}
	now := time.Now().Format("15:04")
	writing := uint64(0)
	for _, m := range e.Missed {
		if m.Reason == tree.ReasonFlux || m.Reason == tree.ReasonKept || m.Reason == tree.ReasonBundle {
			writing++ // an everyday save; it comes again by itself when it rests
			continue
		}
		u.out.problem(filepath.Join(u.path(e.Label), string(m.Path)), quote(because(m)))
	}
	if u.out.options.JSON {
		fields := map[string]any{"source": e.Label, "first": e.First, "missed": e.Missing}
		if e.Err != nil {
			fields["error"] = e.Err.Error()
		} else if e.Snapshot.Number > 0 {
			fields["snapshot"] = snapshotFields(e.Snapshot)
		}
		u.out.emit("event", fields)
		return
	}
	e.Missing -= min(e.Missing, writing)
	for _, f := range e.Findings {
		u.out.note("%s %s: %s. %s. Nothing expires until keepsake ack %s", now, e.Label, f.Detail, aboutMark(f.Guard), e.Label)
	}
	switch s := e.Snapshot; {
	case e.Err != nil:
		next := remedy(e.Err)
		u.out.note("%s %s: %v; trying again. %s", now, e.Label, e.Err, next)
	case s.Number == 0:
		u.out.say("%s %s %s: nothing has changed since the last snapshot", u.out.color(text.FgGreen, "✓"), now, e.Label)
	case e.First && e.Missing == 0:
		u.out.say("%s %s %s complete: %s, %s stored", u.out.color(text.FgGreen, "✓"), now, e.Label, count(s.Stats.Files, "file"), size(s.Stats.AddedBytes))
	case e.Missing > 0:
		u.out.say("%s %s %s: %s; %s missed, listed above", u.out.color(text.FgYellow, "!"), now, e.Label, changes(s.Stats), count(e.Missing, "path"))
	case writing > 0:
		u.out.say("%s %s %s: %s; %s still being written", u.out.color(text.FgGreen, "✓"), now, e.Label, changes(s.Stats), count(writing, "file"))
	default:
		u.out.say("%s %s %s: %s", u.out.color(text.FgGreen, "✓"), now, e.Label, changes(s.Stats))
	}
}

// changes sums up what a snapshot brought.
// because is why a path is missed, with the system's own words if there are any.
func because(m tree.Missed) string {
	if m.Detail == "" || m.Detail == m.Reason.String() { // the system often says the same
		return m.Reason.String()
	}
	return m.Reason.String() + ": " + m.Detail
}

func changes(s tree.Stats) string {
	var parts []string
	for _, c := range []struct {
		n    uint64
		what string
	}{{s.NewFiles, "new"}, {s.ChangedFiles, "changed"}, {s.DeletedFiles, "deleted"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", humanize.Comma(int64(c.n)), c.what))
		}
	}
	if len(parts) == 0 {
		return "no content changed"
	}
	return strings.Join(parts, ", ") + ", " + size(s.ReadBytes)
}

func (u *up) path(label string) string {
	for _, s := range u.sources {
		if s.Label == label {
			return s.Path
		}
	}
	return label
}

// tellAdded says what a person may not expect of sources that are new here.
func (u *up) tellAdded(own []string, added []config.Source) {
	for _, s := range added {
		var inside []string
		for _, dir := range own {
			if rel, err := filepath.Rel(config.Resolve(s.Path), dir); err == nil && filepath.IsLocal(rel) && exists(dir) {
				inside = append(inside, quote(dir))
			}
		}
		if len(inside) > 0 {
			u.out.note("%s is left out of %s: it is keepsake's own", strings.Join(inside, " and "), quote(s.Label))
		}
	}
	if n := len(u.sources) - len(added); n > 0 && len(added) > 0 {
		u.out.note("from now on %s kept beside the %s of before, until its [[source]] is removed from %s", areKept(added), count(n, "source"), quote(u.configPath()))
	}
}

func areKept(added []config.Source) string {
	if len(added) == 1 {
		return quote(added[0].Label) + " is"
	}
	return listed(added) + " are"
}

// measure counts files and bytes of sources, says them, and returns the bytes
// that a repository of them can take.
func (u *up) measure(ctx context.Context, sources []config.Source) (need uint64, err error) {
	own := u.a.ownDirs(u.repo)
	for _, s := range sources {
		if s.IsCommand() {
			continue // nobody knows before it has run
		}
		var files int64
		var bytes uint64
		err := filepath.WalkDir(s.Path, func(path string, d os.DirEntry, err error) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err == nil && d.IsDir() && slices.Contains(own, path) {
				return filepath.SkipDir
			}
			if err != nil || !d.Type().IsRegular() {
				return nil // the backup lists what cannot be read
			}
			if info, err := d.Info(); err == nil {
				files++
				bytes += allocated(info)
			}
			return nil
		})
		if err != nil {
			return 0, fmt.Errorf("measuring %s: %w", s.Path, err)
		}
		u.out.printf("Source      %s  %s, %s", s.Label, count(files, "file"), size(bytes))
		need += bytes
	}
	return need, nil
}
