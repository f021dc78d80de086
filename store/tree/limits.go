package tree

import "math"

// Limits of the format. A parser checks each before it allocates; a builder checks the same ones before it writes, so
// that nothing is stored that could not be read back.
const (
	// MaxName is the longest name of a directory entry or an extended attribute, in bytes.
	MaxName = 255
	// MaxTarget is the longest target of a symbolic link, in bytes. Linux stops at 4,095; the longest reparse
	// points of NTFS need 16 KiB.
	MaxTarget = 32 << 10
	// MaxOwner is the longest user or group name, in bytes.
	MaxOwner = 256
	// MaxXattrs bounds the extended attributes of one node.
	MaxXattrs = 1024
	// MaxXattrInline is the longest attribute value kept in the node; longer ones go to chunks of their own.
	MaxXattrInline = 4 << 10
	// MaxInline is the largest number of content entries kept in a node; longer ones become a list.
	MaxInline = 64
	// MaxChunk is the largest plaintext of one chunk, in bytes.
	MaxChunk = 8 << 20
	// MaxDigests and MaxDigest bound the further digests of one node: their number, and the bytes of each.
	MaxDigests = 16
	MaxDigest  = 64
	// MaxExtra bounds the fields of one map that this version does not know but preserves, in bytes of all their
	// values; MaxExtraFields their number.
	MaxExtra       = 64 << 10
	MaxExtraFields = 64
	// MaxNode is the longest encoding of a node. A node within the limits above never reaches it.
	MaxNode = 5 << 20

	// MaxPageEntries and MaxPageBytes are where a page is cut at the latest. A page longer than MaxPageBytes
	// holds a single entry.
	MaxPageEntries = 256
	MaxPageBytes   = 64 << 10
	// MaxLevels bounds the height of a tree of pages or list chunks: levels 0 (leaves) to MaxLevels-1.
	MaxLevels = 8

	// MinListEntries and MaxListEntries bound the entries of a list chunk; only the last chunk of a level may
	// have fewer.
	MinListEntries = 64
	MaxListEntries = 1024

	// MaxSize is the largest size of a file, in bytes.
	MaxSize = math.MaxInt64
	// MaxRecord is the longest encoding of a snapshot, ledger entry, catalog, condemned record or settings: what
	// one sealed object may hold.
	MaxRecord = 16 << 20
	// MaxString bounds labels, host names, tags, reasons and other free text of records, in bytes.
	MaxString = 4 << 10
	// MaxPath bounds paths in records, in bytes.
	MaxPath = 64 << 10
	// MaxMissedInline is the largest number of missed paths kept in the snapshot itself.
	MaxMissedInline = 64
	// MaxRecordEntries bounds each list of a record.
	MaxRecordEntries = 512 << 10

	// maxPage is the longest page: one node of the largest size, extra fields and the page's own head.
	maxPage = MaxNode + MaxExtra + 4096
	// maxListChunk: MaxListEntries inner entries of at most 52 bytes, extra fields and the head.
	maxListChunk = MaxListEntries*64 + MaxExtra + 4096
	// maxNesting bounds the nesting of unknown fields.
	maxNesting = 16
)
