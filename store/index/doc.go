// Package index maps chunks to their places in packs.
//
// The index is a cache in the sense of the design: whatever it says is
// checked by whoever opens the chunk (a segment's associated data names its
// pack, chunk and lengths), and the file may be deleted at any time, because
// the packs' own tables say the same. It is the answer to one question — is
// this chunk stored, and where? — asked a few hundred times a second while
// files are backed up.
//
// # Invariants
//
//   - A pack is added only after it is durable under its final name. The
//     pack's record is written in the last transaction of its batch, so a
//     batch cut short leaves a pack that counts as unknown and is added again.
//   - Values are copied out of a transaction before it ends, and transactions
//     are short: a long reader would pin free pages, a long writer would block
//     the mount.
//   - Keys are the first 16 bytes of the chunk id. The id is a keyed hash, so
//     nobody without the key can build a collision, and 128 bits leave none to
//     chance.
//   - Each place and each pack record ends with 32 bits of XXH3 over key and
//     value. bbolt does not checksum its pages; a rotten leaf must read as "not
//     stored", never as a chunk that a new snapshot then relies on.
//
// # Refusals
//
// A file that bbolt cannot read, or that belongs to another repository or to
// another version of this layout, is ErrDamaged or ErrForeign: the caller
// removes it and rebuilds. Faults and panics inside bbolt's mapped file surface
// as ErrDamaged, not as a crash; from then on every method answers ErrDamaged
// until Reset, and Close removes the file.
//
// A DB is safe for concurrent use. Only one process has it open: the owner of
// the state directory.
package index
