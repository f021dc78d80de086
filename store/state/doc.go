// Package state keeps what one writer remembers between runs: which
// repository it writes to, who it is, its sources, the heads of its chains, the
// journal of dirty directories, and notes that others keep about sources: when
// they last ran, what alarms stand.
//
// # Invariants
//
//   - Whoever holds a DB owns the state directory: bbolt's lock is taken on
//     open, and no second process gets past it. Nothing else is a lock.
//   - Names never lie here in the clear. Values are sealed, keys that stand
//     for names or paths are keyed hashes: a stolen NAS tells no client's name.
//   - Losing the file costs a full scan and a new chain, never a snapshot.
//     A file that cannot be read is set aside, said aloud, and begun anew.
//   - The repository id and the fingerprint of its keys are pinned on first
//     use, so that a repository swapped underneath is noticed.
//
// A DB is safe for concurrent use.
package state
