package capture

import (
	"time"

	"golang.org/x/sys/unix"
)

// A program that writes through a map moves a file's times when it first
// touches a folio, and then no more until that was written back: the kernel
// write-protects it for that, and notes the next store. By default that happens
// every half minute; recentChange leaves it twice as long.
const recentChange = time.Minute

// recent reports whether a file changed so recently that stores to it may have
// left its times alone.
func recent(s stat) bool {
	edge := kernelTime(-recentChange)
	return s.mtime.Compare(edge) >= 0 || s.ctime.Compare(edge) >= 0
}

// settlePages has what was written to a file so far written back, if it changed
// recently. Whatever is stored through a map from then on moves its times, which
// the look after the read finds. It comes after the look before the read: what
// is stored in between is read, and moves the times as well or was there.
//
// tmpfs writes nothing back, and notes the first store to a page alone: a file
// that somebody keeps mapped there may be read while it is written, and nothing
// of it shows that (but see restMapped).
func settlePages(fd int, s stat) {
	if !recent(s) {
		return
	}
	// File systems that cannot do it are no worse off than before.
	_ = retry(func() error { return unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE_AND_WAIT) })
}
