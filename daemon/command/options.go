package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Options says what to run. Args is required.
type Options struct {
	// Args are the program and its arguments.
	Args []string
	// Dir is the directory to run in; empty means /, which is never unmounted.
	Dir string
	// Env are further variables, NAME=value; later ones replace earlier ones and PATH, HOME, LANG.
	Env []string
	// Stdin is read as far as the program reads; nil is empty. Reading it must not block for long.
	Stdin io.Reader
	// Stdout is written as the program prints, in order; nil discards. An error of it stops the program.
	Stdout io.Writer
	// Timeout is how long the program may take; 0 means DefaultTimeout.
	Timeout time.Duration
	// MaxOutput is how many bytes it may print; 0 means DefaultMaxOutput.
	MaxOutput int64
	// Grace is how long it may take to end once asked to; 0 means DefaultGrace.
	Grace time.Duration
}

const (
	// DefaultTimeout is long for a dump of a studio's databases, and short enough that one that hangs is noticed
	// the same day.
	DefaultTimeout = time.Hour
	// DefaultMaxOutput is some hundred times what the databases of a studio hold, and less than what fills the
	// disk of a repository before somebody looks.
	DefaultMaxOutput = 16 << 30
	// DefaultGrace leaves a stopping daemon, which has ten seconds in all, time for both signals.
	DefaultGrace = 3 * time.Second

	// defaultPath is what a login as root has, so that what works by hand works here.
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// defaultLang has messages and sort orders independent of who started the daemon.
	defaultLang = "C.UTF-8"
)

func (o Options) withDefaults() (Options, error) {
	if len(o.Args) == 0 || o.Args[0] == "" {
		return o, fmt.Errorf("%w: no program is named", ErrProgram)
	}
	if o.Timeout < 0 || o.MaxOutput < 0 || o.Grace < 0 {
		return o, errors.New("a command's bounds must not be negative")
	}
	if o.Dir == "" {
		o.Dir = "/"
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxOutput == 0 {
		o.MaxOutput = DefaultMaxOutput
	}
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	return o, nil
}

// name is what a program is called in errors.
func (o Options) name() string { return filepath.Base(o.Args[0]) }

// secretPrefix begins the variables that open repositories: a command has no business with them.
const secretPrefix = "KEEPSAKE_PASSWORD"

// environment returns the whole environment of the program.
func (o Options) environment() ([]string, error) {
	env := []string{"PATH=" + defaultPath, "HOME=" + home(), "LANG=" + defaultLang}
	for _, v := range o.Env {
		name, _, ok := strings.Cut(v, "=")
		switch {
		case !ok || name == "" || strings.ContainsRune(v, 0):
			return nil, fmt.Errorf("%s: a variable that is not NAME=value is %w", o.name(), ErrEnvironment)
		case strings.HasPrefix(name, secretPrefix):
			return nil, fmt.Errorf("%s: %s is %w", o.name(), name, ErrEnvironment)
		}
		env = append(env, v)
	}
	return env, nil
}

// home is the home directory of the process's user by the user database.
func home() string {
	u, err := user.LookupId(strconv.Itoa(os.Geteuid()))
	if err != nil || u.HomeDir == "" {
		return "/" // a user without a home, as services have
	}
	return u.HomeDir
}

// Validate reports whether the options make sense, whether or not there is such a program at the moment.
func (o Options) Validate() error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	if program := o.Args[0]; strings.ContainsRune(program, '/') && !filepath.IsAbs(program) {
		return notAbsolute(program)
	}
	_, err = o.environment()
	return err
}

func notAbsolute(program string) error {
	return fmt.Errorf("%s %w: give its absolute path", program, ErrProgram)
}

// Find returns the path of a program as Run would run it with the same options.
func (o Options) Find() (string, error) {
	o, err := o.withDefaults()
	if err != nil {
		return "", err
	}
	env, err := o.environment()
	if err != nil {
		return "", err
	}
	return find(o.Args[0], env)
}

func find(program string, env []string) (string, error) {
	if filepath.IsAbs(program) {
		if err := executable(program); err != nil {
			return "", fmt.Errorf("%s %w: %w", program, ErrProgram, err)
		}
		return program, nil
	}
	if strings.ContainsRune(program, '/') {
		return "", notAbsolute(program)
	}
	path := defaultPath
	for _, v := range env {
		if p, ok := strings.CutPrefix(v, "PATH="); ok {
			path = p
		}
	}
	for _, dir := range filepath.SplitList(path) {
		full := filepath.Join(dir, program)
		if filepath.IsAbs(full) && executable(full) == nil {
			return full, nil
		}
	}
	return "", fmt.Errorf("%s %w: it is in none of %s; give its absolute path", program, ErrProgram, path)
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return cause(err)
	case info.IsDir():
		return unix.EISDIR
	}
	return unix.Access(path, unix.X_OK)
}

// cause strips what names the path a second time.
func cause(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}
