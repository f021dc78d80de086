package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A name of a file with several is not removed before it has been there for so
// long. What is written through a name that came and went between two looks
// concerns other names in directories of which no event tells; the daily scan is
// for that, and not what is tested here.
const linkRest = time.Minute

// steadyFiles lie in a directory that nobody touches.
const steadyFiles = 20

// weather is a tree of directories and the writers that work in it. Each file
// belongs to one writer, so that nobody spoils another's; directories are
// everybody's.
type weather struct {
	t      *testing.T
	plan   stormPlan
	root   string
	seed   uint64
	began  time.Time
	hush   chan struct{} // closed when the writers are to stop
	work   sync.WaitGroup
	number atomic.Uint64 // for names and versions that nobody else has
	ops    [opKinds]atomic.Uint64
	misses atomic.Uint64 // operations that found another writer had moved or deleted their directory

	// excused are contents, by digest, at which a writer was held up by the
	// machine for about the settle time: whoever looks then finds a file at rest.
	excused sync.Map

	mu      sync.Mutex
	tops    []*folder // stay where they are; guarded by mu like all folders
	folders []*folder // are moved about
}

// folder is a directory.
type folder struct {
	parent *folder // nil for the root
	name   string
	gone   bool
	linked time.Time // when a further name of a file was put into it last
}

type op int

const (
	opCreate op = iota
	opOverwrite
	opTruncate
	opAppend
	opReplace
	opMove
	opLink
	opDelete
	opChmod
	opSymlink
	opMoveDir
	opMakeDir
	opDeleteDir
	opKinds
)

var opNames = [opKinds]string{
	"created", "overwritten", "rewritten", "appended to", "replaced", "moved", "linked", "deleted", "chmodded", "symlinked",
	"directories moved", "directories made", "directories deleted",
}

// odds are shares of the operations, in thousandths.
var odds = [opKinds]int{150, 180, 80, 150, 130, 80, 60, 110, 25, 10, 15, 7, 3}

// newWeather makes a tree with its files.
func newWeather(t *testing.T, root string, plan stormPlan) *weather {
	t.Helper()
	w := &weather{t: t, plan: plan, root: root, seed: stormSeed(t), hush: make(chan struct{})}
	tops := max(4, plan.dirs/250)
	for i := range plan.dirs {
		p := &folder{name: fmt.Sprintf("d%d", i)}
		if i >= tops {
			// A fifth of the rest holds the other ones: moving one moves those below.
			inner := tops + (plan.dirs-tops)/5
			if p.parent = w.tops[i%tops]; i >= inner {
				p.parent = w.folders[i%(inner-tops)]
			}
			w.folders = append(w.folders, p)
		} else {
			w.tops = append(w.tops, p)
		}
		check(t, os.MkdirAll(w.path(p), 0o755))
	}
	for i := range steadyFiles {
		writeFile(t, filepath.Join(root, "steady", fmt.Sprintf("%d.dat", i)), record(nil, w.number.Add(1), 1000))
	}
	return w
}

func (w *weather) path(p *folder, name ...string) string {
	var parts []string
	for ; p != nil; p = p.parent {
		parts = append([]string{p.name}, parts...)
	}
	return strings.Join(append(append([]string{w.root}, parts...), name...), "/")
}

// writers makes them, with the files that are there before the storm.
func (w *weather) writers() []*writer {
	w.t.Helper()
	all := make([]*writer, w.plan.writers)
	var work sync.WaitGroup
	for i := range all {
		all[i] = &writer{weather: w, id: i, r: rand.New(rand.NewPCG(w.seed, uint64(i)))}
		work.Go(func() {
			for range w.plan.files / w.plan.writers {
				all[i].do(opCreate, false)
				if !w.plan.single && all[i].r.IntN(20) == 0 {
					all[i].do(opLink, false)
				}
			}
			for _, p := range all[i].papers {
				p.made = p.made.Add(-linkRest) // long ago, as the storm sees it
			}
		})
	}
	work.Wait()
	for _, p := range append(w.tops, w.folders...) {
		p.linked = time.Time{}
	}
	for i := range w.ops {
		w.ops[i].Store(0)
	}
	return all
}

// blow lets writers loose until calm.
func (w *weather) blow(all []*writer) {
	w.began = time.Now()
	for _, x := range all {
		w.work.Go(func() {
			for {
				select {
				case <-w.hush:
					return
				case <-time.After(time.Duration(x.r.Int64N(int64(2 * w.plan.pause)))):
				}
				x.do(x.choose(), true)
			}
		})
	}
}

// calm ends the storm.
func (w *weather) calm() {
	select {
	case <-w.hush:
	default:
		close(w.hush)
	}
	w.work.Wait()
}

// choose picks an operation. The number of files stays about what was planned.
func (x *writer) choose() op {
	n := x.r.IntN(1000)
	for kind := range opKinds {
		if n -= odds[kind]; n >= 0 {
			continue
		}
		if enough := x.plan.files / x.plan.writers; kind == opDelete && len(x.papers) < enough*9/10 || len(x.papers) == 0 {
			return opCreate
		} else if kind == opCreate && len(x.papers) > enough*11/10 {
			return opDelete
		}
		if kind == opLink && !x.links() {
			return opAppend
		}
		return kind
	}
	panic("storm: odds that are no thousand")
}

// links reports whether it is time for hard links. No event tells where the other
// names of a file are that had one until now, so each link has everything
// scanned. In between it is events that have to tell all.
func (x *writer) links() bool {
	return !x.plan.single && time.Since(x.began)%x.plan.lasts < x.plan.lasts/5
}

// below reports whether a directory is another one or lies in it.
func (p *folder) below(other *folder) bool {
	for ; p != nil; p = p.parent {
		if p == other {
			return true
		}
	}
	return false
}

func (p *folder) depth() (n int) {
	for ; p != nil; p = p.parent {
		n++
	}
	return n
}

// tally says what the writers did.
func (w *weather) tally() string {
	var parts []string
	total := uint64(0)
	for kind := range opKinds {
		n := w.ops[kind].Load()
		total += n
		parts = append(parts, fmt.Sprintf("%d %s", n, opNames[kind]))
	}
	excused := 0
	w.excused.Range(func(any, any) bool { excused++; return true })
	return fmt.Sprintf("%d operations (%s; %d came to nothing; %d half-written states lasted as long as the settle time)", total, strings.Join(parts, ", "), w.misses.Load(), excused)
}
