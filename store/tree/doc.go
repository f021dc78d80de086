// Package tree is the codec of everything that describes files: nodes, the pages of directories, the lists of long files' contents,
// and the records (snapshots, ledger entries, condemned packs, catalogs, settings). It does no input or output and knows no
// keys: builders hand finished chunks to a function of their caller, walks fetch chunks by one.
//
// # Vocabulary
//
// A node is one entry of a directory, or the root of a snapshot. A page is a piece of a directory's sorted entries; pages of upper
// levels name pages below. An extent is a piece of a file's content: a chunk, or a hole. A list is a piece of a
// long file's extents, with levels as pages have them. A record is the plaintext of one sealed object.
//
// # Invariants
//
// Encodings are canonical: every value has one encoding, and a parser accepts no other. They are CBOR under the core deterministic rules
// of RFC 8949 without floats, tags, null and indefinite lengths. Fields that have their zero value are left out, except where a
// record's struct tag says otherwise. Maps have integer keys and may grow: an even key must be understood, an odd one may be
// ignored and is preserved verbatim in Extra. Arrays never grow.
//
// Pages depend on the set of a directory's entries alone, lists on the sequence of a file's extents alone; so equal directories and
// files share their chunks, and a change rewrites the pages around it and the way to the root.
//
// Numbers add up: the extents of a file to its size, the entries and bytes under a page or list chunk to what the level above says.
// No sum exceeds MaxInt64. Levels fall by one with each step down, so no walk runs in circles, and at most MaxLevels deep.
//
// # Refusals
//
// Every length, count and depth is bounded before memory is allocated for it. Names that could lead out of their directory are refused when
// they are written and when they are read. A parser returns a value or an error, never both; each error wraps one of the sentinels in
// errors.go. A walk yields what came before an error, then the error.
//
// Values that parsers return share no memory with their input.
package tree
