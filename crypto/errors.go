package crypto

import "errors"

// Failures of unlocking. Test them with errors.Is.
var (
	// ErrNoSlots: no slot of the secret's kind was given, or none at all.
	ErrNoSlots = errors.New("no key slot for this kind of secret")
	// ErrTooManySlots: more than [MaxSlots] slots. It is returned before any key derivation,
	// so that whoever owns the storage cannot make a client derive keys for hours.
	ErrTooManySlots = errors.New("too many key slots")
	// ErrWrongSecret: the secret opens none of the slots of its kind.
	ErrWrongSecret = errors.New("wrong secret")
	// ErrTampered: a slot or an epoch record is not what its author wrote. The error in the
	// chain is a [*TamperedError], which names the object.
	ErrTampered = errors.New("tampered with")
	// ErrNotServed: the secret is right, but the newest epoch was not granted to its slot:
	// the slot was left out of a rotation, or was created while one ran.
	ErrNotServed = errors.New("the newest keys were not given to this slot")
	// ErrUnknownEpoch: an epoch the keyring does not hold.
	ErrUnknownEpoch = errors.New("unknown key epoch")
)

// Failures of parsing and of arguments.
var (
	// ErrMalformed: bytes that are not a canonical slot or epoch record.
	ErrMalformed = errors.New("malformed key object")
	// ErrVersion: a layout or cipher suite this program does not know.
	ErrVersion = errors.New("written by a newer keepsake; update this one")
	// ErrKDFLimits: Argon2id parameters outside the floor and the ceiling.
	ErrKDFLimits = errors.New("key derivation parameters out of bounds")
	// ErrSuite: a cipher suite this program does not know.
	ErrSuite = errors.New("unknown cipher suite")
	// ErrLabel: a slot's label that is too long, not UTF-8, or not printable.
	ErrLabel = errors.New("invalid slot label")
	// ErrSecret: an empty or oversized secret, or the zero [Secret].
	ErrSecret = errors.New("unusable secret")
	// ErrSalt: a salt that is not [SaltSize] bytes long.
	ErrSalt = errors.New("salt of a wrong length")
	// ErrKeyFile: text that is not a key file.
	ErrKeyFile = errors.New("not a keepsake key file")
	// ErrRecoveryCode: text that is not a recovery code. The error in the chain is a
	// [*RecoveryCodeError], which names the group if one is to blame.
	ErrRecoveryCode = errors.New("wrong recovery code")
	// ErrTooManyEpochs: more than [MaxEpoch] rotations.
	ErrTooManyEpochs = errors.New("too many key epochs")
)

// TamperedError says which object failed to authenticate, and in what respect.
// It matches [ErrTampered].
type TamperedError struct {
	Object string // "key slot 0f3a… (office)" or "epoch record 3"
	Detail string
}

// Error implements error.
func (e *TamperedError) Error() string {
	return e.Object + " was " + ErrTampered.Error() + ": " + e.Detail
}

// Unwrap makes errors.Is(err, ErrTampered) true.
func (e *TamperedError) Unwrap() error { return ErrTampered }
