package store

import (
	"errors"
	"fmt"

	"keepsake/crypto"
	"keepsake/store/index"
	"keepsake/store/object"
	"keepsake/store/pack"
	"keepsake/store/tree"
)

// ProblemKind says what is wrong, in a word that programs may rely on.
type ProblemKind string

// The kinds of problems.
const (
	DamagedPack     ProblemKind = "damaged-pack"     // bytes of a pack are not what was written
	MissingPack     ProblemKind = "missing-pack"     // the index knows the pack, the repository has it no more
	MissingChunk    ProblemKind = "missing-chunk"    // a snapshot refers to chunks that are in no pack
	DamagedSnapshot ProblemKind = "damaged-snapshot" // a manifest
	DamagedRecord   ProblemKind = "damaged-record"   // ledger, catalog or condemned
	DamagedCopy     ProblemKind = "damaged-copy"     // one of the two copies of config, a key slot or an epoch
	DamagedKeys     ProblemKind = "damaged-keys"     // both of them, or one that is intact and not authentic
	Misplaced       ProblemKind = "misplaced"        // an intact object under a name that is not its own
	BrokenChain     ProblemKind = "broken-chain"     // a gap, a duplicate, or another predecessor
	BrokenTree      ProblemKind = "broken-tree"      // pages, lists and chunks that contradict each other
	WrongIndex      ProblemKind = "wrong-index"      // index.db says what no pack says
	NewerFormat     ProblemKind = "newer-format"     // intact, but this program is too old for it
	UnknownEpoch    ProblemKind = "unknown-epoch"    // intact, but sealed under a key that is not in keys/
)

// AffectedPath is a path that cannot be read whole.
type AffectedPath struct {
	Snapshot SnapshotID
	// Path is relative to the snapshot's root, in raw bytes; empty for the root
	// itself, and for a snapshot's list of missed paths.
	Path string
	// Below says that a part of the directory cannot be listed: what lies there
	// is affected as well, and nobody can say what it is.
	Below bool
}

// Problem is something that is wrong with a repository.
type Problem struct {
	Object string // name in the repository, "index.db", or empty for chunks that are in no object
	Kind   ProblemKind
	Err    error // the first cause
	// Chunk is the first of Chunks damaged or missing chunks; zero if there are
	// none. A pack of which nothing can be read counts as one chunk.
	Chunk  crypto.ChunkID
	Chunks int
	// Paths are the first PathCount affected paths, at most MaxPaths of them.
	Paths     []AffectedPath
	PathCount int
	// Mended says that the check has put it right.
	Mended bool
	// Remedy says to a person what to do.
	Remedy string
}

// MaxPaths bounds Problem.Paths.
const MaxPaths = 1000

func (p Problem) String() string {
	name := p.Object
	if name == "" {
		name = "chunk " + p.Chunk.String()
	}
	return fmt.Sprintf("%s: %s: %v", name, p.Kind, p.Err)
}

// damageKind tells an object of a newer format from a damaged one, since the
// remedies have nothing in common.
func damageKind(damaged ProblemKind, err error) ProblemKind {
	switch {
	case errors.Is(err, object.ErrVersion), errors.Is(err, tree.ErrUnknownKey):
		return NewerFormat
	case errors.Is(err, crypto.ErrUnknownEpoch):
		return UnknownEpoch
	case errors.Is(err, errName):
		return Misplaced
	}
	return damaged
}

const (
	remedyPack    = "Run a backup while the source still has the affected files: it stores them anew, and the old snapshots heal with it. Or put the pack back from another copy of the repository. Then check again, and look at the disk: it returns other bytes than were written."
	remedyUnhurt  = "No file is affected. Run a backup: what the pack holds is stored anew where the source still has it. Or put the pack back from another copy of the repository."
	remedyUnknown = "What it holds cannot be found, since its table cannot be read and the index does not know it. Put the pack back from another copy of the repository, and check again."
	remedyLaidOff = "Nothing needs to be done: no snapshot relies on this pack any more, what it held is stored elsewhere."
	remedyMissing = "Put the missing packs back from another copy of the repository, or run a backup while the source still has the affected files: it stores them anew."
	remedyIndex   = "The index has been corrected; nothing is lost. Check the memory and the disk that holds the state directory."
	remedyNewer   = "Nothing is wrong with the object: a newer keepsake wrote it. Update this one."
	remedyEpoch   = "The keys were rotated after this process had opened the repository: run the command again. If that does not help, an epoch record is missing: put keys/ back from another copy of the repository."
	remedyTree    = "The objects are intact and contradict each other, so a program wrote them so. Take a new backup of the source, and report this as a bug of keepsake."
	remedyName    = "Somebody has renamed or swapped objects. Put the object that belongs under this name back from another copy of the repository."
)

// general is the remedy of kinds that have the same for every object.
func (k ProblemKind) general() string {
	switch k {
	case NewerFormat:
		return remedyNewer
	case UnknownEpoch:
		return remedyEpoch
	case BrokenTree:
		return remedyTree
	case Misplaced:
		return remedyName
	case MissingPack, MissingChunk:
		return remedyMissing
	}
	return ""
}

// withRemedy sets the remedy to the kind's own or, if it has none, to another.
func (p Problem) withRemedy(otherwise string) Problem {
	if p.Remedy = p.Kind.general(); p.Remedy == "" {
		p.Remedy = otherwise
	}
	return p
}

// remedySealed says what losing an object that is named by its own hash means.
func remedySealed(kind object.Kind) string {
	switch kind {
	case object.Snapshot:
		return "This one snapshot cannot be read; the others are not affected. Put the object back from another copy of the repository. Its files are stored and will be found by the next backup."
	case object.Ledger:
		return "What this entry recorded (a forget, a tag, a pin) is unknown. Put the object back from another copy of the repository; until then nothing should be pruned."
	case object.Catalog:
		return "Nothing is lost: the packs' own tables say the same. The object may be removed."
	case object.Condemned:
		return "Nobody can say which packs it condemns, so backups are refused until it is gone. Put the object back from another copy of the repository, or remove it if no prune is running anywhere."
	}
	return "Put the object back from another copy of the repository."
}

func remedyCopy(name, other string) string {
	return fmt.Sprintf("The other copy still works. Copy %s to %s in the repository.", other, name)
}

func remedyKeys(kind object.Kind) string {
	switch kind {
	case object.Config:
		return "Without its configuration nobody can open the repository. Put config back from another copy of it, now, while this process still has it open."
	case object.Epoch:
		return "Without this record the keys of later epochs cannot be opened. Put it back from another copy of the repository, now, while this process still has it open."
	}
	return "This secret does not open the repository any more. Other slots still do: add the secret again with keepsake key add, or put the slot back from another copy of the repository."
}

// fault is a pack of which something cannot be read, or the collection of all
// chunks that are in no pack, while a check goes on.
type fault struct {
	problem Problem
	pack    index.Pack
	marked  bool // the index had it as damaged before
	quiet   bool // a problem only if a path is affected
	// whole says that nothing in the pack can be read; noTable that its table
	// cannot, so that chunks are tried when something refers to them.
	whole, noTable bool
	bad            map[crypto.ChunkID]bool // chunk → damaged; those that were tried if noTable
}

// maxBad bounds the damaged chunks that a check remembers one by one; packs
// found damaged beyond that count as damaged in whole. Some 80 MiB.
const maxBad = 1 << 20

func (f *fault) addBad(id crypto.ChunkID, err error) {
	if f.bad == nil {
		f.bad = map[crypto.ChunkID]bool{}
	}
	if f.bad[id] {
		return
	}
	if f.problem.Chunks == 0 {
		f.problem.Chunk, f.problem.Err = id, err
	}
	f.problem.Chunks++
	f.bad[id] = true
}

// addPath notes a path that is affected by f.
func (f *fault) addPath(p AffectedPath) {
	f.problem.PathCount++
	if len(f.problem.Paths) < MaxPaths {
		f.problem.Paths = append(f.problem.Paths, p)
	}
}

func packFault(p index.Pack, kind ProblemKind, err error) *fault {
	return &fault{pack: p, marked: p.Damaged, problem: Problem{Object: packName(p.Kind, p.ID), Kind: damageKind(kind, err), Err: err}}
}

// finish fills in the remedy, when all paths are known.
func (f *fault) finish() Problem {
	switch {
	case f.problem.Remedy != "":
		return f.problem
	case f.problem.PathCount == 0:
		return f.problem.withRemedy(remedyUnhurt)
	}
	return f.problem.withRemedy(remedyPack)
}

// Subset names the packs of which the first 8 bytes of the id, modulo Of, are
// N-1: 1/5, 2/5 … 5/5 are all of them. The zero value means all.
type Subset struct{ N, Of uint64 }

func (s Subset) validate() error {
	if s != (Subset{}) && (s.Of == 0 || s.N == 0 || s.N > s.Of) {
		return fmt.Errorf("there is no part %d of %d", s.N, s.Of)
	}
	return nil
}

func (s Subset) has(id pack.ID) bool {
	if s.Of == 0 {
		return true
	}
	var n uint64
	for _, b := range id[:8] {
		n = n<<8 | uint64(b)
	}
	return n%s.Of == s.N-1
}
