package torture

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// hardNames are names that programs have stumbled over. All of them are allowed by the kernel.
var hardNames = []string{
	"new\nline", "tab\tbed", "carriage\rreturn", "bell\a", "escape \x1b[31mred", "delete\x7f",
	"\xff\xfe not UTF-8", "latin1 caf\xe9", "cut short \xe2\x82", "surrogate \xed\xa0\x80", "over long \xc0\xaf",
	"caf\u00e9 composed", "cafe\u0301 decomposed", "日本語.jpg", "📷.raw", "right to left \u202e gpj.exe", "zero\u200bwidth", "\ufeffbyte order mark",
	" leading", "trailing ", "trailing dot.", " ", "...", ".hidden", "-rf", "--help", "~", "#", "a:b", "C:\\file", `back\slash`,
	`"quoted"`, "it's", "`command`", "$HOME", "%s%n", "*", "?", "[a-z]", "{a,b}", "!", "|", ";", "&", "<>", "=", "@GMT-2026.11.21-14.05.33",
	"CON", "con", "Con", "NUL.txt", "Thumbs.db", "lost+found", "latest", "snapshots", "previous", "versions", "README.txt", "config",
	"2026-11-21T15-05-33+0100", "2026-11-21T15-05-33+0100-0123abcd",
}

// names makes one file for each name, and directories and symlinks for the worst of them.
func (b *builder) names() {
	b.dir("names", 0o755)
	for _, name := range hardNames {
		b.name("names/" + name)
	}
	// 255 bytes is the longest name; a temporary name derived from it by appending would be too long.
	b.name("names/" + strings.Repeat("x", 255))
	b.name("names/" + strings.Repeat("y", 251) + ".jpg")
	b.name("names/" + strings.Repeat("é", 127) + "z")
	b.name("names/" + strings.Repeat("\xfe", 255))

	long := "names/" + strings.Repeat("d", 255)
	b.dir(long, 0o755)
	b.dir(long+"/\n", 0o755)
	b.file(long+"/\n/\xff", []byte("a file below hard names"))
	b.symlink("a target\nwith \xff bytes", long+"/link \xfe\n")

	// An order that differs between bytes, letters and paths: "order/" sorts between "order." and "order0".
	for _, name := range []string{"order!", "order.", "order0", "ORDER", "order-"} {
		b.name("names/" + name)
	}
	b.dir("names/order", 0o755)
	b.file("names/order/inside", nil)

	b.dir("names/empty directory", 0o755)
}

// name makes a file whose name the file system may refuse, as those of other systems do.
func (b *builder) name(rel string) {
	if b.err != nil {
		return
	}
	before := len(b.entries)
	b.file(rel, []byte("contents of "+rel))
	if b.err != nil && len(b.entries) == before && !errors.Is(b.err, unix.ENOSPC) {
		err := b.err
		b.err = nil
		b.try(rel, fmt.Sprintf("file of that name (%d bytes)", len(rel)-len("names/")), err)
	}
}
