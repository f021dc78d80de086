// Package chunking decides where files are cut into chunks.
//
// Cut points depend on content, not on offsets: bytes inserted at the head of
// a file move the cuts that follow along with the content, so most chunks of
// an edited file are already in the store.
//
// # Vocabulary
//
// The fingerprint at a position is the Rabin fingerprint of the 64 bytes
// before it, modulo the repository's secret [Polynomial]. A [Grade] says how
// finely to cut: a minimum and a maximum size, and how many low bits of the
// fingerprint must be zero for a position to be a candidate. A chunk ends at
// the first candidate that is at least the minimum after its start, else at
// the maximum, else where the file ends.
//
// [Params] holds two grades. Metadata editors rewrite the heads of files and
// shift the rest, so a chunk that starts within the head of a file is cut with
// the fine grade and all later ones with the coarse grade. Files that programs
// change in place by pages (see [PageEdited]) are cut with the fine grade
// throughout. The fine grade's last chunk in the head ends at a candidate
// (or at the fine maximum), which usually puts the first coarse chunk of an
// edited file where it was before the edit.
//
// # Invariants
//
//   - The chunks of a reader, concatenated, are exactly its bytes.
//   - Cuts are a function of the parameters, the start offset, the choice of
//     grade and the bytes. How the reader divides its bytes into reads does
//     not matter.
//   - No chunk is longer than [MaxChunk], and none is empty.
//   - A reader's error reaches the caller; it never looks like the end of the
//     file. The first end or error is final: a file that grows while it is
//     read ends where its end was first seen.
//
// The parameters are constants of a repository: changing any of them stores
// every changed file anew. The polynomial is secret, since whoever knows it can
// tell known files by the lengths of their chunks; it prints as "[secret]".
//
// # Refusals
//
// The package reads no files, allocates no chunk buffers beyond what the
// caller's lack, computes no chunk ids, and knows nothing of holes: the caller
// resets the [Splitter] at each stretch of data.
package chunking
