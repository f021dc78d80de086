package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/zeebo/xxh3"
)

// TestScript specifies the command line: each script in testdata/script is a
// session that people could have, with what they see. Beside the usual
// commands a script has
//
//	keepsake ARG…               exits with 0
//	exits CODE keepsake ARG…    exits with this code
//	nobody CODE keepsake ARG…   the same, as a user without rights
//	noise FILE SIZE             makes a file that cannot be compressed
//	id NAME N                   sets $NAME to the id of the N-th snapshot, from 0, and $NAME_TIME to its time
//	newer FILE                  makes an object one of a later format
//	private FILE                demands that only the owner may read a file
//	hidden TEXT DIR…            demands that no name and no byte below shows a text
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		WorkdirRoot:         workDir(t),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, "home")
			for _, kv := range baseEnv(home) {
				name, value, _ := strings.Cut(kv, "=")
				e.Setenv(name, value)
			}
			e.Setenv("REPOSITORY", filepath.Join(home, ".local/share/keepsake"))
			e.Setenv("STATE", filepath.Join(home, ".local/state/keepsake"))
			e.Setenv("CONFIG", filepath.Join(home, ".config/keepsake"))
			return errors.Join(os.Chmod(e.WorkDir, 0o711), os.MkdirAll(home, 0o755))
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "fuse":
				return openFUSE() == nil, nil
			case "root":
				return os.Getuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"keepsake": func(ts *testscript.TestScript, neg bool, args []string) {
				expect(ts, neg, 0, append([]string{"0", "keepsake"}, args...))
			},
			"exits":   func(ts *testscript.TestScript, neg bool, args []string) { expect(ts, neg, 0, args) },
			"nobody":  func(ts *testscript.TestScript, neg bool, args []string) { expect(ts, neg, nobody, args) },
			"noise":   makeNoise,
			"id":      setID,
			"newer":   makeNewer,
			"private": demandPrivate,
			"hidden":  demandHidden,
		},
	})
}

func expect(ts *testscript.TestScript, neg bool, uid int, args []string) {
	if neg || len(args) < 2 || args[1] != "keepsake" {
		ts.Fatalf("usage: exits CODE keepsake ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var env []string
	for _, name := range scriptVariables {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	code, err := execute(command(ctx, ts.MkAbs("."), env, uid, args[2:]...), ts.Stdout(), ts.Stderr())
	ts.Check(err)
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// scriptVariables are what keepsake sees of a script's environment.
var scriptVariables = []string{
	"HOME", "PATH", "TZ", "TMPDIR", "GORACE", "GOCOVERDIR", "GOMAXPROCS", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME",
	"KEEPSAKE_REPOSITORY", "KEEPSAKE_STATE_DIR", "KEEPSAKE_KEY_FILE", "KEEPSAKE_PASSWORD", "KEEPSAKE_PASSWORD_FILE",
	"KEEPSAKE_PASSWORD_COMMAND", "KEEPSAKE_NEW_PASSWORD", "KEEPSAKE_NEW_PASSWORD_FILE", "KEEPSAKE_RECOVERY_CODE",
	"KEEPSAKE_RECOVERY_CODE_FILE", "CREDENTIALS_DIRECTORY",
}

func makeNoise(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: noise FILE SIZE")
	}
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	path := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	ts.Check(os.WriteFile(path, noise(size, byte(len(path))), 0o644))
}

func setID(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: id NAME N")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	expect(ts, false, 0, []string{"0", "keepsake", "snapshots", "--json"})
	var all []snapshot
	for line := range strings.Lines(ts.Stdout().(fmt.Stringer).String()) {
		var s snapshot
		ts.Check(json.Unmarshal([]byte(line), &s))
		all = append(all, s)
	}
	if n >= len(all) {
		ts.Fatalf("there are %d snapshots", len(all))
	}
	ts.Setenv(args[0], all[n].ID)
	ts.Setenv(args[0]+"_TIME", all[n].Time)
}

// makeNewer raises the version of an object and recomputes its checksum: what
// a later program would have written.
func makeNewer(ts *testscript.TestScript, _ bool, args []string) {
	const version, checksum = 8, 16
	for _, file := range args {
		b, err := os.ReadFile(ts.MkAbs(file))
		ts.Check(err)
		binary.BigEndian.PutUint16(b[version:], 1+binary.BigEndian.Uint16(b[version:]))
		sum := xxh3.Hash128(b[:len(b)-checksum]).Bytes()
		copy(b[len(b)-checksum:], sum[:])
		ts.Check(os.WriteFile(ts.MkAbs(file), b, 0o600))
	}
}

func demandPrivate(ts *testscript.TestScript, _ bool, args []string) {
	for _, file := range args {
		info, err := os.Stat(ts.MkAbs(file))
		ts.Check(err)
		if info.Mode().Perm()&0o077 != 0 {
			ts.Fatalf("%s has mode %v", file, info.Mode())
		}
	}
}

func demandHidden(ts *testscript.TestScript, neg bool, args []string) {
	found := ""
	for _, dir := range args[1:] {
		err := filepath.WalkDir(ts.MkAbs(dir), func(path string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if strings.Contains(d.Name(), args[0]) {
				found = path
			}
			if d.Type().IsRegular() {
				b, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				if strings.Contains(string(b), args[0]) {
					found = path
				}
			}
			return nil
		})
		ts.Check(err)
	}
	if (found != "") != neg {
		ts.Fatalf("%q found: %q", args[0], found)
	}
}
