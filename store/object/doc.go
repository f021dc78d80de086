// Package object is the envelope that every stored object shares. It is pure: no files, no clock.
//
// # Vocabulary
//
// An object is an immutable sequence of bytes in the repository. Its header (16 bytes) names the
// kind, the format version, the cipher suite and the key epoch; its last 16 bytes are an XXH3-128
// of everything before them. A framed object (suite 0, epoch 0) carries its payload in the clear:
// the configuration, key slots and epoch records, which must be readable before any key is known.
// A sealed object carries one AEAD message under a key of its own, derived from 32 random bytes of
// salt in the object. Packs share the header and the checksum; package pack knows their inside.
//
// # Invariants
//
//   - The magic stands at byte 0, the version at byte 8 and the checksum at the very end in every
//     version there will ever be, so that a scrub can check objects that it cannot read.
//   - The checksum finds rot, not malice. It needs no key and proves nothing to anyone who has one;
//     authenticity is the AEAD's work, whose associated data is the whole header.
//   - An encoding is canonical: what decodes encodes to the same bytes.
//   - Lengths are bounded before memory is allocated.
//
// # Refusals
//
// Damage is a [*CorruptError] and satisfies errors.Is(err, ErrCorrupt). An intact object of a newer
// format is [ErrVersion], never corruption. An epoch that the keyring lacks is the crypto package's
// error: the object may be perfectly well.
package object
