package crypto

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what every type that holds a secret prints as, whatever the verb: a key must not
// reach a log because someone printed the struct around it.
const redacted = "[secret]"

// String implements fmt.Stringer.
func (k *Keyring) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (k *Keyring) GoString() string { return redacted }

// Format implements fmt.Formatter, and so covers every verb.
func (k *Keyring) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue implements slog.LogValuer.
func (k *Keyring) LogValue() slog.Value { return slog.StringValue(redacted) }

// String implements fmt.Stringer.
func (p PRF) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (p PRF) GoString() string { return redacted }

// Format implements fmt.Formatter, and so covers every verb.
func (p PRF) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue implements slog.LogValuer.
func (p PRF) LogValue() slog.Value { return slog.StringValue(redacted) }

// String implements fmt.Stringer.
func (s Secret) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return redacted }

// Format implements fmt.Formatter, and so covers every verb.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// String implements fmt.Stringer. To show the code to its owner, call [RecoveryCode.Printable].
func (c RecoveryCode) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (c RecoveryCode) GoString() string { return redacted }

// Format implements fmt.Formatter, and so covers every verb.
func (c RecoveryCode) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue implements slog.LogValuer.
func (c RecoveryCode) LogValue() slog.Value { return slog.StringValue(redacted) }
