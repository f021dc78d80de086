package capture

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"keepsake/crypto"
	"keepsake/store"
	"keepsake/store/pack"
	"keepsake/store/tree"
)

// maxMissed bounds how many missed paths are kept by name; further ones are
// counted under their directory.
const maxMissed = 100_000

// missed collects the paths that the snapshot should hold and does not.
type missed struct {
	mu  sync.Mutex
	all []tree.Missed
	// over counts what did not fit.
	over uint64
}

func (m *missed) add(rel string, reason tree.Reason, detail string) {
	path, rest := storablePath(rel)
	if rest != "" {
		detail = strconv.QuoteToASCII(shorten(rest)) + " in it: " + detail
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.all) >= maxMissed {
		m.over++
		return
	}
	m.all = append(m.all, tree.Missed{Path: []byte(path), Reason: reason, Detail: detail})
}

// forget takes back what was noted about a path: its capture came to nothing, and
// is tried again or given up.
func (m *missed) forget(rel string) {
	m.delete(func(path string) bool { return path == rel })
}

// inFlux reports whether a path is missed because it was being written.
func (m *missed) inFlux(rel string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.all, func(e tree.Missed) bool {
		return string(e.Path) == rel && (e.Reason == tree.ReasonKept || e.Reason == tree.ReasonFlux || e.Reason == tree.ReasonBundle)
	})
}

// forgetBelow is forget for a directory and all below it.
func (m *missed) forgetBelow(rel string) {
	m.delete(func(path string) bool { return path == rel || strings.HasPrefix(path, rel+"/") })
}

func (m *missed) delete(which func(path string) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = slices.DeleteFunc(m.all, func(e tree.Missed) bool { return which(string(e.Path)) })
}

// storablePath splits a path after the last directory that a manifest can
// name: file systems allow deeper paths and, some of them, longer names.
func storablePath(rel string) (path, rest string) {
	end := 0
	for end < len(rel) {
		next := len(rel)
		if i := strings.IndexByte(rel[end+1:], '/'); i >= 0 {
			next = end + 1 + i
		}
		name := strings.TrimPrefix(rel[end:next], "/")
		if next > tree.MaxPath || tree.ValidateName([]byte(name)) != nil {
			return rel[:end], strings.TrimPrefix(rel[end:], "/")
		}
		end = next
	}
	return rel, ""
}

// sorted returns the paths in order, and how many there are in all.
func (m *missed) sorted() ([]tree.Missed, uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.SortFunc(m.all, func(a, b tree.Missed) int {
		return cmp.Or(bytes.Compare(a.Path, b.Path), cmp.Compare(a.Reason, b.Reason))
	})
	return m.all, uint64(len(m.all)) + m.over
}

// lost notes that a path could not be captured and returns what stands in for
// it: the version of the previous snapshot, flagged, or nothing. One that is
// gone was probably deleted after it was listed; a second listing tells.
func (p *pass) lost(rel string, previous *tree.Node, err error) *pending {
	if errors.Is(err, fs.ErrNotExist) {
		return &pending{gone: true}
	}
	p.miss(rel, reasonOf(err), err)
	return ready(kept(previous))
}

func (p *pass) miss(rel string, reason tree.Reason, err error) {
	p.missed.add(rel, reason, detailOf(err))
	p.progress.problem(rel, reason, err)
}

// kept is a previous version that stands in for the present one.
func kept(previous *tree.Node) *tree.Node {
	if previous == nil {
		return nil
	}
	n := *previous
	n.Flags |= tree.KeptPrevious
	return &n
}

// lostDirectory is lost for a directory: without a previous version it is kept
// empty, with the metadata that its parent could tell. A nil node means that it
// is gone.
func (p *pass) lostDirectory(ctx context.Context, rel string, s stat, previous *tree.Node, err error) (*tree.Node, error) {
	if stop := interruption(err); stop != nil {
		return nil, stop
	}
	if rel == "" {
		// Without its root there is no source: an empty snapshot would look
		// like deletion.
		return nil, fmt.Errorf("%s: %w", p.options.Path, err)
	}
	if e := p.lost(rel, previous, err); e.node != nil || e.gone {
		return e.node, nil
	}
	return p.emptyDirectory(ctx, rel, s)
}

// emptyDirectory is the node of a directory whose entries are not captured.
func (p *pass) emptyDirectory(ctx context.Context, rel string, s stat) (*tree.Node, error) {
	n := &tree.Node{
		Name: []byte(base(rel)), Type: tree.Dir, Mode: s.mode, UID: s.uid, GID: s.gid,
		MTime: s.mtime, CTime: s.ctime, BTime: s.btime, Links: s.links,
	}
	build := p.newDirectoryBuilder(ctx, rel)
	return n, build.finish(n)
}

// interruption returns the error if it means that the run is being stopped or
// that the repository failed: neither is the source's fault.
func interruption(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, new(*storeError)) {
		return err
	}
	return nil
}

// storeError marks a failure to store, which ends the run, unlike a failure to
// read.
type storeError struct{ err error }

func (e *storeError) Error() string { return e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }

func stored(err error) error {
	if err == nil {
		return nil
	}
	return &storeError{err}
}

func (p *pass) previousUnreadable(err error) {
	// The previous version is an economy, not a need: everything here is read
	// anew, and what was damaged heals.
	if !errors.Is(err, store.ErrDamaged) && interruption(err) == nil {
		p.log.Warn("previous directory cannot be read; reading all of it", "err", err)
	}
}

func reasonOf(err error) tree.Reason {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return tree.ReasonPermission
	case errors.Is(err, unix.EIO), errors.Is(err, unix.ESTALE), errors.Is(err, unix.EUCLEAN), errors.Is(err, unix.ENODATA):
		return tree.ReasonInput
	case errors.Is(err, tree.ErrName):
		return tree.ReasonName
	case errors.Is(err, tree.ErrLimit):
		return tree.ReasonLimit
	case errors.Is(err, errFlux):
		return tree.ReasonFlux
	}
	return tree.ReasonOther
}

func detailOf(err error) string {
	return strings.ToValidUTF8(shorten(err.Error()), "?")
}

func shorten(text string) string { return text[:min(len(text), 200)] }

func base(rel string) string {
	return rel[strings.LastIndexByte(rel, '/')+1:]
}

// storeMissed puts the missed paths into the manifest: a few in it, the rest in
// chunks of their own.
func (p *pass) storeMissed(ctx context.Context, m *tree.Snapshot) error {
	all, count := p.missed.sorted()
	m.MissedCount = count
	n := min(len(all), tree.MaxMissedInline)
	m.Missed = all[:n]
	for rest := all[n:]; len(rest) > 0; {
		page := tree.MissedPage{Missed: rest[:missedPage(rest)]}
		rest = rest[len(page.Missed):]
		b, err := page.Marshal()
		if err != nil {
			return err
		}
		var id crypto.ChunkID
		if id, _, err = p.writer.Put(ctx, pack.Blob, b); err != nil {
			return err
		}
		m.MissedList = append(m.MissedList, tree.Extent{Length: uint64(len(b)), Chunk: id})
	}
	return nil
}

// missedPage returns how many of some missed paths go into one chunk: so many
// that with the longest path behind them they still fit.
func missedPage(some []tree.Missed) (n int) {
	for size := 0; n < min(len(some), 2000) && size < tree.MaxChunk/2; n++ {
		size += len(some[n].Path) + len(some[n].Detail)
	}
	return n
}
