package packaging_test

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// room says what one package of the house may import besides the standard library.
type room struct {
	path     string   // below the module: "store/pack"
	rooms    []string // rooms of the house
	modules  []string // modules outside, with everything below them
	pure     bool     // a codec or a policy: no os, no net, no system calls
	terminal bool     // may read the environment and use the standard streams
	exits    bool     // may end the process
	testOnly bool     // may be imported by tests only
}

// Modules that more than one room uses.
const (
	bbolt  = "go.etcd.io/bbolt"
	goFUSE = "github.com/hanwen/go-fuse/v2"
	cbor   = "github.com/fxamacker/cbor/v2"
	xxh3   = "github.com/zeebo/xxh3"
	xattr  = "github.com/pkg/xattr"
	toml   = "github.com/pelletier/go-toml/v2"
	flock  = "github.com/gofrs/flock"
	xSync  = "golang.org/x/sync"
	// client_golang serves metrics; common brings durations such as 2w3d.
	prometheus = "github.com/prometheus"
	xSystem    = "golang.org/x/sys"
	goSystemd  = "github.com/coreos/go-systemd/v22"
)

// house is every package there is, from the ground up: a room may import only rooms that stand above it in this table.
// A package that is missing here fails the test, so that the rules never lag behind the code.
var house = []room{
	{path: "packaging/torture", modules: []string{xSystem}, testOnly: true},
	{path: "packaging/testreport", terminal: true},

	{path: "crypto", modules: []string{"golang.org/x/crypto"}, pure: true},
	{path: "chunking", modules: []string{"github.com/restic/chunker"}, pure: true},

	{path: "store/durable", modules: []string{xSystem}},
	{path: "store/backend", rooms: []string{"store/durable"}, modules: []string{xSystem}},
	{path: "store/backend/backendtest", rooms: []string{"store/backend", "store/durable"}, testOnly: true},
	{path: "store/object", rooms: []string{"crypto"}, modules: []string{xxh3}, pure: true},
	{path: "store/pack", rooms: []string{"crypto", "store/object"}, modules: []string{xxh3, "github.com/klauspost/compress"}, pure: true},
	{path: "store/tree", rooms: []string{"crypto"}, modules: []string{cbor}, pure: true},
	{path: "store/retention", pure: true},
	{path: "store/index", rooms: []string{"crypto", "store/object", "store/pack"}, modules: []string{bbolt, xxh3, xSystem}},
	{path: "store/state", rooms: []string{"crypto"}, modules: []string{bbolt, cbor}},
	{
		path: "store",
		rooms: []string{
			"crypto", "chunking", // chunking for its parameters alone: the settings hold them
			"store/durable", "store/backend", "store/object", "store/pack", "store/tree", "store/retention", "store/index", "store/state",
		},
		modules: []string{xSync, xSystem},
	},
	{path: "store/history", rooms: []string{"crypto", "store", "store/tree"}, pure: true},
	{path: "store/storetest", rooms: []string{"crypto", "store/backend", "store/object", "store"}, testOnly: true},

	{path: "daemon/schedule", pure: true},
	{path: "daemon/guard", pure: true},
	{path: "daemon/rules", pure: true},
	{path: "daemon/command", modules: []string{xSystem}},
	{path: "daemon/alert", rooms: []string{"daemon/command"}, modules: []string{"github.com/cenkalti/backoff/v5"}},
	{path: "daemon/health", modules: []string{prometheus}},
	{path: "daemon/watch", modules: []string{"github.com/fsnotify/fsnotify", xSystem}},
	{path: "daemon/control", modules: []string{xSystem}},
	{
		path:    "daemon/capture",
		rooms:   []string{"crypto", "chunking", "store", "store/pack", "store/tree", "store/state", "daemon/guard", "daemon/rules"}, // store/state for what a source is
		modules: []string{xattr, "golang.org/x/time", xSync, xSystem},
	},
	{path: "daemon/restore", rooms: []string{"crypto", "store", "store/pack", "store/tree"}, modules: []string{xattr, xSync, xSystem}},
	{path: "daemon/config", rooms: []string{"store/retention", "daemon/schedule", "daemon/guard", "daemon/rules"}, modules: []string{toml, prometheus, xSystem}},
	{path: "daemon/supervise", modules: []string{goSystemd, xSystem}},
	{path: "daemon/gentle", modules: []string{xSystem}},
	{path: "daemon/logs"},
	{path: "daemon/doctor", rooms: []string{"daemon/config", "daemon/watch"}, modules: []string{xSystem}},
	// The trivial server that the view is measured against.
	{path: "fusefs/reference", modules: []string{goFUSE}, testOnly: true},
	{path: "fusefs/mountpoint", modules: []string{xSystem}},
	{path: "fusefs/catalogue", rooms: []string{"store", "store/tree"}, pure: true},
	// Below capture in this table for its tests alone, which show real backups.
	{path: "fusefs", rooms: []string{"crypto", "store", "store/history", "store/tree", "fusefs/mountpoint", "fusefs/catalogue"}, modules: []string{goFUSE, xSync, xSystem}},
	{
		path: "daemon",
		rooms: []string{
			"crypto", "store", "store/retention", "store/state", "store/tree", "fusefs", "daemon/watch", "daemon/control", "daemon/capture", "daemon/restore",
			"daemon/schedule", "daemon/guard", "daemon/rules", "daemon/command", "daemon/alert", "daemon/health", "daemon/config", "daemon/supervise",
		},
		modules: []string{"golang.org/x/time", toml, flock, xSync, xSystem},
	},

	// Above the command line, which writes the units that it holds; its tests look at what the daemon promises.
	{path: "packaging/systemd", pure: true},
	{path: "packaging/samba", pure: true},
	{
		path:  "cmd/keepsake",
		rooms: []string{everything},
		modules: []string{
			prometheus, "github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/jedib0t/go-pretty/v6", "github.com/dustin/go-humanize", toml, flock,
			"golang.org/x/term", xSync, xSystem,
		},
		terminal: true, exits: true,
	},
	{path: "packaging"},
	{path: "packaging/bench"},    // benchmarks alone, which build the program and run it
	{path: "packaging/examples"}, // tests alone, which run what the examples say
}

// everything in room.rooms stands for all rooms further up in the table, except those for tests.
const everything = "*"

// testModules may be imported by the tests of any room: go-fuse for the reference server that mounts are measured against,
// the rest to build and inspect trees and objects and to run the program as people do.
var testModules = []string{"github.com/rogpeppe/go-internal", goFUSE, xattr, xxh3, xSync, xSystem}

// quarantined modules stay in the rooms that were made for them, whatever the table is changed to.
var quarantined = map[string][]string{
	bbolt:                          {"store/index", "store/state"},
	goFUSE:                         {"fusefs", "fusefs/reference"},
	"github.com/fsnotify/fsnotify": {"daemon/watch"},
	goSystemd:                      {"daemon/supervise"},
	"github.com/restic/chunker":    {"chunking"},
	"golang.org/x/term":            {"cmd/keepsake"},
	"github.com/spf13/cobra":       {"cmd/keepsake"},
	"github.com/spf13/pflag":       {"cmd/keepsake"},
}

// topLevel is all that may lie beside dot-files in the root of the repository.
var topLevel = []string{
	"cmd", "daemon", "store", "fusefs", "chunking", "crypto", "packaging", "go.mod", "go.sum", "README.md",
}

// root is the repository seen from this package's directory, where go test runs it.
const root = ".."

func TestImportRules(t *testing.T) {
	files, err := goFiles(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no Go files found: this test would pass whatever they import")
	}
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range violations(house, name, text) {
			t.Error(v)
		}
	}
}

// TestRulesAreSound holds the table itself to the design: it points downwards, and quarantines are kept.
func TestRulesAreSound(t *testing.T) {
	for _, defect := range unsound(house) {
		t.Error(defect)
	}
}

func TestUnsoundRulesAreFound(t *testing.T) {
	tests := []struct {
		name  string
		table []room
		want  string
	}{
		{"upward", []room{{path: "store", rooms: []string{"daemon"}}, {path: "daemon"}}, "store may import daemon, which is not below it"},
		{"itself", []room{{path: "store", rooms: []string{"store"}}}, "store may import store, which is not below it"},
		{"unknown", []room{{path: "store", rooms: []string{"util"}}}, "store may import util, which is not below it"},
		{"twice", []room{{path: "store"}, {path: "store"}}, "store is named twice"},
		{"quarantine", []room{{path: "daemon", modules: []string{bbolt}}}, "daemon may import go.etcd.io/bbolt, which is kept to store/index, store/state"},
		{"part of a quarantined module", []room{{path: "daemon", modules: []string{goFUSE + "/fuse"}}}, "daemon may import github.com/hanwen/go-fuse/v2/fuse, which is kept to fusefs, fusefs/reference"},
		{"more than a quarantined module", []room{{path: "daemon", modules: []string{"github.com/hanwen"}}}, "daemon may import github.com/hanwen, which is kept to fusefs, fusefs/reference"},
		{"exit", []room{{path: "daemon", exits: true}}, "daemon may end the process, which is kept to cmd/keepsake"},
		{"fixture", []room{{path: "fixture", testOnly: true}, {path: "store", rooms: []string{"fixture"}}}, "store may import fixture, which is for tests"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := unsound(tt.table); !slices.Contains(got, tt.want) {
				t.Errorf("got %q, want %q among them", got, tt.want)
			}
		})
	}
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	ignore, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	for _, name := range strangers(names, string(ignore)) {
		t.Errorf("%s does not belong at the top level", name)
	}
}

func TestStrangersAreFound(t *testing.T) {
	names := []string{".git", "README.md", "crypto", "keepsake", "cpu.prof", "util", "notes.md", "keepsake.go"}
	got := strangers(names, "/keepsake\n# a comment\n\n*.prof\n/notes.md/extra\nutil/inner\n")
	if want := []string{"util", "notes.md", "keepsake.go"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// strangers returns the names that are neither allowed at the top level nor ignored by git.
// It reads the simple patterns of .gitignore only, so that the test needs neither git nor a clone.
func strangers(names []string, ignore string) []string {
	ignored := func(name string) bool {
		for pattern := range strings.Lines(ignore) {
			pattern = strings.Trim(strings.TrimSpace(pattern), "/")
			if ok, err := path.Match(pattern, name); err == nil && ok {
				return true
			}
		}
		return false
	}
	var found []string
	for _, name := range names {
		if strings.HasPrefix(name, ".") || slices.Contains(topLevel, name) || ignored(name) {
			continue
		}
		found = append(found, name)
	}
	return found
}
