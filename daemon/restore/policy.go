package restore

import (
	"fmt"
	"strings"
)

// Policy says what happens to entries that exist in the target. Existing
// directories are merged under every policy.
type Policy uint8

// The policies. The zero value is the one that leaves the target as the
// snapshot says.
const (
	// Always replaces whatever is there.
	Always Policy = iota
	// IfChanged leaves a file of the same content in place and brings its
	// metadata up to date. Content is the same if the size is and the SHA-256
	// is; without a stored SHA-256, if size and modification time are.
	IfChanged
	// IfNewer replaces what has an earlier modification time than the snapshot.
	IfNewer
	// Never leaves alone whatever is there, metadata included.
	Never
)

var policyWords = [...]string{"always", "if-changed", "if-newer", "never"}

// String returns the word that ParsePolicy understands.
func (p Policy) String() string {
	if int(p) >= len(policyWords) {
		return "unknown"
	}
	return policyWords[p]
}

// ParsePolicy returns the policy of that name, or ErrPolicy. An empty word
// means the default.
func ParsePolicy(word string) (Policy, error) {
	if word == "" {
		return Always, nil
	}
	for i, w := range policyWords {
		if w == word {
			return Policy(i), nil
		}
	}
	return 0, fmt.Errorf("%w %q: say one of %s", ErrPolicy, word, strings.Join(policyWords[:], ", "))
}
