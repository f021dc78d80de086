// Package pack is the codec of packs: the objects that hold chunks. It is pure; it reads from an
// io.ReaderAt and writes to an io.Writer, and opens no files.
//
// # Vocabulary
//
// A chunk is up to 8 MiB of plaintext under a [crypto.ChunkID]. It is stored raw, or as zstd in
// frames of 256 KiB of plaintext. What is stored is cut into segments of at most 64 KiB, each
// sealed on its own under the pack's key; every frame starts a new segment. A block is the unit of
// reading: one segment of a raw chunk, or one whole frame. An [Entry] says where in a pack a chunk
// lies and how it is coded. The table, sealed at the pack's end, holds all entries.
//
// # Invariants
//
//   - The pack's id is 32 random bytes and the salt of its key. A pack is never sealed twice under
//     one id, so that a nonce (chunk number, segment number, last) is used once per key.
//   - The associated data of a segment is the pack's header and the entry as the table has it. An
//     entry that lies, whatever its origin, yields an error and never another chunk's bytes.
//   - Offsets are not stored. Entries tile the body: an offset is the sum of what lies before it.
//   - Every sealed segment is opened again and compared before it is written, every zstd frame
//     inflated and compared: a bit that flips in memory is not stored for ever.
//   - A pack's length is a Padmé length; the padding is sealed like a chunk and listed in the table.
//   - All lengths are bounded before memory is allocated, plaintext before it is inflated.
//
// # Refusals
//
// Chunks of no bytes do not exist: an empty file has an empty content list, and a segment of no
// bytes would be a tag that protects nothing. [Writer.Add] answers [ErrChunkSize], as it does for more
// than 8 MiB. Damage is an [object.CorruptError]; an impossible entry is [ErrEntry]; a newer format
// is [object.ErrVersion].
package pack
