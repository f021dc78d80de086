package crypto

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// A recovery code is eleven groups of four characters: three carry five random bits each, the
// fourth checks its group. 165 bits in all, so it needs no slow derivation and works alone.
const (
	recoveryGroups    = 11
	recoveryPerGroup  = 4
	recoveryData      = recoveryPerGroup - 1
	recoveryChars     = recoveryGroups * recoveryPerGroup
	maxRecoveryLength = 256 // bytes of text, with whatever separates the groups
)

// recoveryAlphabet is Crockford's: no I, L, O (read as 1, 1, 0) and no U.
const recoveryAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// RecoveryCode is a secret made to be printed and typed. It prints as "[secret]"; the code
// itself comes from [RecoveryCode.Printable].
type RecoveryCode struct {
	symbols [recoveryGroups * recoveryData]byte // each below 32
}

// RecoveryCodeError says what is wrong with a typed code. It matches [ErrRecoveryCode].
type RecoveryCodeError struct {
	Group  int // counted from 1; 0 if the code as a whole is to blame
	Detail string
}

// Error implements error.
func (e *RecoveryCodeError) Error() string {
	if e.Group == 0 {
		return ErrRecoveryCode.Error() + ": " + e.Detail
	}
	return fmt.Sprintf("%v: group %d of %d %s", ErrRecoveryCode, e.Group, recoveryGroups, e.Detail)
}

// Unwrap makes errors.Is(err, ErrRecoveryCode) true.
func (e *RecoveryCodeError) Unwrap() error { return ErrRecoveryCode }

// GenerateRecoveryCode draws a recovery code.
func GenerateRecoveryCode(rand io.Reader) (RecoveryCode, error) {
	var c RecoveryCode
	if _, err := io.ReadFull(rand, c.symbols[:]); err != nil {
		return RecoveryCode{}, fmt.Errorf("drawing a recovery code: %w", err)
	}
	for i := range c.symbols {
		c.symbols[i] &= 31
	}
	return c, nil
}

// Printable returns the code as it is shown to its owner: upper case, groups joined by hyphens.
func (c RecoveryCode) Printable() string {
	var b strings.Builder
	for g := range recoveryGroups {
		if g > 0 {
			b.WriteByte('-')
		}
		data := c.symbols[g*recoveryData : (g+1)*recoveryData]
		for _, s := range data {
			b.WriteByte(recoveryAlphabet[s])
		}
		b.WriteByte(recoveryAlphabet[recoveryCheck(g, data)])
	}
	return b.String()
}

// ParseRecoveryCode reads a code as people type it: in either case, with O for 0 and I or L
// for 1, with hyphens, dashes or white space anywhere or nowhere. A slip is reported with the
// number of its group. Errors match [ErrRecoveryCode].
func ParseRecoveryCode(text string) (RecoveryCode, error) {
	if len(text) > maxRecoveryLength {
		return RecoveryCode{}, &RecoveryCodeError{0, fmt.Sprintf("%d bytes are too many", len(text))}
	}
	words := strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.Is(unicode.Pd, r)
	})
	// Only if the groups are typed apart can one with a character too few be told.
	if len(words) == recoveryGroups {
		for i, w := range words {
			if n := len([]rune(w)); n != recoveryPerGroup {
				return RecoveryCode{}, &RecoveryCodeError{i + 1, fmt.Sprintf("has %d characters instead of %d", n, recoveryPerGroup)}
			}
		}
	}
	chars := []rune(strings.Join(words, ""))
	var c RecoveryCode
	for g := range min(recoveryGroups, len(chars)/recoveryPerGroup) {
		err := c.parseGroup(g, chars[g*recoveryPerGroup:(g+1)*recoveryPerGroup])
		if err != nil {
			return RecoveryCode{}, err
		}
	}
	if len(chars) != recoveryChars {
		return RecoveryCode{}, &RecoveryCodeError{0, fmt.Sprintf("%d characters instead of %d groups of %d", len(chars), recoveryGroups, recoveryPerGroup)}
	}
	return c, nil
}

func (c *RecoveryCode) parseGroup(g int, chars []rune) error {
	var symbols [recoveryPerGroup]byte
	for i, r := range chars {
		s, ok := recoverySymbol(r)
		if !ok {
			return &RecoveryCodeError{g + 1, fmt.Sprintf("contains %q, which no code does", r)}
		}
		symbols[i] = s
	}
	data := symbols[:recoveryData]
	if recoveryCheck(g, data) != symbols[recoveryData] {
		return &RecoveryCodeError{g + 1, "is mistyped or out of order"}
	}
	copy(c.symbols[g*recoveryData:], data)
	return nil
}

// recoverySymbol returns the value of a typed character.
func recoverySymbol(r rune) (byte, bool) {
	if r >= 'a' && r <= 'z' {
		r -= 'a' - 'A'
	}
	switch r {
	case 'O':
		r = '0'
	case 'I', 'L':
		r = '1'
	}
	i := strings.IndexRune(recoveryAlphabet, r)
	return byte(i), i >= 0
}

// recoveryCheck returns αc₁ + α²c₂ + α³c₃ + (g+1) in GF(32). The factors differ from each
// other and from the check's own 1, so any one wrong character and any two exchanged ones are
// noticed; the group's number notices exchanged groups.
func recoveryCheck(g int, data []byte) byte {
	sum := byte(0)
	for i := len(data) - 1; i >= 0; i-- {
		sum = gf32Double(sum ^ data[i])
	}
	return sum ^ byte(g+1)
}

// gf32Double multiplies by α in GF(2)[x]/(x⁵+x²+1).
func gf32Double(v byte) byte {
	v <<= 1
	if v&32 != 0 {
		v ^= 0b100101
	}
	return v
}

// pack returns the 165 bits, first symbol in the highest bits, padded with three zero bits:
// the material that keys are derived from.
func (c RecoveryCode) pack() []byte {
	packed := make([]byte, (len(c.symbols)*5+7)/8)
	for i, s := range c.symbols {
		for bit := range 5 {
			if s&(16>>bit) != 0 {
				at := i*5 + bit
				packed[at/8] |= 128 >> (at % 8)
			}
		}
	}
	return packed
}
