package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"keepsake/chunking"
	"keepsake/store"
	"keepsake/store/tree"
)

// Output is a file of the snapshot that a command prints.
type Output struct {
	// Name is the file's path below the root, with slashes.
	Name string
	// Write has the command write what it prints. An error says that it failed,
	// whatever it wrote before, in words that the snapshot may keep; none says
	// that it wrote all.
	Write func(ctx context.Context, w io.Writer) error
	// MinShare is the share of the last good size that the output has to reach;
	// 0 is any.
	MinShare float64
	// Accepted is a size that a person found to be right although it was too
	// short: this is measured against it, instead of the last good one. 0: none.
	Accepted uint64
	// MayBeEmpty says that printing nothing is no failure.
	MayBeEmpty bool
}

// shortSuffix names an output of a command that did not fail, and yet printed
// much less than before. It may be all there is: thrown away it could not be
// looked at, in the place of the last good one it would pass for as good.
const shortSuffix = ".short"

// maxOutputName bounds the path of an output: it is a name that a person chose.
const maxOutputName = 1024

var errNothing = errors.New("it printed nothing")

// Outputs takes a snapshot of what commands print: its root is a directory that
// exists in the snapshot alone, with a file for each output. The commands run
// one after the other, in the order given, and what they print is cut and
// stored as it comes.
//
// An output is good if its command did not fail and printed enough. Any other
// is missed, and the file keeps its previous version; without one it is absent.
// Nothing is kept of what a failed command printed. An output that is merely
// too short is kept beside, under the name NAME.short and flagged as torn: who
// finds it to be right accepts its size, which ShortOutputs tells.
//
// A file is as old as the first run that printed the same.
//
// Of the options, those that are about a directory are not heeded. After a
// prune in the middle the commands run again. A dry run runs none.
func Outputs(ctx context.Context, options Options, outputs []Output) (*Result, error) {
	if err := checkOutputs(outputs); err != nil {
		return nil, err
	}
	o := options
	o.outputs, o.Path, o.Require, o.Dirty, o.Suspect, o.InFlux = outputs, nil, nil, nil, nil, nil
	return Run(ctx, o)
}

// checkOutputs refuses names that cannot be files of one snapshot.
func checkOutputs(outputs []Output) error {
	if len(outputs) == 0 {
		return errors.New("no command is given whose output could be kept")
	}
	known := map[string]bool{}
	for _, o := range outputs {
		switch {
		case !filepath.IsLocal(o.Name) || path.Clean(o.Name) != o.Name || o.Name == "." || len(o.Name) > maxOutputName:
			return fmt.Errorf("output %q: its name is no path below the source's root", o.Name)
		case known[o.Name]:
			return fmt.Errorf("output %q is given twice", o.Name)
		case o.Write == nil:
			return fmt.Errorf("output %q has no command", o.Name)
		case !(o.MinShare >= 0) || math.IsInf(o.MinShare, 0):
			return fmt.Errorf("output %q: a share of %v", o.Name, o.MinShare)
		}
		for element := range strings.SplitSeq(o.Name, "/") {
			if err := tree.ValidateName([]byte(element)); err != nil {
				return fmt.Errorf("output %q: %w", o.Name, err)
			}
		}
		known[o.Name] = true
	}
	for name := range known {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if known[dir] {
				return fmt.Errorf("output %q would be a file and a directory", dir)
			}
		}
	}
	return nil
}

// runOutputs is run for commands: it makes the root's node. It joins the
// goroutines that it starts.
func (p *pass) runOutputs(ctx context.Context, previous *tree.Node) (*tree.Node, error) {
	ctx, cancel := context.WithCancel(ctx)
	readers, err := p.newReaders()
	if err != nil {
		cancel()
		return nil, err
	}
	var work sync.WaitGroup
	for range readers {
		work.Go(func() {
			for c := range p.pieces {
				c.store()
			}
		})
	}
	defer func() {
		cancel()
		close(p.pieces)
		work.Wait()
	}()
	made := &synthetic{}
	for _, o := range p.options.outputs {
		if err := p.output(ctx, readers[0], o, previous, made); err != nil {
			return nil, err
		}
	}
	return p.makeDirectory(ctx, "", made, previous)
}

// output runs one command and decides what its file is. Its error is the run's.
func (p *pass) output(ctx context.Context, r *fileReader, o Output, root *tree.Node, made *synthetic) error {
	before, err := p.printedBefore(ctx, root, o.Name)
	if err != nil {
		return err
	}
	if p.options.DryRun {
		var size uint64
		if before != nil {
			size = before.Size // the best guess there is
		}
		p.progress.wouldRead(size, before)
		return nil
	}
	n, failure, err := p.print(ctx, r, o)
	if err != nil {
		return err
	}
	measure := o.Accepted
	if measure == 0 && before != nil {
		measure = before.Size
	}
	switch {
	case failure != nil:
	case n.Size == 0 && !o.MayBeEmpty:
		failure = errNothing
	case n.Size > 0 && before != nil && float64(n.Size) < o.MinShare*float64(measure):
		failure = fmt.Errorf("it printed %d bytes, less than %.3g %% of the %d bytes before; look at %s, keepsake ack accepts it",
			n.Size, 100*o.MinShare, measure, base(o.Name)+shortSuffix)
		if err := p.keepShort(ctx, root, o.Name+shortSuffix, n, made); err != nil {
			return err
		}
	}
	if failure != nil {
		p.miss(o.Name, tree.ReasonCommand, failure)
		if before != nil {
			made.add(o.Name, kept(before))
		}
		return nil
	}
	asOldAs(n, before)
	p.progress.settled(n, before)
	made.add(o.Name, n)
	return nil
}

// keepShort keeps an output that is too short, unless another output has that
// name.
func (p *pass) keepShort(ctx context.Context, root *tree.Node, name string, n *tree.Node, made *synthetic) error {
	if p.options.names(name) {
		return nil
	}
	before, err := p.printedBefore(ctx, root, name)
	if err != nil {
		return err
	}
	asOldAs(n, before)
	n.Flags |= tree.Torn
	made.add(name, n)
	return nil
}

// names reports whether an output has a name.
func (o *Options) names(name string) bool {
	for i := range o.outputs {
		if known := o.outputs[i].Name; known == name || strings.HasPrefix(known, name+"/") {
			return true
		}
	}
	return false
}

// ShortOutput is what a command printed that was too short to be kept as good.
type ShortOutput struct {
	Name string // of the output
	Size uint64
}

// ShortOutputs returns what a snapshot of commands keeps beside their outputs
// for being too short.
func ShortOutputs(ctx context.Context, r *store.Repository, s *store.Snapshot) (all []ShortOutput, err error) {
	if len(s.RootPath) > 0 {
		return nil, nil // of a directory, whose files have any names
	}
	for _, m := range s.Missed {
		if m.Reason != tree.ReasonCommand || len(m.Path) == 0 {
			continue
		}
		n, err := r.Resolve(ctx, &s.Root, string(m.Path)+shortSuffix)
		switch {
		case errors.Is(err, fs.ErrNotExist): // it failed otherwise
		case err != nil:
			return nil, err
		case n.Type == tree.File && n.Flags&tree.Torn != 0:
			all = append(all, ShortOutput{string(m.Path), n.Size})
		}
	}
	return all, nil
}

// printedBefore returns the previous version of an output, or nil.
func (p *pass) printedBefore(ctx context.Context, root *tree.Node, name string) (*tree.Node, error) {
	if root == nil {
		return nil, nil
	}
	n, err := p.repository.Resolve(ctx, root, name)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		p.previousUnreadable(err)
		return nil, nil
	case n.Type != tree.File:
		return nil, nil
	}
	return n, nil
}

// asOldAs gives an output the times of a previous version with the same content.
func asOldAs(n, before *tree.Node) {
	if before != nil && n.Size == before.Size && n.SHA256 != nil && before.SHA256 != nil && *n.SHA256 == *before.SHA256 {
		n.MTime, n.CTime, n.Captured = before.MTime, before.CTime, before.Captured
	}
}

// print has a command print into the repository. failure is the command's, err
// the run's.
func (p *pass) print(ctx context.Context, r *fileReader, o Output) (n *tree.Node, failure, err error) {
	printing, stop := context.WithCancel(ctx)
	defer stop()
	from, to := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := o.Write(printing, to)
		_ = to.CloseWithError(err) // always nil; the reader sees the end, or err
		ended <- err
	}()
	n = p.ownNode(tree.File, 0o600)
	err = r.stream(ctx, from, n)
	if err != nil {
		stop()
		_ = from.CloseWithError(err) // always nil; further writes fail with err
	}
	failure = <-ended
	n.MTime = tree.TimeOf(p.now())
	n.CTime, n.Captured = n.MTime, n.MTime
	switch {
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case errors.As(err, new(*storeError)):
		return nil, nil, err
	case failure == nil:
		failure = err
	}
	return n, failure, nil
}

// stream reads the content of a node from what cannot be read twice and has no
// size yet.
func (r *fileReader) stream(ctx context.Context, from io.Reader, n *tree.Node) error {
	var head [64]byte // any kind is known by less
	got, err := io.ReadFull(from, head[:])
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), err == io.EOF:
		from = bytes.NewReader(nil) // an end is not asked for twice
	case err != nil:
		return err
	}
	r.sum.Reset()
	to := newPipeline(ctx, r.p, r.sum)
	_, err = r.chunks(ctx, io.MultiReader(bytes.NewReader(head[:got]), from), 0, chunking.PageEdited(head[:got]), to)
	// Closed in any case: chunks may be on their way.
	return errors.Join(err, to.close(n))
}

// ownNode is the node of something that exists in the snapshot alone: it
// belongs to who runs keepsake.
func (p *pass) ownNode(typ tree.Type, mode uint32) *tree.Node {
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	return &tree.Node{
		Type: typ, Mode: mode, UID: uid, GID: gid, User: p.owners.user(uid), Group: p.owners.group(gid), Links: 1,
	}
}
