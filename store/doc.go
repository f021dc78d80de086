// Package store keeps snapshots: it opens a repository, writes chunks into
// packs and snapshots into chains, reads them back, checks and rebuilds.
//
// A repository is a set of immutable objects (see FORMAT.md) behind the small
// interface in objects.go. It is the only truth: the index (store/index) is a
// cache of it, and the state (store/state) is one writer's memory.
//
// # Rooms
//
// Codecs that never touch a disk lie in object (the envelope), pack (chunks)
// and tree (metadata). retention, as pure, decides which snapshots are still
// wanted. backend holds the objects, durable is the seam under it.
// Data flows one way. Backing up: Writer → pack → backend, then the index,
// then the snapshot. Reading: Repository → index → backend → pack → crypto.
//
// # Invariants
//
//   - Write order. Packs are synced, then renamed, then their directories are
//     synced; then the index is committed; then the snapshot is published the
//     same way; then condemned/ is listed again; only then is the snapshot
//     announced. One function owns each half: (*Writer).commit and
//     (*Writer).Publish.
//   - What others published is made sure of by a sync of its directory before
//     the index or the state takes note: its writer may have been killed between
//     the rename and that sync. Where a sync has failed, only a new process may.
//   - A new index is in doubt until its repository turns out to be new as well.
//   - A chunk is known only if the index confirms it and its pack is neither
//     condemned nor damaged.
//   - After a failed sync the session is over: its unpublished packs are
//     discarded, and the next session seals their chunks anew under new names.
//   - Every byte is authenticated before it is handed out. A lying index leads
//     to the pack's own table or to a DamageError, never to other bytes.
//   - What a reader has borrowed from the cache stays as it is until it is given
//     back. Only then, and when the cache has dropped it, is its memory used for
//     other blocks. What is never given back is left to the collector.
//   - A configuration is published last and removed first. Objects without one
//     are a damaged repository, in whose place none is made.
//   - What becomes of snapshots later is said by entries in the ledger alone, and
//     the last one counts, in whatever order they are read. To forget is to say so: the
//     manifest stays until a prune, and can be brought back. Numbers of
//     forgotten snapshots are never given again.
//   - Nothing forgets the newest snapshot of a chain that missed nothing, or what
//     is pinned; and nothing at all as long as the ledger cannot be read in full.
//   - index.db may be deleted at any time, and so may the whole state
//     directory; what that cost is said through Options.Notice.
//   - Memory is bounded by Options, not by the size of the repository.
//
// # Refusals
//
// A repository of a newer format, one whose id or keys are not those that the
// state directory remembers, and one that has lost snapshots which the state
// remembers are refused with an error that says what to do. There is no
// plaintext mode.
package store
