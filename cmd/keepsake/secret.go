package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/term"

	"keepsake/crypto"
)

// errNoSecret says that nothing was given that could open the repository.
var errNoSecret = errors.New("the repository is locked")

// maxSecretFile bounds a password or key file; a larger one is something else.
const maxSecretFile = 64 << 10

// secret finds what opens the repository, the nearest wish first: --key-file,
// KEEPSAKE_PASSWORD and its kin, KEEPSAKE_KEY_FILE, systemd credentials, the
// configuration's key file or the usual one, the answer to a question. A
// recovery code is accepted wherever a password is.
//
// Credentials come before the configuration because they are given to this one
// process: by whoever wrote the unit, often bound to the machine's TPM, so that
// the key file need not be on the disk at all.
func (a *app) secret(ctx context.Context, kinds []crypto.SlotKind) (crypto.Secret, error) {
	if a.flags.keyFile != "" {
		return readKeyFile(a.env.abs(a.flags.keyFile))
	}
	if text, ok, err := a.givenPassword(ctx, "KEEPSAKE_PASSWORD"); err != nil || ok {
		return a.textSecret(text, kinds, err)
	}
	if a.env.get("KEEPSAKE_KEY_FILE") == "" && a.credential("keepsake.key") == "" {
		if text, ok, err := a.credentialPassword(); err != nil || ok {
			return a.textSecret(text, kinds, err)
		}
	}
	lost := ""
	if slices.Contains(kinds, crypto.SlotKeyFile) {
		path := a.keyFile()
		s, err := readKeyFile(path)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return s, err
		}
		lost = fmt.Sprintf("the key file %s is not there; ", path)
	}
	if text, ok, err := a.credentialPassword(); err != nil || ok {
		return a.textSecret(text, kinds, err)
	}
	if !a.env.asks {
		return crypto.Secret{}, fmt.Errorf("%w: %sgive a password or the recovery code in KEEPSAKE_PASSWORD_FILE, or another key file with --key-file", errNoSecret, lost)
	}
	if lost != "" {
		write(a.env.stderr, "keepsake: "+lost+"give the recovery code, then make a new one with keepsake key add --new-key-file "+copyable(a.keyFile())+"\n")
	}
	text, err := a.askSecret(ctx, "Password or recovery code: ")
	return a.textSecret(text, kinds, err)
}

// textSecret is a recovery code if the text is one, else a passphrase, if there
// is a slot for one. If there is none the text can only be a mistyped code. A
// text that has the shape of a code is remembered as that, should it open
// nothing.
func (a *app) textSecret(text string, kinds []crypto.SlotKind, err error) (crypto.Secret, error) {
	if err != nil {
		return crypto.Secret{}, err
	}
	code, slip := crypto.ParseRecoveryCode(text)
	switch {
	case slip == nil:
		return crypto.Recovery(code), nil
	case !slices.Contains(kinds, crypto.SlotPassphrase) && !shapedAsCode(text):
		return crypto.Secret{}, &refusedError{
			fmt.Errorf("%w: no password opens it, and what was given is no recovery code", errNoSecret),
			"Give its key file with --key-file; the recovery code works as a password, too.",
		}
	case !slices.Contains(kinds, crypto.SlotPassphrase):
		return crypto.Secret{}, fmt.Errorf("%w: %w", errNoSecret, slip)
	case shapedAsCode(text):
		a.slip = slip
	}
	return crypto.Passphrase(text), nil
}

// shapedAsCode reports whether a text looks like a recovery code with a slip in
// it: eleven groups of about four letters and digits, or about as many of them
// without a gap.
func shapedAsCode(text string) bool {
	groups := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) })
	least, most, n := 3, 5, 11
	if len(groups) == 1 {
		least, most, n = 43, 45, 1
	}
	return len(groups) == n && !slices.ContainsFunc(groups, func(group string) bool {
		strange := strings.ContainsFunc(group, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		return strange || len(group) < least || len(group) > most
	})
}

// givenPassword reads NAME, NAME_FILE or NAME_COMMAND.
func (a *app) givenPassword(ctx context.Context, name string) (text string, ok bool, err error) {
	if text := a.env.get(name); text != "" {
		return text, true, nil
	}
	if path := a.env.get(name + "_FILE"); path != "" {
		b, err := readSecretFile(a.env.abs(path))
		return strings.TrimRight(string(b), "\r\n"), true, err
	}
	if command := a.env.get(name + "_COMMAND"); command != "" {
		c := exec.CommandContext(ctx, "/bin/sh", "-c", command)
		c.Stderr = a.env.stderr
		b, err := c.Output()
		if err != nil {
			return "", true, fmt.Errorf("%s_COMMAND: %w", name, err)
		}
		return strings.TrimRight(string(b), "\r\n"), true, nil
	}
	return "", false, nil
}

// keyFile is the path of the key file: as somebody named it, nearest wish
// first, or the usual one.
func (a *app) keyFile() string {
	for _, p := range []string{a.flags.keyFile, a.env.get("KEEPSAKE_KEY_FILE"), a.credential("keepsake.key"), a.config.KeyFile} {
		if p != "" {
			return a.env.abs(p)
		}
	}
	return a.env.defaultKeyFile()
}

// credential is the path of a systemd credential (LoadCredential= in
// systemd.exec(5)), or empty if the manager gave none of that name.
func (a *app) credential(name string) string {
	dir := a.env.get("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return ""
	}
	path := filepath.Join(a.env.abs(dir), name)
	if !exists(path) {
		return ""
	}
	return path
}

// credentialPassword reads the credential that holds a password.
func (a *app) credentialPassword() (text string, ok bool, err error) {
	path := a.credential("keepsake.password")
	if path == "" {
		return "", false, nil
	}
	b, err := readSecretFile(path)
	return strings.TrimRight(string(b), "\r\n"), true, err
}

func readKeyFile(path string) (crypto.Secret, error) {
	b, err := readSecretFile(path)
	if err != nil {
		return crypto.Secret{}, err
	}
	s, err := crypto.ParseKeyFile(b)
	if err != nil {
		return crypto.Secret{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func readSecretFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSecretFile {
		return nil, fmt.Errorf("%s is too large to be a password or key", path)
	}
	// A FIFO or device has no size to look at beforehand.
	b, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err == nil && len(b) > maxSecretFile {
		err = fmt.Errorf("%s is too large to be a password or key", path)
	}
	return b, err
}

// askSecret asks on the terminal without showing the answer.
func (a *app) askSecret(ctx context.Context, question string) (string, error) {
	fd := int(a.env.stdin.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("asking on the terminal: %w", err)
	}
	write(a.env.stderr, question)
	type answer struct {
		text []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		b, err := term.ReadPassword(fd)
		answered <- answer{b, err}
	}()
	select {
	case got := <-answered:
		write(a.env.stderr, "\n")
		if got.err != nil {
			return "", fmt.Errorf("reading the answer: %w", got.err)
		}
		return string(got.text), nil
	case <-ctx.Done():
		// The read goes on until the process ends, which is soon.
		write(a.env.stderr, "\n")
		return "", errors.Join(ctx.Err(), term.Restore(fd, before))
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
