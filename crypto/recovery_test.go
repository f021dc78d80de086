package crypto_test

import (
	"errors"
	"strings"
	"testing"

	"keepsake/crypto"
)

func newCode(t testing.TB, seed byte) crypto.RecoveryCode {
	t.Helper()
	c, err := crypto.GenerateRecoveryCode(noise(seed))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRecoveryCodeAsPeopleTypeIt(t *testing.T) {
	c := newCode(t, 4)
	p := c.Printable()
	folded := strings.NewReplacer("0", "o", "1", "l").Replace(p)
	for name, typed := range map[string]string{
		"as printed":   p,
		"lower case":   strings.ToLower(p),
		"spaces":       strings.ReplaceAll(p, "-", "  "),
		"lines":        " " + strings.ReplaceAll(p, "-", "\r\n") + "\n",
		"nothing":      strings.ReplaceAll(p, "-", ""),
		"en dashes":    strings.ReplaceAll(p, "-", " – "),
		"O and l":      folded,
		"capital I":    strings.ReplaceAll(p, "1", "I"),
		"other groups": p[:2] + " " + p[2:],
	} {
		got, err := crypto.ParseRecoveryCode(typed)
		if err != nil {
			t.Errorf("%s: %q: %v", name, typed, err)
		} else if got != c {
			t.Errorf("%s: %q is another code", name, typed)
		}
	}
}

// Every wrong character, every exchange of neighbours and every exchange of two groups must be
// found, and laid to the right group.
func TestRecoveryCodeNamesTheGroup(t *testing.T) {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	p := newCode(t, 5).Printable()
	blame := func(typed string, groups ...int) {
		t.Helper()
		_, err := crypto.ParseRecoveryCode(typed)
		var re *crypto.RecoveryCodeError
		if !errors.As(err, &re) || !errors.Is(err, crypto.ErrRecoveryCode) {
			t.Fatalf("%s: got error %v", typed, err)
		}
		for _, g := range groups {
			if re.Group == g {
				return
			}
		}
		t.Fatalf("%s: error %q, want group %v", typed, err, groups)
	}
	for i := range p {
		if p[i] == '-' {
			continue
		}
		for _, c := range alphabet {
			if typed := p[:i] + string(c) + p[i+1:]; typed != p {
				blame(typed, i/5+1)
			}
		}
		for _, c := range "U!ß" {
			blame(p[:i]+string(c)+p[i+1:], i/5+1)
		}
		blame(p[:i]+p[i+1:], i/5+1)                      // a character too few
		blame(p[:i]+string(p[i])+p[i:], i/5+1)           // one too many
		for j := i + 1; j < len(p) && p[j] != '-'; j++ { // two exchanged within the group
			if p[i] != p[j] {
				blame(p[:i]+string(p[j])+p[i+1:j]+string(p[i])+p[j+1:], i/5+1)
			}
		}
	}
	groups := strings.Split(p, "-")
	for i := range groups {
		for j := i + 1; j < len(groups); j++ {
			groups[i], groups[j] = groups[j], groups[i]
			blame(strings.Join(groups, "-"), i+1)
			groups[i], groups[j] = groups[j], groups[i]
		}
	}
	blame(strings.Join(groups[:10], "-"), 0)
	blame(p+"-AAAA", 0)
	blame("", 0)
	blame(strings.Repeat(p, 6), 0)

	_, err := crypto.ParseRecoveryCode("x" + p[1:])
	if want := "wrong recovery code: group 1 of 11 is mistyped or out of order"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestKeyFile(t *testing.T) {
	text, secret, err := crypto.GenerateKeyFile(noise(6))
	if err != nil {
		t.Fatal(err)
	}
	s := string(text)
	for name, in := range map[string]string{
		"as written": s, "no newline": strings.TrimSpace(s), "CRLF": strings.TrimSpace(s) + "\r\n", "indented": "\t " + s + "\n",
	} {
		got, err := crypto.ParseKeyFile([]byte(in))
		if err != nil || got != secret {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, in := range map[string]string{
		"empty":            "",
		"only the magic":   "keepsake-key-1 ",
		"other magic":      strings.Replace(s, "key-1", "key-2", 1),
		"upper case":       "keepsake-key-1 " + strings.ToUpper(s[15:]),
		"cut short":        s[:len(s)-2],
		"longer":           strings.TrimSpace(s) + "0",
		"two lines":        s + s,
		"no hyphen":        strings.Replace(s, "-", "x", 3),
		"not hexadecimal":  s[:20] + "g" + s[21:],
		"oversized":        s + strings.Repeat(" ", 2000),
		"hyphen elsewhere": s[:79] + "0" + s[80:],
	} {
		_, err := crypto.ParseKeyFile([]byte(in))
		if !errors.Is(err, crypto.ErrKeyFile) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for i := len("keepsake-key-1 "); i < len(s)-1; i++ { // every digit is checked
		other := "0"
		if s[i] == '0' {
			other = "1"
		}
		if _, err := crypto.ParseKeyFile([]byte(s[:i] + other + s[i+1:])); !errors.Is(err, crypto.ErrKeyFile) {
			t.Errorf("digit %d changed: error %v", i, err)
		}
	}
}
