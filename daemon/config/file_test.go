package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"keepsake/daemon/config"
)

// harmless says nothing that runs, runs says something that does.
const (
	harmless = "group = \"users\"\n"
	runs     = "[notify]\ncommand = [\"/bin/true\"]\n"
)

func write(t *testing.T, path, text string, mode fs.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	return path
}

func mkdir(t *testing.T, path string, mode fs.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNoFile: what is no configuration file is said to be what it is.
func TestNoFile(t *testing.T) {
	dir := t.TempDir()
	fine := write(t, filepath.Join(dir, "fine.toml"), harmless, 0o644)
	link := filepath.Join(dir, "link.toml")
	if err := os.Symlink(fine, link); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo.toml")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, want string }{
		{dir, "is a directory and not a file; name the file in it: " + filepath.Join(dir, "keepsake.toml")},
		{link, "is a symbolic link to " + fine},
		{fifo, "is not a regular file"},
		{write(t, filepath.Join(dir, "empty.toml"), "", 0o600), "is empty"},
		{write(t, filepath.Join(dir, "large.toml"), strings.Repeat("# ten million bytes\n", 500_000), 0o600), "has 10000000 bytes, and a configuration has at most 262144"},
		{write(t, filepath.Join(dir, "latin.toml"), "group = \"a\"\nmount = \"/b\xe4\"\n", 0o600), "line 2: has the byte 0xe4, which is not UTF-8; save the file as UTF-8"},
	} {
		for name, read := range readers() {
			if err := read(tt.path); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.path) {
				t.Errorf("%s of %s: got %v, want %s", name, tt.path, err, tt.want)
			}
		}
	}
	if err := readers()["Read"](filepath.Join(dir, "none.toml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := readers()["Read"](fine); err != nil {
		t.Errorf("a file as it should be: %v", err)
	}
}

// readers are all ways in which a file is read: none may be more trusting.
func readers() map[string]func(string) error {
	return map[string]func(string) error{
		"Read":  func(path string) error { _, err := config.Read(path); return err },
		"Check": func(path string) error { _, _, err := config.Check(path, config.Places{}); return err },
		"Show":  func(path string) error { _, _, err := config.Show(path, config.Places{}); return err },
	}
}

// TestWhoMayWrite: a configuration that runs commands is one only if nobody else
// can have written it.
func TestWhoMayWrite(t *testing.T) {
	for _, tt := range []struct {
		name      string
		text      string
		file, dir fs.FileMode
		want      string // with FILE and DIR; empty if it is accepted
	}{
		{"private", runs, 0o600, 0o700, ""},
		{"readable by all", runs, 0o644, 0o755, ""},
		{"written by its group", runs, 0o664, 0o755, "others can write to it; chmod go-w FILE"},
		{"written by all", runs, 0o602, 0o755, "others can write to it; chmod go-w FILE"},
		{"replaced by a group", runs, 0o600, 0o775, "others can replace it: they may write to its directory; chmod go-w DIR"},
		{"replaced by all", runs, 0o600, 0o777, "others can replace it: they may write to its directory; chmod go-w DIR"},
		{"in a sticky directory", runs, 0o600, 0o777 | fs.ModeSticky, ""},
		{"both", runs, 0o666, 0o777, "has 2 problems:"},
		{"runs nothing, so it may be anyone's", harmless, 0o666, 0o777, ""},
		{"a command source", "[[source]]\nlabel = \"a\"\ncommand = [\"x\"]\nfile = \"x\"\nat = [\"02:30\"]\n", 0o664, 0o755, "others can write to it"},
		{"a command before", "[[source]]\nlabel = \"a\"\npath = \"/a\"\nbefore = [[\"x\"]]\n", 0o664, 0o755, "others can write to it"},
		{"a command in the defaults", "[defaults]\nafter = [[\"x\"]]\n", 0o664, 0o755, "others can write to it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := mkdir(t, filepath.Join(t.TempDir(), "etc"), tt.dir)
			path := write(t, filepath.Join(dir, "keepsake.toml"), tt.text, tt.file)
			want := strings.NewReplacer("FILE", path, "DIR", dir).Replace(tt.want)
			for name, read := range readers() {
				err := read(path)
				if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("%s: got %v, want %q", name, err, want)
				}
			}
		})
	}
}

// TestWhoseFile: a file of somebody else who is not root could be written by
// him at any time.
func TestWhoseFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can give files away")
	}
	const nobody = 65534
	dir := mkdir(t, filepath.Join(t.TempDir(), "etc"), 0o755)
	path := write(t, filepath.Join(dir, "keepsake.toml"), runs, 0o644)
	if err := readers()["Read"](path); err != nil {
		t.Fatalf("root's file: %v", err)
	}
	if err := os.Chown(path, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if err := readers()["Read"](path); err == nil || !strings.Contains(err.Error(), "it does not belong to root; chown root "+path) {
		t.Errorf("nobody's file: %v", err)
	}
	if err := errors.Join(os.Chown(path, 0, 0), os.Chown(dir, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	if err := readers()["Read"](path); err == nil || !strings.Contains(err.Error(), "its directory does not belong to root; chown root "+dir) {
		t.Errorf("nobody's directory: %v", err)
	}
}
