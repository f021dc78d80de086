package capture

import "sync"

// maxTwins bounds the multiply linked files that are remembered. Beyond it a
// further name is read again, and its chunks are found to be known.
const maxTwins = 64 << 10

// twins remembers the multiply linked files that are being read, so that each
// inode is read once however many names it has.
type twins struct {
	mu    sync.Mutex
	known map[identity]twin
}

type twin struct {
	listed stat
	out    *pending
}

func newTwins() *twins { return &twins{known: map[identity]twin{}} }

// find returns the capture of another name of the same, unchanged file.
func (t *twins) find(s stat) *pending {
	if s.links < 2 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if k, ok := t.known[s.identity()]; ok && k.listed == s {
		return k.out
	}
	return nil
}

func (t *twins) add(s stat, out *pending) {
	if s.links < 2 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.known) < maxTwins {
		t.known[s.identity()] = twin{s, out}
	}
}
