package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"keepsake/daemon/control"
)

// ConfigName is what a configuration file is called.
const ConfigName = "keepsake.toml"

// Config is keepsake.toml.
type Config struct {
	Repository string   `toml:"repository,omitempty" comment:"Where the encrypted repository lies."`
	Mount      string   `toml:"mount,omitempty" comment:"Where snapshots are shown as folders."`
	KeyFile    string   `toml:"key-file,omitempty" comment:"What opens the repository besides the recovery code. Keep a copy elsewhere."`
	Group      string   `toml:"group,omitempty" comment:"Whose members may run status, snapshots, backup-now and ack."`
	Metrics    string   `toml:"metrics,omitempty" comment:"Loopback address where Prometheus may read, such as 127.0.0.1:9273."`
	Sources    []Source `toml:"source,omitempty"`
}

// Source is a watched directory tree.
type Source struct {
	Label string `toml:"label"`
	Path  string `toml:"path"`
}

// maxConfig bounds a configuration file; a larger one is something else.
const maxConfig = 1 << 20

// ReadConfig reads and checks a configuration file. Every unknown key, wrong
// type and contradiction is reported at once, with its line where it has one.
func ReadConfig(path string) (Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Config{}, err
	}
	if !info.Mode().IsRegular() {
		return Config{}, fmt.Errorf("%s is not a file", path)
	}
	if info.Size() > maxConfig {
		return Config{}, fmt.Errorf("%s has %d bytes; a configuration has at most %d", path, info.Size(), maxConfig)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	c, err := ParseConfig(b)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// ParseConfig parses and checks the text of a configuration.
func ParseConfig(b []byte) (Config, error) {
	var c Config
	err := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields().Decode(&c)
	if unknown, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		var all []error
		for _, e := range unknown.Errors {
			line, _ := e.Position()
			all = append(all, fmt.Errorf("line %d: unknown key %q (known: repository, mount, key-file, group, metrics, [[source]] with label and path)", line, strings.Join(e.Key(), ".")))
		}
		return c, errors.Join(all...)
	}
	if wrong, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, column := wrong.Position()
		return c, fmt.Errorf("line %d, column %d: %w", line, column, wrong)
	}
	if err != nil {
		return c, err
	}
	return c, c.validate()
}

func (c *Config) validate() error {
	var all []error
	for key, path := range map[string]string{"repository": c.Repository, "mount": c.Mount, "key-file": c.KeyFile} {
		if path != "" && !filepath.IsAbs(path) {
			all = append(all, fmt.Errorf("%s = %q is not an absolute path", key, path))
		}
	}
	if c.Metrics != "" {
		if err := control.CheckMetricsAddress(c.Metrics); err != nil {
			all = append(all, err)
		}
	}
	labels := map[string]bool{}
	for _, s := range c.Sources {
		if s.Label == "" || strings.ContainsAny(s.Label, "/\x00@:") {
			all = append(all, fmt.Errorf("label %q is empty or has one of / @ : in it", s.Label))
		}
		if labels[s.Label] {
			all = append(all, fmt.Errorf("label %q is given to two sources", s.Label))
		}
		labels[s.Label] = true
		if !filepath.IsAbs(s.Path) {
			all = append(all, fmt.Errorf("source %q: path %q is not absolute", s.Label, s.Path))
		}
	}
	return errors.Join(all...)
}

// Marshal writes the configuration as people read it.
func (c Config) Marshal() ([]byte, error) {
	b, err := toml.Marshal(c)
	if err != nil {
		return nil, err
	}
	return append([]byte("# Written by keepsake up. Edit it as you like; flags and KEEPSAKE_* come first.\n\n"), b...), nil
}
