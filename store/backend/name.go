package backend

import (
	"fmt"
	"strings"
)

const (
	maxName      = 255 // bytes of a whole name
	maxComponent = 128 // bytes; leaves room for suffixes where file names are short
	maxDepth     = 8   // components
	stagingDir   = "tmp"
	tempSuffix   = ".tmp"
)

// CheckName reports whether name may name an object: one to eight components
// joined by single slashes, each of 1–128 of the characters a–z 0–9 . _ - and
// not beginning with a dot, 255 bytes in all. Upper case is refused because
// SMB and exFAT fold it. The component "tmp" in front and the suffix ".tmp" are
// reserved. The error wraps ErrName.
func CheckName(name string) error {
	if reason := badName(name); reason != "" {
		return fmt.Errorf("%w %.80q: %s", ErrName, name, reason)
	}
	return nil
}

func badName(name string) string {
	if name == "" {
		return "empty"
	}
	if len(name) > maxName {
		return "too long"
	}
	if name == stagingDir || strings.HasPrefix(name, stagingDir+"/") {
		return "reserved for staged objects"
	}
	if strings.HasSuffix(name, tempSuffix) {
		return "reserved for temporary files"
	}
	depth, start := 1, 0
	for i := 0; i <= len(name); i++ {
		if i == len(name) || name[i] == '/' {
			if i == start {
				return "empty component"
			}
			if i-start > maxComponent {
				return "component too long"
			}
			if i < len(name) {
				depth++
			}
			start = i + 1
			continue
		}
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_', c == '-':
		case c == '.' && i > start:
		default:
			return "character not allowed"
		}
	}
	if depth > maxDepth {
		return "too many components"
	}
	return ""
}

// checkPrefix accepts "" and every beginning of a valid name.
func checkPrefix(prefix string) error {
	if prefix == "" || badName(prefix) == "" {
		return nil
	}
	// "data/" and "a/b.tmp" begin longer names, though they are none.
	if reason := badName(prefix + "x"); reason != "" {
		return fmt.Errorf("%w prefix %.80q: %s", ErrName, prefix, reason)
	}
	return nil
}
