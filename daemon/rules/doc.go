// Package rules says what is left out of a source on purpose, and by which rule:
// patterns as in .gitignore, presets of what editing programs and file servers
// leave behind, and the tag by which directories call themselves caches. It
// touches no disk; whether a tag is there is found by whoever reads directories.
//
// # Invariants
//
//   - Patterns mean what gitignore(5) says; git itself is asked in a test.
//   - Nothing is left out unless somebody said so, and whatever is left out has a
//     rule that can be named to people.
//   - A preset holds only what its program makes anew by itself, and says so
//     beside each pattern.
//   - Matching takes time in proportion to the length of pattern and path,
//     however many stars a pattern has.
package rules
