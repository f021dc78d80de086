package crypto

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// A key file is one line of text: the magic, a space, the key in lower-case hexadecimal, a
// hyphen, a checksum in hexadecimal, a newline. Text, because key files are printed, pasted
// into password managers and read aloud; a checksum, because a damaged one should say so
// instead of being a wrong secret.
const (
	keyFileMagic    = "keepsake-key-1 "
	keyFileChecksum = 4 // bytes
	keyFileSize     = len(keyFileMagic) + 2*keySize + 1 + 2*keyFileChecksum
	maxKeyFile      = 1024 // with the white space around it
)

// GenerateKeyFile draws a key and returns the key file's text and its secret.
func GenerateKeyFile(rand io.Reader) ([]byte, Secret, error) {
	var key [keySize]byte
	if _, err := io.ReadFull(rand, key[:]); err != nil {
		return nil, Secret{}, fmt.Errorf("drawing a key: %w", err)
	}
	return formatKeyFile(key), keyFileSecret(key), nil
}

// ParseKeyFile reads a key file. White space around the line is ignored, since clipboards and
// credential stores add and remove it; everything else must be exact. Errors match [ErrKeyFile].
func ParseKeyFile(text []byte) (Secret, error) {
	key, err := parseKeyFile(text)
	if err != nil {
		return Secret{}, err
	}
	return keyFileSecret(key), nil
}

func keyFileSecret(key [keySize]byte) Secret { return Secret{SlotKeyFile, string(key[:])} }

func parseKeyFile(text []byte) ([keySize]byte, error) {
	var key [keySize]byte
	if len(text) > maxKeyFile {
		return key, fmt.Errorf("%w: %d bytes are too many", ErrKeyFile, len(text))
	}
	line := strings.Trim(string(text), " \t\r\n")
	if !strings.HasPrefix(line, keyFileMagic) {
		return key, fmt.Errorf("%w: it does not begin with %q", ErrKeyFile, keyFileMagic)
	}
	if len(line) != keyFileSize {
		return key, fmt.Errorf("%w: %d characters instead of %d", ErrKeyFile, len(line), keyFileSize)
	}
	digits, sum := line[len(keyFileMagic):len(keyFileMagic)+2*keySize], line[keyFileSize-2*keyFileChecksum:]
	raw, err := hex.DecodeString(digits)
	if err != nil {
		return key, fmt.Errorf("%w: the key is not hexadecimal", ErrKeyFile)
	}
	key = [keySize]byte(raw)
	// Comparing the whole line refuses upper case, a wrong separator and a wrong checksum at once.
	want := formatKeyFile(key)
	if subtle.ConstantTimeCompare(want[:keyFileSize], []byte(line)) != 1 {
		return [keySize]byte{}, fmt.Errorf("%w: the checksum %q does not fit: a character is wrong", ErrKeyFile, sum)
	}
	return key, nil
}

func formatKeyFile(key [keySize]byte) []byte {
	sum := sha256.Sum256(append([]byte(keyFileMagic), key[:]...))
	return fmt.Appendf(nil, "%s%x-%x\n", keyFileMagic, key[:], sum[:keyFileChecksum])
}
