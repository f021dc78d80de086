package fusefs_test

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"keepsake/fusefs/reference"
)

// mountReference mounts the reference until the benchmark ends and returns the path of its file.
func mountReference(b *testing.B, size uint64) string {
	b.Helper()
	needFUSE(b)
	dir := b.TempDir()
	server, err := reference.Mount(dir, size)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := server.Unmount(); err != nil {
			b.Error(err)
			_ = unix.Unmount(dir, unix.MNT_DETACH|unix.MNT_FORCE)
		}
	})
	return filepath.Join(dir, reference.File)
}
