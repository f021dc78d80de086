package torture

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// hardLinks makes inodes with several names: in one directory, across directories, and of other things than files.
func (b *builder) hardLinks() {
	b.dir("links", 0o755)
	b.dir("links/a", 0o755)
	b.dir("links/b", 0o755)
	b.file("links/first", noise("links/first", 100*kib))
	b.link("links/first", "links/second")
	b.link("links/first", "links/a/third")
	b.link("links/first", "links/b/fourth")
	// The later name in the walk was made first, and a file of the same contents is linked to nothing.
	b.file("links/b/zulu", []byte("one inode"))
	b.link("links/b/zulu", "links/a/alpha")
	b.file("links/a/equal but separate", []byte("one inode"))
	b.file("links/empty", nil)
	b.link("links/empty", "links/b/empty")
	b.symlink("first", "links/symlink")
	b.link("links/symlink", "links/a/same symlink")
	b.node("links/fifo", unix.S_IFIFO|0o600, 0, "FIFO")
	b.link("links/fifo", "links/b/same fifo")
	for i := range 100 {
		b.link("links/b/zulu", "links/b/many"+string(rune('0'+i/10))+string(rune('0'+i%10)))
	}
}

// link makes a second name for an entry, if the first exists.
func (b *builder) link(old, rel string) {
	if b.err != nil {
		return
	}
	if _, err := os.Lstat(b.path(old)); err != nil {
		b.try(rel, "hard link", err)
		return
	}
	if err := os.Link(b.path(old), b.path(rel)); b.try(rel, "hard link", err) {
		b.made(rel, nil)
	}
}

// symlinks makes links to everything that a link can name. None of them may ever be followed.
func (b *builder) symlinks() {
	b.dir("symlinks", 0o755)
	b.dir("symlinks/directory", 0o755)
	b.file("symlinks/directory/file", []byte("reached through a link"))
	b.symlink("nowhere", "symlinks/dangling")
	b.symlink("/etc/passwd", "symlinks/absolute")
	b.symlink("directory", "symlinks/to a directory")
	b.symlink("directory/", "symlinks/to a directory with a slash")
	b.symlink("directory/file", "symlinks/to a file")
	b.symlink("../../../../../../../../etc", "symlinks/out of the tree")
	b.symlink("loop", "symlinks/loop")
	b.symlink(".", "symlinks/dot")
	b.symlink("..", "symlinks/dots")
	b.symlink("not\nUTF-8 \xff\xfe", "symlinks/hard target")
	b.symlink("a//b/./c/../d", "symlinks/not clean")
	b.symlink(strings.Repeat("long/", 40), "symlinks/200 bytes")
	// The kernel's limit is one byte less than a path's 4,096; some file systems hold fewer.
	if b.err == nil {
		err := os.Symlink(strings.Repeat("x/", 2047)+"x", b.path("symlinks/4095 bytes"))
		if b.try("symlinks/4095 bytes", "symlink of 4095 bytes", err) {
			b.made("symlinks/4095 bytes", nil)
		}
	}
}

func (b *builder) symlink(target, rel string) {
	if b.err != nil {
		return
	}
	b.made(rel, os.Symlink(target, b.path(rel)))
}
