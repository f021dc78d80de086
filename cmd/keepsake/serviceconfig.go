package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"

	"keepsake/daemon/config"
	"keepsake/store/durable"
)

const (
	configName = config.Name
	// systemConfigDir holds the configuration of the machine's service.
	systemConfigDir = "/etc/keepsake"
	// systemStateDir and systemView are its other places, as its unit names them.
	systemStateDir = "/var/lib/keepsake"
	systemView     = "/run/keepsake/view"
)

// takenConfig is a configuration that a service takes over.
type takenConfig struct {
	from, text string
	keyFile    string
}

// configPath is where the configuration lies on this machine.
func (u *serviceUnit) configPath() string { return filepath.Join(u.f.root, u.config) }

// newConfig returns what the configuration should be, or nil if there is one.
func (u *serviceUnit) newConfig() (*takenConfig, error) {
	if exists(u.configPath()) {
		return nil, nil
	}
	if u.f.user {
		return nil, fmt.Errorf("there is no configuration at %s; keepsake up DIR writes one, and stops with Ctrl-C", u.config)
	}
	home := u.a.personsHome()
	from := filepath.Join(home, ".config", "keepsake", configName)
	if home == u.a.env.home {
		from = filepath.Join(u.a.env.configDir(), configName)
	}
	if u.a.flags.config != "" {
		from = u.a.env.abs(u.a.flags.config)
	}
	b, err := readSmall(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no configuration to take over at %s: run keepsake up DIR once, or write %s, or name one with --config", from, u.config)
	}
	if err != nil {
		return nil, err
	}
	c, err := config.Parse(b)
	if problems, ok := errors.AsType[config.Problems](err); ok {
		return nil, &config.FileError{Path: from, Problems: problems}
	}
	if len(c.Sources) == 0 {
		return nil, fmt.Errorf("%s names no source; the service would keep nothing", from)
	}
	u.a.completeConfig(&c, home)
	text, err := c.Amend(b)
	if err != nil {
		return nil, err
	}
	text = fmt.Appendf(nil, "# Taken over by keepsake service install from %s\n%s", from, text)
	return &takenConfig{from, string(text), c.KeyFile}, nil
}

// completeConfig says what a service must know and a person's configuration may
// leave out, because it lies at that person's usual places.
func (a *app) completeConfig(c *config.Config, home string) {
	if c.Repository == "" {
		c.Repository = filepath.Join(home, ".local/share/keepsake")
		if home == a.env.home {
			c.Repository = a.env.dataDir()
		}
	}
	if c.Mount == "" {
		c.Mount = systemView
	}
	key := filepath.Join(home, ".config/keepsake/key")
	if home == a.env.home {
		key = a.env.defaultKeyFile()
	}
	if c.KeyFile == "" && exists(key) {
		c.KeyFile = key
	}
}

func (u *serviceUnit) writeConfig(disk *durable.Disk, c *takenConfig) error {
	path := u.configPath()
	if err := disk.MkdirAll(filepath.Dir(path), unitDir); err != nil {
		return err
	}
	if err := disk.WriteFile(path, []byte(c.text), durable.PrivateFile); err != nil {
		return err
	}
	u.out.printf("Configuration  %s, taken over from %s", path, c.from)
	if c.keyFile != "" {
		u.out.printf("Key            %s stays where it is", c.keyFile)
	}
	u.out.note("the service keeps its state in %s: its first run reads all metadata once and begins a new chain. Stop keepsake up if it runs, or two processes keep the same sources", systemStateDir)
	return nil
}

// personsHome is the home directory of the person who asks, also through sudo.
func (a *app) personsHome() string {
	if name := a.env.get("SUDO_USER"); name != "" && os.Geteuid() == 0 {
		if u, err := user.Lookup(name); err == nil {
			return u.HomeDir
		}
	}
	return a.env.home
}

// readSmall reads a file that has the size of a configuration.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxUnit {
		return nil, fmt.Errorf("%s is not a configuration: not a file, or larger than %d bytes", path, maxUnit)
	}
	return os.ReadFile(path)
}
