package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"time"
)

// writer is one of those who work in the tree.
type writer struct {
	*weather
	id     int
	r      *rand.Rand
	papers []*paper
}

// paper is a name of a file, known to its writer.
type paper struct {
	at      *folder
	name    string
	made    time.Time
	several bool // there are, or were, further names
}

// do carries out one operation, slowly or at once. Another writer may have moved
// or deleted the directory meanwhile: then nothing comes of it.
func (x *writer) do(kind op, slowly bool) {
	err := x.attempt(kind, slowly)
	switch {
	case err == nil:
		x.ops[kind].Add(1)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errAnother):
		x.misses.Add(1)
	default:
		x.t.Errorf("writer %d: %s: %v", x.id, opNames[kind], err)
	}
}

// errAnother says that an operation found nothing to work on.
var errAnother = errors.New("another time")

func (x *writer) attempt(kind op, slowly bool) error {
	switch kind {
	case opCreate:
		p := x.newPaper(".dat")
		return x.write(p, os.O_CREATE|os.O_EXCL|os.O_WRONLY, slowly)
	case opMakeDir, opMoveDir, opDeleteDir:
		return x.directory(kind)
	case opSymlink:
		p := x.newPaper(".lnk")
		return os.Symlink("../"+p.name, x.find(p))
	}
	if len(x.papers) == 0 {
		return errAnother
	}
	i := x.r.IntN(len(x.papers))
	p := x.papers[i]
	if x.gone(p) {
		x.forget(i)
		return errAnother
	}
	switch kind {
	case opOverwrite:
		return x.write(p, os.O_RDWR, slowly)
	case opTruncate:
		return x.write(p, os.O_WRONLY|os.O_TRUNC, slowly)
	case opAppend:
		return x.write(p, os.O_RDWR|os.O_APPEND, slowly)
	case opChmod:
		return os.Chmod(x.find(p), []fs.FileMode{0o600, 0o640, 0o644, 0o664}[x.r.IntN(4)])
	case opLink:
		return x.link(p)
	}
	if p.several && time.Since(p.made) < linkRest {
		return errAnother
	}
	switch kind {
	case opMove:
		q := x.newPaper(".dat")
		if err := os.Rename(x.find(p), x.find(q)); err != nil {
			return err
		}
		q.several = p.several
		x.papers[i] = q
		x.noteLink(q)
	case opReplace:
		q := &paper{at: p.at, name: fmt.Sprintf("tmp%d.part", x.number.Add(1))}
		if err := x.write(q, os.O_CREATE|os.O_EXCL|os.O_WRONLY, slowly); err != nil {
			return err
		}
		if err := os.Rename(x.find(q), x.find(p)); err != nil {
			return err
		}
		p.several = false
		x.papers = x.papers[:len(x.papers)-1] // q, which is p now
	case opDelete:
		if err := os.Remove(x.find(p)); err != nil {
			return err
		}
		x.forget(i)
	}
	return nil
}

func (x *writer) forget(i int) {
	last := len(x.papers) - 1
	x.papers[i] = x.papers[last]
	x.papers = x.papers[:last]
}

// newPaper is a name that nobody has had, somewhere.
func (x *writer) newPaper(suffix string) *paper {
	x.mu.Lock()
	defer x.mu.Unlock()
	at := x.folders[x.r.IntN(len(x.folders))]
	return &paper{at: at, name: fmt.Sprintf("f%d%s", x.number.Add(1), suffix), made: time.Now()}
}

// find is where a file is at this moment.
func (x *writer) find(p *paper) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.path(p.at, p.name)
}

func (x *writer) gone(p *paper) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for at := p.at; at != nil; at = at.parent {
		if at.gone {
			return true
		}
	}
	return false
}

// link gives a file a further name, mostly in another directory.
func (x *writer) link(p *paper) error {
	q := x.newPaper(".dat")
	x.noteLink(&paper{at: q.at, several: true}) // before anybody can delete the directory
	if err := os.Link(x.find(p), x.find(q)); err != nil {
		return err
	}
	// The older name is as good as new: which of the two is written through is chance.
	p.several, q.several, p.made = true, true, q.made
	x.noteLink(p)
	x.papers = append(x.papers, q)
	return nil
}

func (x *writer) noteLink(p *paper) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p.several {
		p.at.linked = time.Now()
	}
}

// write makes the next version of a file. Slowly, it takes several parts with
// pauses in between, all shorter than the settle time; what is there meanwhile
// is no version.
func (x *writer) write(p *paper, flags int, slowly bool) error {
	opened := time.Now()
	f, err := os.OpenFile(x.find(p), flags, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if flags&os.O_EXCL != 0 {
		x.papers = append(x.papers, p)
	}
	var now []byte // what the file holds
	if flags&(os.O_EXCL|os.O_TRUNC) == 0 {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		now = make([]byte, info.Size())
		if _, err := f.ReadAt(now, 0); err != nil {
			return err
		}
	}
	c := change{opened: opened, now: now, parts: 1}
	switch {
	case flags&os.O_APPEND != 0:
		if len(now) > 200_000 {
			return errAnother
		}
		c.next, c.at = record(now, x.number.Add(1), x.size()), len(now)
	case len(now) >= recordSize: // in folder, and so of the same length
		c.next = record(nil, x.number.Add(1), len(now)-recordSize)
	default:
		c.next = record(nil, x.number.Add(1), x.size())
	}
	if slowly && x.r.IntN(3) == 0 {
		c.parts = 2 + x.r.IntN(4)
	}
	return x.carryOut(c, f)
}

// size is mostly small, as sidecars are, now and then more than one chunk.
func (x *writer) size() int {
	if x.r.IntN(200) == 0 {
		return 50_000 + x.r.IntN(100_000)
	}
	return 50 + x.r.IntN(2500)
}

// change is how a file is to become its next version.
type change struct {
	opened time.Time
	now    []byte // what the file holds
	next   []byte // what is to stand at an offset
	at     int
	parts  int
}

// carryOut writes in order, part by part.
func (x *writer) carryOut(c change, f *os.File) error {
	if _, err := f.Seek(int64(c.at), io.SeekStart); err != nil {
		return err
	}
	last := c.opened
	for i := range c.parts {
		part := c.next[i*len(c.next)/c.parts : (i+1)*len(c.next)/c.parts]
		if i > 0 {
			time.Sleep(x.breath())
		}
		// The file is stamped when a write begins, and a write may take its time.
		begun := time.Now()
		if _, err := f.Write(part); err != nil {
			return err
		}
		// A file that was like this for so long has been at rest, as far as
		// anybody can know.
		if held := time.Since(last); held > x.plan.settle*3/4 && whole(c.now) != nil {
			x.excused.Store(sha256.Sum256(c.now), true)
		}
		last = begun
		after := min(len(c.now), c.at+len(part))
		c.now = slices.Concat(c.now[:c.at], part, c.now[after:])
		c.at += len(part)
	}
	return nil
}

// breath is a pause within a file: mostly as short as a disk makes, now and then
// as long as a program makes that thinks.
func (x *writer) breath() time.Duration {
	if x.r.IntN(10) == 0 {
		return time.Duration(x.r.Int64N(int64(x.plan.settle / 4)))
	}
	return time.Duration(x.r.Int64N(int64(20 * time.Millisecond)))
}

// directory moves, makes or deletes a directory with all that is in it.
func (x *writer) directory(kind op) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	top := x.tops[x.r.IntN(len(x.tops))]
	if kind == opMakeDir {
		p := &folder{parent: top, name: fmt.Sprintf("made%d", x.number.Add(1))}
		if err := os.Mkdir(x.path(p), 0o755); err != nil {
			return err
		}
		x.folders = append(x.folders, p)
		return nil
	}
	i := x.r.IntN(len(x.folders))
	p := x.folders[i]
	if kind == opMoveDir {
		moved := folder{parent: top, name: fmt.Sprintf("moved%d", x.number.Add(1))}
		if to := x.folders[x.r.IntN(len(x.folders))]; x.r.IntN(2) == 0 && !to.below(p) && to.depth() < 3 {
			moved.parent = to
		}
		if err := os.Rename(x.path(p), x.path(&moved)); err != nil {
			return err
		}
		p.parent, p.name = moved.parent, moved.name
		return nil
	}
	if len(x.folders) < x.plan.dirs*9/10 {
		return errAnother
	}
	for _, q := range x.folders {
		if q.below(p) && (q != p || time.Since(q.linked) < linkRest) {
			return errAnother // only leaves go: a branch would take a tenth of the tree with it
		}
	}
	if err := os.RemoveAll(x.path(p)); err != nil {
		return err
	}
	p.gone = true
	x.folders[i] = x.folders[len(x.folders)-1]
	x.folders = x.folders[:len(x.folders)-1]
	return nil
}
