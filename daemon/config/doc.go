// Package config is keepsake.toml: what it may say, what that means, and what is
// said about it.
//
// # Vocabulary
//
// A key is one setting of a section: the top of the file, [notify], [defaults],
// [[source]] or [[source.output]]. A profile is a named set of defaults. What
// [defaults] says counts for every source that does not say otherwise; a source
// replaces a list as a whole, and of keep and guards each key by itself.
// A problem is something that the file may not say; it has a line and a remedy.
// A note is something that it may say and that should be known.
//
// # One table
//
// keys.go has one line for each key: its type, where its value goes, its default
// in each profile and the reason for that. Reading, writing, config show and the
// reference in packaging/examples come from it, and so they agree.
//
// # Invariants
//
//   - All problems are reported at once, in the order of their lines. Only text
//     that is not TOML has one alone.
//   - A Config without problems has every default filled in; what Marshal writes
//     of it is read as an equal one.
//   - What a file says with two keys that mean the same is held in one way, so
//     that two configurations are compared by their values.
//
// # Refusals
//
// Unknown keys, for they are misspelt ones; sizes in GB and paths that begin with
// ~, for they mean one thing here and another there; sources that would hold
// themselves; metrics that another machine can reach. And a file that runs
// commands while somebody else may write it, for he could then run his own.
package config
