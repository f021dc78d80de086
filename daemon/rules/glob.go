package rules

import "errors"

// A glob matches one element of a path, byte by byte as gitignore(5) does:
// names need not be text. * matches any bytes, ? one, [a-z] one of a class, [!…]
// and [^…] one that is not in it; \ takes its meaning from what follows.

var errGlob = errors.New("a bracket in it is not closed or names an unknown class, or it ends after a backslash")

// glob reports whether a pattern of one element matches a name. A pattern that
// does not pass checkGlob matches nothing.
func glob(pattern, name string, fold bool) bool {
	back, from := -1, 0 // where the last star ends, and what it has taken so far
	p, n := 0, 0
	for n < len(name) || p < len(pattern) {
		if p < len(pattern) && pattern[p] == '*' {
			p++
			back, from = p, n
			continue
		}
		if p < len(pattern) && n < len(name) {
			if next, ok := globByte(pattern, p, name[n], fold); ok {
				p, n = next, n+1
				continue
			}
		}
		if back < 0 || from >= len(name) {
			return false
		}
		from++ // the last star takes one byte more
		p, n = back, from
	}
	return true
}

// globByte matches one byte, and returns where the pattern goes on.
func globByte(pattern string, p int, b byte, fold bool) (next int, ok bool) {
	switch pattern[p] {
	case '?':
		return p + 1, true
	case '[':
		in, end, err := class(pattern, p, b, fold)
		return end, in && err == nil
	case '\\':
		if p++; p == len(pattern) {
			return p, false
		}
	}
	return p + 1, same(pattern[p], b, fold)
}

func same(a, b byte, fold bool) bool { return a == b || fold && lower(a) == lower(b) }

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		b += 'a' - 'A'
	}
	return b
}

// checkGlob reports what is wrong with a pattern of one element.
func checkGlob(pattern string) error {
	for p := 0; p < len(pattern); p++ {
		switch pattern[p] {
		case '\\':
			if p++; p == len(pattern) {
				return errGlob
			}
		case '[':
			_, end, err := class(pattern, p, 0, false)
			if err != nil {
				return err
			}
			p = end - 1
		}
	}
	return nil
}

// class reports whether a byte is in the class that begins at an offset, and
// where the pattern goes on.
func class(pattern string, p int, b byte, fold bool) (in bool, end int, err error) {
	p++
	negated := p < len(pattern) && (pattern[p] == '!' || pattern[p] == '^')
	if negated {
		p++
	}
	for first := true; p < len(pattern); first = false {
		switch {
		case pattern[p] == ']' && !first:
			return in != negated, p + 1, nil
		case pattern[p] == '[' && p+1 < len(pattern) && pattern[p+1] == ':':
			name, length := className(pattern[p:])
			if length == 0 { // [[:x] is a class of these bytes
				in = in || same('[', b, fold)
				p++
				continue
			}
			has := named(name)
			if has == nil {
				return false, 0, errGlob
			}
			in = in || has(b) || fold && (has(lower(b)) || name == "upper" && 'a' <= b && b <= 'z')
			p += length
			continue
		}
		low, next, err := classByte(pattern, p)
		if err != nil {
			return false, 0, err
		}
		high := low
		if next+1 < len(pattern) && pattern[next] == '-' && pattern[next+1] != ']' {
			if high, next, err = classByte(pattern, next+1); err != nil {
				return false, 0, err
			}
		}
		in = in || low <= b && b <= high || fold && low <= lower(b) && lower(b) <= high
		p = next
	}
	return false, 0, errGlob
}

func classByte(pattern string, p int) (b byte, next int, err error) {
	if pattern[p] == '\\' {
		p++
	}
	if p >= len(pattern) {
		return 0, 0, errGlob
	}
	return pattern[p], p + 1, nil
}

// className splits [:alpha:] off; length is 0 if there is no such thing.
func className(pattern string) (name string, length int) {
	for i := 2; i < len(pattern) && pattern[i] != ']'; i++ {
		if pattern[i] == ':' && i+1 < len(pattern) && pattern[i+1] == ']' {
			return pattern[2:i], i + 2
		}
	}
	return "", 0
}

// named returns one of the classes of POSIX, for ASCII; nil if there is none.
func named(name string) func(byte) bool {
	switch name {
	case "alnum":
		return func(b byte) bool { return letter(b) || digit(b) }
	case "alpha":
		return letter
	case "blank":
		return func(b byte) bool { return b == ' ' || b == '\t' }
	case "cntrl":
		return func(b byte) bool { return b < ' ' || b == 0x7f }
	case "digit":
		return digit
	case "graph":
		return func(b byte) bool { return '!' <= b && b <= '~' }
	case "lower":
		return func(b byte) bool { return 'a' <= b && b <= 'z' }
	case "print":
		return func(b byte) bool { return ' ' <= b && b <= '~' }
	case "punct":
		return func(b byte) bool { return '!' <= b && b <= '~' && !letter(b) && !digit(b) }
	case "space":
		return func(b byte) bool { return b == ' ' || '\t' <= b && b <= '\r' }
	case "upper":
		return func(b byte) bool { return 'A' <= b && b <= 'Z' }
	case "xdigit":
		return func(b byte) bool { return digit(b) || 'a' <= lower(b) && lower(b) <= 'f' }
	}
	return nil
}

func letter(b byte) bool { return 'a' <= lower(b) && lower(b) <= 'z' }
func digit(b byte) bool  { return '0' <= b && b <= '9' }
