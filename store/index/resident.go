package index

import (
	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// lookupsResident is how many lookups may leave their pages in this process. A
// lookup touches a page or two that no other has touched, and the kernel maps
// the 64 KiB around each: a walk over a million files would have the whole
// index resident, which is a hundred MiB. 256 lookups are 16 MiB.
const lookupsResident = 256

// trim lets go of the pages of the index every so many lookups. They stay in
// the kernel's cache, from where the next lookup has them back in a microsecond.
// tx keeps the mapping where it is.
func (d *DB) trim(tx *bbolt.Tx) {
	if d.lookups.Add(1)%lookupsResident != 0 {
		return
	}
	// The mapping is of a file and only read, so nothing is lost. An error
	// would leave the pages where they are.
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, tx.DB().Info().Data, uintptr(tx.Size()), unix.MADV_DONTNEED)
}
