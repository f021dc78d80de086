package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"keepsake/crypto"
	"keepsake/store"
	"keepsake/store/backend"
	"keepsake/store/durable"
)

func (a *app) initCommand() *cobra.Command {
	var passphrase bool
	c := &cobra.Command{
		Use:   "init",
		Short: "Make a new, encrypted repository",
		Long: `Makes a repository at --repository, or at the usual place. It opens with a key
file that is made too, or with a password if one is given (--passphrase asks for
it, KEEPSAKE_PASSWORD and its kin give it), and always with a recovery code,
which is shown once. Write the code down: it works alone.`,
		Args: exactly(0, "no arguments; the place goes into --repository"),
		RunE: func(c *cobra.Command, _ []string) error {
			dir := a.repositoryDir()
			out := a.output()
			made, err := a.initRepository(c.Context(), dir, passphrase)
			if err != nil {
				return err
			}
			out.printf("Repository  %s (new, encrypted)", dir)
			made.tellKeys(out)
			return nil
		},
	}
	c.Flags().BoolVar(&passphrase, "passphrase", false, "ask for a password instead of making a key file")
	return c
}

// made is a new repository and what opens it.
type made struct {
	dir          string
	id           crypto.RepositoryID
	keyFile      string // empty if a password opens it
	recovery     crypto.RecoveryCode
	recoveryFile string // where the code is, if not on the terminal
}

// initRepository makes a repository with its keys. The key file and, without a
// terminal, the recovery code are on disk before the repository exists: one
// that nobody can open must never be.
func (a *app) initRepository(ctx context.Context, dir string, ask bool) (*made, error) {
	local, err := backend.CreateLocal(dir, nil)
	if err != nil {
		return nil, err
	}
	defer local.Close()
	_, err = store.Identify(ctx, local)
	if err == nil {
		err = fmt.Errorf("%s: %w", dir, store.ErrExists)
	}
	if !errors.Is(err, store.ErrNoRepository) {
		return nil, err
	}
	m := &made{dir: dir}
	key, err := a.firstKey(ctx, m, ask)
	if err != nil {
		return nil, err
	}
	o := store.Options{Objects: local, Version: version}
	if m.recovery, err = crypto.GenerateRecoveryCode(random); err != nil {
		return nil, err
	}
	if !a.env.terminal || a.flags.json {
		if m.recoveryFile, err = a.saveRecovery(m.recovery); err != nil {
			return nil, err
		}
	}
	m.id, err = store.Create(ctx, o, key, store.Key{Secret: crypto.Recovery(m.recovery), Label: "recovery code"})
	if err != nil {
		return nil, fmt.Errorf("making a repository at %s: %w", dir, err)
	}
	return m, nil
}

// firstKey is the password that was given, or the key file, made if missing.
func (a *app) firstKey(ctx context.Context, m *made, ask bool) (store.Key, error) {
	text, ok, err := a.givenPassword(ctx, "KEEPSAKE_PASSWORD")
	if err != nil {
		return store.Key{}, err
	}
	if !ok && ask {
		if text, err = a.askNewPassword(ctx, "KEEPSAKE_PASSWORD"); err != nil {
			return store.Key{}, err
		}
		ok = true
	}
	if ok {
		return store.Key{Secret: crypto.Passphrase(text), Label: "password"}, nil
	}
	path := a.keyFile()
	s, err := readKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		s, err = writeKeyFile(path)
	}
	m.keyFile = path
	return store.Key{Secret: s, Label: "key file"}, err
}

func writeKeyFile(path string) (crypto.Secret, error) {
	b, s, err := crypto.GenerateKeyFile(random)
	if err != nil {
		return s, err
	}
	disk := &durable.Disk{}
	if err := disk.MkdirAll(filepath.Dir(path), durable.PrivateDir); err != nil {
		return s, err
	}
	err = disk.WriteFile(path, b, durable.PrivateFile)
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%s is there already and was not changed; give another name", path)
	}
	return s, err
}

// saveRecovery puts the code into a private file, for runs without a terminal.
func (a *app) saveRecovery(code crypto.RecoveryCode) (string, error) {
	disk := &durable.Disk{}
	dir := a.env.configDir()
	if err := disk.MkdirAll(dir, durable.PrivateDir); err != nil {
		return "", err
	}
	for n := 1; ; n++ {
		path := filepath.Join(dir, "recovery-code.txt")
		if n > 1 {
			path = filepath.Join(dir, fmt.Sprintf("recovery-code-%d.txt", n))
		}
		err := disk.WriteFile(path, []byte(code.Printable()+"\n"), durable.PrivateFile)
		if !errors.Is(err, fs.ErrExist) {
			return path, err
		}
	}
}

// askNewPassword asks twice.
func (a *app) askNewPassword(ctx context.Context, variable string) (string, error) {
	if !a.env.asks {
		return "", &usageError{fmt.Errorf("there is no terminal to ask on; set %s_FILE instead", variable)}
	}
	for {
		first, err := a.askSecret(ctx, "New password: ")
		if err != nil {
			return "", err
		}
		again, err := a.askSecret(ctx, "Once more:    ")
		if err != nil {
			return "", err
		}
		if first == again && first != "" {
			return first, nil
		}
		write(a.env.stderr, "They are not the same, or empty. Try again.\n")
	}
}

// tellKeys says what opens the new repository. The recovery code goes to a
// terminal only.
func (m *made) tellKeys(out *output) {
	if out.options.JSON {
		out.emit("initialized", map[string]any{"repository": m.dir, "id": m.id.String(), "key_file": m.keyFile, "recovery_file": m.recoveryFile})
		return
	}
	if m.keyFile != "" {
		out.printf("Key         %s (readable by you only)", m.keyFile)
	} else {
		out.printf("Key         your password")
	}
	if m.recoveryFile != "" {
		out.printf("Recovery    %s (move the code to paper or a safe, then delete the file)", m.recoveryFile)
		return
	}
	out.printf("Recovery    %s", m.recovery.Printable())
	out.printf("            Write it down: without it or the key nobody can read this.")
	out.printf("            Then type it once with: keepsake key confirm")
}

// sameFileSystem reports whether two paths, or their nearest existing parents,
// lie on the same file system.
func sameFileSystem(a, b string) bool {
	x, errA := os.Stat(existing(a))
	y, errB := os.Stat(existing(b))
	return errA == nil && errB == nil && deviceOf(x) == deviceOf(y)
}

// existing is a path, or the nearest parent of it that exists.
func existing(path string) string {
	for !exists(path) && path != filepath.Dir(path) {
		path = filepath.Dir(path)
	}
	return path
}
