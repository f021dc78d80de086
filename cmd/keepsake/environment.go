package main

import (
	"io"
	"os"
	"os/user"
	"path/filepath"
	"sync"

	"golang.org/x/term"
)

// environment is everything that the process is given from outside.
type environment struct {
	get      func(name string) string
	stdin    *os.File
	stdout   io.Writer
	stderr   io.Writer
	dir      string // working directory
	home     string
	host     string
	user     string
	terminal bool // standard output is a terminal
	asks     bool // standard input and error are: questions can be asked
	width    int
	// system says that the configuration is that of the machine's service. Its
	// places are the machine's then, too, whoever asks: a verb that looked into
	// a home directory would take the service for one that does not run.
	system bool
	urgent urgent
}

// urgent is what is done before this process is ended in a hurry.
type urgent struct {
	mu  sync.Mutex
	all map[int]func() // guarded by mu
	n   int            // guarded by mu
}

// add has f done then, until it is taken back.
func (u *urgent) add(f func()) (takeBack func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all == nil {
		u.all = map[int]func(){}
	}
	u.n++
	n := u.n
	u.all[n] = f
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.all, n)
	}
}

func (u *urgent) leave() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, f := range u.all {
		f()
	}
}

func systemEnvironment() *environment {
	e := &environment{get: os.Getenv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	// What cannot be had stays empty; whoever needs it says so.
	e.dir, _ = os.Getwd()
	e.home, _ = os.UserHomeDir()
	e.host, _ = os.Hostname()
	if u, err := user.Current(); err == nil {
		e.user = u.Username
	}
	e.terminal = term.IsTerminal(int(os.Stdout.Fd()))
	e.asks = term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd()))
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
		e.width = w
	}
	return e
}

// xdg returns a directory of the XDG base directory specification.
func (e *environment) xdg(variable, fallback string) string {
	if dir := e.get(variable); filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(e.home, fallback)
}

func (e *environment) configDir() string {
	return filepath.Join(e.xdg("XDG_CONFIG_HOME", ".config"), "keepsake")
}
func (e *environment) dataDir() string {
	return filepath.Join(e.xdg("XDG_DATA_HOME", ".local/share"), "keepsake")
}

// stateBase is the directory under which each repository has a state directory.
func (e *environment) stateBase() string {
	if dir := e.get("KEEPSAKE_STATE_DIR"); dir != "" {
		return e.abs(dir)
	}
	if e.system {
		return systemStateDir
	}
	return filepath.Join(e.xdg("XDG_STATE_HOME", ".local/state"), "keepsake")
}

// defaultKeyFile is where up and init put the key.
func (e *environment) defaultKeyFile() string {
	if e.system {
		return filepath.Join(systemConfigDir, "key")
	}
	return filepath.Join(e.configDir(), "key")
}

// defaultMount is where people find their snapshots.
func (e *environment) defaultMount() string {
	if e.system {
		return systemView
	}
	return filepath.Join(e.home, "Keepsake")
}

// abs makes a path absolute against the working directory.
func (e *environment) abs(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(e.dir, path)
}
