package capture

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/crypto"
	"keepsake/store"
	"keepsake/store/tree"
)

// pass is one walk over the tree.
type pass struct {
	options    *Options
	repository *store.Repository
	writer     *store.Writer
	log        *slog.Logger
	now        func() time.Time
	progress   *Progress

	filesystems *filesystems
	owners      *owners
	missed      *missed
	unnamed     *unnamed
	dropped     *dropped
	linked      *linkRun
	pageCuts    crypto.PRF
	listCuts    crypto.PRF
	groups      crypto.PRF
	doubt       bool            // chunks of unchanged files must be looked up
	links       string          // directory of symlinks to our own open files, by descriptor
	own         map[string]bool // relative paths of keepsake's own directories
	twins       *twins
	seen        *seen
	bundleIDs   crypto.PRF
	grouped     paths           // files being captured as parts of a bundle
	fluxBundles map[string]bool // bundles below which something is changing
	// droppedBefore is what the tree that the pass walks beside left out.
	droppedBefore []tree.Dropped
	left          atomic.Int64 // files left for the next pass
	reading       atomic.Int64 // when the first file was read, Unix ns; 0 before
	mapped        mapped
	waits         atomic.Pointer[time.Time] // since when readers have been waiting for mapped files; nil before

	jobs    chan *fileJob
	pieces  chan *piece
	walkers chan struct{} // one token for each directory walked beside others
	buffers chan []byte   // free buffers of a whole chunk each
}

// Buffers of MaxChunk bytes: each core splits into one, stores one, and finds
// one waiting. They are the larger part of a run's memory.
func bufferCount() int { return 3 * runtime.GOMAXPROCS(0) }

// expired reports whether the pass reads no further file. Its time begins with
// the first file that it reads: each pass gets somewhere, however long the
// walk to that file is.
func (p *pass) expired() bool {
	now := p.now()
	if p.reading.CompareAndSwap(0, now.UnixNano()) {
		return false
	}
	return now.Sub(time.Unix(0, p.reading.Load())) > p.options.PassTime
}

func (p *pass) takeBuffer(ctx context.Context) ([]byte, error) {
	select {
	case b := <-p.buffers:
		if b == nil {
			b = make([]byte, tree.MaxChunk) // first use
		}
		return b[:0], nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pass) giveBuffer(b []byte) { p.buffers <- b[:0] }

// run walks the tree from its root and returns the root's node. It joins the
// goroutines that it starts.
func (p *pass) run(ctx context.Context, previous *tree.Node) (*tree.Node, error) {
	if p.options.outputs != nil {
		return p.runOutputs(ctx, previous)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	fd, err := retryOpen(string(p.options.Path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.options.Path, err)
	}
	s, err := statAt(fd, "")
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("%s: %w", p.options.Path, err)
	}
	again, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("%s: %w", p.options.Path, err)
	}
	readers, err := p.newReaders()
	if err != nil {
		unix.Close(fd)
		unix.Close(again)
		return nil, err
	}
	var work sync.WaitGroup
	for _, r := range readers {
		work.Go(func() {
			for j := range p.jobs {
				j.do(p, r)
			}
		})
		work.Go(func() {
			for c := range p.pieces {
				c.store()
			}
		})
	}
	root, err := p.walkDirectory(ctx, fd, "", s, previous)
	p.require(again)
	cancel()
	// Directories walked beside this one end before it does, and with them
	// all who send.
	close(p.jobs)
	close(p.pieces)
	work.Wait()
	return root, err
}

func (p *pass) newReaders() ([]*fileReader, error) {
	n := runtime.GOMAXPROCS(0)
	p.jobs = make(chan *fileJob, n)
	p.pieces = make(chan *piece, n)
	p.walkers = make(chan struct{}, 2*n)
	p.buffers = make(chan []byte, bufferCount())
	for range bufferCount() {
		p.buffers <- nil
	}
	readers := make([]*fileReader, n)
	for i := range readers {
		var err error
		if readers[i], err = p.newFileReader(); err != nil {
			return nil, err
		}
	}
	return readers, nil
}

// retryOpen opens the root itself. What it is called may be a symlink: the
// root is the directory that the person named.
func retryOpen(path string) (fd int, err error) {
	err = retry(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		return err
	})
	return fd, err
}
