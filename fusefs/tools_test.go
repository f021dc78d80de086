package fusefs_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"keepsake/packaging/torture"
	"keepsake/store/storetest"
)

// said is what a tool is asked in the original tree and in the mount, and must
// answer alike. What a mount cannot say, as doc.go has it, is cut out in the
// script itself, for both.
type said struct {
	tool, script string
	packed       bool // only where a file takes the blocks of its data and no more
}

// everything is all names below, the root included, in one order everywhere.
const everything = `find . -print0 | sort -z | `

var toolsSay = []said{
	{tool: "stat", script: everything + `xargs -0 stat --printf '%N|%F|%a|%u|%g|%U|%G|%h|%t,%T|%y|%z\n'`},
	{tool: "stat", script: `find . ! -type d -print0 | sort -z | xargs -0 stat --printf '%N|%s|%o\n'`},
	{tool: "stat", script: everything + `xargs -0 stat --printf '%N|%w\n'`}, // birth, by statx(2)
	{tool: "stat", script: `stat -f --printf '%l|%s|%S\n' .`},
	{tool: "ls", script: `ls -lnRAQ --time-style=full-iso | sed -E 's/^total .*//; s/^(d[^ ]+ +[0-9]+ +[^ ]+ +[^ ]+) +[0-9]+ /\1 /' | tr -s ' '`},
	{tool: "ls", script: `ls -lRAQ --time=ctime --time-style=full-iso names links owners | sed -E 's/^total .*//; s/^(d[^ ]+ +[0-9]+ +[^ ]+ +[^ ]+) +[0-9]+ /\1 /' | tr -s ' '`},
	{tool: "getfattr", script: `getfattr -R -P -h -d -m - -e hex . | sort`},
	{tool: "getfattr", script: `getfattr -P -h -n user.com.apple.FinderInfo --only-values xattrs/user; getfattr -h -n user.none xattrs/user 2>&1`},
	{tool: "getfacl", script: `getfacl -R -P -n -p . | sort`},
	{tool: "getfacl", script: `getfacl -d acls/heirs; getfacl -a acls/both`},
	{tool: "find", script: `find links -samefile links/b/zulu | sort; find . -samefile links/symlink | sort`},
	{tool: "find", script: `find . -links +1 ! -type d -printf '%p %n\n' | sort; find . -links 1 -type f | sort | sha256sum`},
	{tool: "find", script: `find . \( -perm /7000 -o -empty -o -size +1M -o -nouser -o -newermt 2030-01-01 -o -type p,s,b,c \) ! -type d -printf '%p %y %m\n' | sort`},
	{tool: "find", script: `find . -type l -printf '%p -> %l (%s)\n' | sort`},
	// What a symlink out of the tree leads to depends on where the tree lies.
	{tool: "find", script: `find . -type l ! -lname '*../../../*' -printf '%p leads to %Y\n' | sort`},
	{tool: "find", script: `find . -type d -empty | sort; find . -maxdepth 1 -type d -printf '%p %n\n' | sort`},
	{tool: "du", script: `find . ! -type d -print0 | sort -z | du -l --apparent-size -B1 --files0-from=- -0 | tr '\0' '\n'`},
	{tool: "du", script: `find . -type f -print0 | sort -z | du -l -B1 --files0-from=- -0 | tr '\0' '\n'`, packed: true},
	{tool: "du", script: `find . -type f -print0 | du -c -B1 --files0-from=- -0 | tail -zn1`, packed: true},
	{tool: "sha256sum", script: `find . -type f -print0 | sort -z | xargs -0 sha256sum -z`},
	{tool: "dd", script: `for f in sizes/* sparse/*; do dd if="$f" iflag=direct bs=12k status=none | sha256sum; done`},
	{tool: "tail", script: `for f in sizes/*; do tail -c 4097 "$f" | sha256sum; done`},
	{tool: "readlink", script: `find . -type l -print0 | sort -z | xargs -0 readlink -z | tr '\0' '\n'; (cd symlinks && readlink -f to* | sed "s|^$PWD/||")`},
	{tool: "cat", script: `cat names/* >/dev/null 2>&1; cat < names/-rf; cat 'modes/directory 0000/inside' 'modes/file 0000'; cat symlinks/loop names/missing "names/$(printf %0256d)" 2>&1`},
	{tool: "ls", script: `cd names && ls -dQ -- -rf --help 2026* @GMT* latest "$(printf '\n')" $'new\nline' $'\xff\xfe not UTF-8' 'back\slash' x* 2>&1`},
	{tool: "getcap", script: `getcap -r .`},
}

// digests compares what the view says a file's digest is with what it is.
var digests = said{tool: "getfattr", script: `find sizes sparse -type f -print0 | while IFS= read -rd '' f; do
	sum=$(sha256sum < "$f") && [ "$(getfattr --only-values -n user.keepsake.sha256 -- "$f")" = "${sum%% *}" ] && echo same || echo "other: $f"
done | sort -u`}

// toolsCopy are the ways to copy a tree out. $FROM is the tree, $TO an empty
// directory. holes says that they land where they were.
var toolsCopy = []struct {
	tool, script string
	holes        bool
	lost         []string // what the tool leaves behind, of any tree
}{
	{tool: "cp", script: `cp -a --sparse=auto "$FROM/." "$TO"`, holes: true},
	{tool: "tar", script: `tar --acls --xattrs --xattrs-include='*' --sparse --numeric-owner -C "$FROM" -cf - . 2>/dev/null | tar --acls --xattrs --xattrs-include='*' --numeric-owner -p -C "$TO" -xf - 2>&1`, holes: true, lost: []string{"special/socket", "links/fifo"}},
	{tool: "rsync", script: `rsync -aHAXS --numeric-ids "$FROM/" "$TO/" 2>&1`},
}

// TestTools asks the tools that people use what the original tree is and what
// the mount of it is.
func TestTools(t *testing.T) {
	places := map[string]bool{"in memory": true}
	if os.Geteuid() != 0 || os.Getenv("KEEPSAKE_LONG") != "" {
		places["on disk"] = false // where TestTorture looks always
	}
	for name, packed := range places {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "torture")
			if packed {
				inMemory(t, dir)
			}
			view := tortured(t, dir, torture.Options{})
			for _, line := range torture.Compare(dir, view, torture.CompareOptions{Holes: true}) {
				t.Error(line)
			}
			for _, s := range toolsSay {
				if s.packed && !packed {
					continue // a disk adds what it needs for itself
				}
				was, is := ask(t, dir, s), ask(t, view, s)
				if was != is {
					t.Errorf("%s says something else: %s\n%s", s.tool, s.script, firstDifference(was, is))
				} else if was == "" {
					t.Errorf("%s says nothing: %s", s.tool, s.script)
				}
			}
			if odd := ask(t, view, digests); odd != "same\n" {
				t.Errorf("digests by name: %s", odd)
			}
			if packed {
				copyOut(t, dir, view)
			}
		})
	}
}

// copyOut copies the tree out of the mount with every tool, and compares.
func copyOut(t *testing.T, dir, view string) {
	for _, c := range toolsCopy {
		if !have(t, c.tool) {
			continue
		}
		to := filepath.Join(t.TempDir(), "copy")
		inMemory(t, to)
		cmd := exec.CommandContext(t.Context(), "timeout", "100", "bash", "-o", "pipefail", "-c", c.script)
		cmd.Env = append(os.Environ(), "FROM="+view, "TO="+to, "LC_ALL=C")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", c.tool, err, out)
		}
		skip := func(rel string) bool { return slices.Contains(c.lost, rel) }
		for _, line := range torture.Compare(dir, to, torture.CompareOptions{Holes: c.holes, Skip: skip}) {
			t.Errorf("%s: %s", c.tool, line)
		}
	}
}

// tortured builds the tree in dir, backs it up, and returns where it is in a mount.
func tortured(t *testing.T, dir string, o torture.Options) string {
	t.Helper()
	needFUSE(t)
	omitted, err := torture.Build(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range omitted {
		t.Logf("not in the tree here: %v", o)
	}
	r := storetest.New(t).Open(t)
	if s := back(t, r, dir, "torture", nil); s.MissedCount > 0 {
		t.Errorf("the backup missed %d paths: %v", s.MissedCount, s.Missed)
	}
	return mount(t, r, nil).path("latest", "torture") + "/."
}

// inMemory puts a file system at dir that keeps attributes of any size, and
// counts as a file's blocks its data alone.
func inMemory(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can make a file system in memory")
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("keepsake-test", dir, "tmpfs", 0, "size=200m,mode=755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// have reports whether a tool is installed, and says aloud if it is not.
func have(t *testing.T, tool string) bool {
	t.Helper()
	_, err := exec.LookPath(tool)
	if err != nil {
		t.Logf("not run: %s is not installed here", tool)
	}
	return err == nil
}

// ask returns what a tool says in a directory, its exit code included.
func ask(t *testing.T, dir string, s said) string {
	t.Helper()
	if !have(t, s.tool) {
		return "not installed"
	}
	// The shell goes there by itself: Go stands still while it starts a program,
	// until that is in its directory, and the mount with it.
	cmd := exec.CommandContext(t.Context(), "timeout", "100", "bash", "-o", "pipefail", "-c", `cd -P "$0" || exit; `+s.script, dir)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if errs.Len() > 0 {
		t.Logf("%s: %s", s.tool, strings.TrimSpace(errs.String()))
	}
	if err != nil {
		return fmt.Sprintf("%s%v\n", out, err)
	}
	return string(out)
}

// firstDifference shows where two texts part.
func firstDifference(was, is string) string {
	a, b := strings.Split(was, "\n"), strings.Split(is, "\n")
	var text strings.Builder
	shown := 0
	for i := 0; i < max(len(a), len(b)) && shown < 10; i++ {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			fmt.Fprintf(&text, "line %d: %.300q\n   became %.300q\n", i+1, x, y)
			shown++
		}
	}
	return text.String()
}
