package tree_test

import (
	"crypto/sha256"

	"keepsake/store/tree"
)

func id16(s string) (id [16]byte) { copy(id[:], s); return id }

func id32(s string) [32]byte { return sha256.Sum256([]byte(s)) }

func ids32(n int, first byte) (ids [][32]byte) {
	for i := range n {
		ids = append(ids, [32]byte{first + byte(i)})
	}
	return ids
}

func at(sec int64, nsec uint32) tree.Time { return tree.Time{Sec: sec, Nsec: nsec} }

var (
	someID  = id32("some")
	otherID = id32("other")
	someKey = id16("a key slot")
)

// sampleNodes has one node of each type and of each way to hold content.
func sampleNodes() map[string]*tree.Node {
	base := func(name string, typ tree.Type) *tree.Node {
		return &tree.Node{
			Name: []byte(name), Type: typ, Mode: 0o640, UID: 1000, GID: 100, User: "anna", Group: "studio",
			MTime: at(1795270000, 5), CTime: at(1795270001, 0), Inode: 77, Links: 1,
		}
	}
	file := photo(1)
	file.Flags, file.Bundle, file.LinkGroup, file.FS = tree.Torn|tree.Racy, 9, 3, 1
	file.Digests = []tree.Digest{{Algorithm: 0x1e, Sum: []byte("blake3 of the whole file, it says")}}
	file.Xattrs = []tree.Xattr{
		{Name: []byte("system.posix_acl_access"), Large: tree.ExtentList{extent("acl", 0, 5000)}},
		{Name: []byte("user.empty")},
		{Name: []byte("user.rating"), Value: []byte("5")},
	}
	sparse := base("disk.img", tree.File)
	sparse.Content = tree.ExtentList{extent("s", 0, 4096), hole(1 << 40), extent("s", 1, 1)}
	sparse.Size = 4097 + 1<<40
	long := base("film.mov", tree.File)
	long.List, long.Size = &tree.ListRef{Chunk: chunkID("list", 0), Entries: 60000, Bytes: 120e9}, 120e9
	holed := base("vm.img", tree.File)
	holed.List, holed.Size, holed.Holes = &tree.ListRef{Chunk: chunkID("list", 1), Entries: 900, Bytes: 64 << 30}, 64<<30, 60<<30
	dir := base("2026-11-21 Weber", tree.Dir)
	dir.Pages, dir.Entries = chunkID("pages", 0), 212
	dir.Below = tree.Totals{Files: 210, Dirs: 1, Others: 1, Bytes: 3.1e9, Flagged: 2}
	bundle := base("Film.fcpbundle", tree.Dir)
	bundle.Pages, bundle.Entries, bundle.Bundle, bundle.Captured = chunkID("pages", 1), 3, 12, at(1795270009, 7)
	link := base("cover", tree.Symlink)
	link.Target = []byte("../\xff\xfe/cover.jpg")
	device := base("sda1", tree.BlockDevice)
	device.Rdev = tree.Rdev{Major: 8, Minor: 1}
	char := base("null", tree.CharDevice)
	char.Rdev = tree.Rdev{Major: 1, Minor: 3}
	newer := base("newer", tree.File)
	newer.Extra = tree.Extra{{Key: 33, Value: []byte{0x01}}, {Key: 1001, Value: []byte{0xa1, 0x61, 'a', 0x82, 0x20, 0xf5}}}
	crowded := photo(2) // 25 pairs, so that the head of the map has two bytes
	crowded.Content, crowded.Flags, crowded.Bundle, crowded.LinkGroup, crowded.FS = crowded.Content[:1], 1, 2, 3, 4
	crowded.Size = crowded.Content[0].Length
	for k := range uint64(6) {
		crowded.Extra = append(crowded.Extra, tree.Field{Key: 33 + 2*k, Value: []byte{byte(k)}})
	}
	old := base("1931\xff", tree.File)
	old.MTime, old.CTime = at(-1230000000, 999999999), tree.Time{}
	return map[string]*tree.Node{
		"file": file, "empty file": base("empty", tree.File), "sparse": sparse, "long": long, "holed": holed, "directory": dir, "bundle": bundle, "symlink": link,
		"fifo": base("pipe", tree.Fifo), "socket": base("sock", tree.Socket), "character device": char, "block device": device,
		"newer": newer, "crowded": crowded, "photo": photo(1), "old": old,
	}
}

func sampleRoot() tree.Node {
	return tree.Node{Type: tree.Dir, Mode: 0o755, UID: 1000, GID: 100, MTime: at(1795270000, 0), Pages: chunkID("root", 0), Entries: 3}
}

func sampleSnapshot() *tree.Snapshot {
	return &tree.Snapshot{
		Source: id16("source"), Writer: id16("writer"), Number: 17, Previous: &someID, Root: sampleRoot(), Basis: tree.Events,
		Missed:      []tree.Missed{{Path: []byte("a/b\xff.jpg"), Reason: tree.ReasonPermission, Detail: "permission denied"}},
		MissedCount: 3, MissedList: tree.ExtentList{extent("missed", 0, 200)},
		Started: at(1795269933, 250000000), Finished: at(1795269941, 0), RootPath: []byte("/volume1/weddings"),
		Heads: []tree.Head{{Source: id16("other"), Writer: id16("writer"), Number: 4, ID: otherID}},
		Label: "weddings", Host: "nas", User: "anna", Version: "1.0.0", ZoneOffset: 3600, Tags: []string{"album", "delivered"},
		Stats:       tree.Stats{Files: 48212, Dirs: 311, Bytes: 1.33e12, NewFiles: 212, UnchangedFiles: 48000, ReadBytes: 3.1e9, AddedBytes: 3.0e9},
		Filesystems: []tree.Filesystem{{Type: "btrfs", ID: []byte("0123456789abcdef")}},
		Marks:       []string{"many-changes"},
	}
}

// sampleScan says why it scanned, and what it left out.
func sampleScan() *tree.Snapshot {
	return &tree.Snapshot{
		Source: id16("source"), Writer: id16("writer"), Number: 1, Root: sampleRoot(), Basis: tree.Scanned,
		Missed:  []tree.Missed{{Path: []byte("CONTRACTS"), Reason: tree.ReasonRequired}, {Path: []byte("a.cr3"), Reason: tree.ReasonBundle}},
		Started: at(1795269933, 0), Finished: at(1795269941, 0), MissedCount: 2,
		Dropped: []tree.Dropped{{Rule: "CACHEDIR.TAG", Paths: 1}, {Rule: "pattern *.tmp", Paths: 70000}, {Rule: "preset nas-droppings", Paths: 12}},
		Why:     []string{"overflow", "start"},
	}
}

func sampleLedger() map[string]*tree.LedgerEntry {
	base := func(k tree.LedgerKind) *tree.LedgerEntry {
		return &tree.LedgerEntry{Kind: k, Writer: id16("writer"), Time: at(1795270000, 1), Who: "anna@nas", Why: "keep daily 7"}
	}
	named := func(k tree.LedgerKind) *tree.LedgerEntry {
		e := base(k)
		e.Snapshots = []tree.LedgerSnapshot{
			{ID: someID, Source: id16("source"), Writer: id16("writer"), Number: 3},
			{ID: otherID, Source: id16("source"), Writer: id16("writer"), Number: 4},
		}
		e.SortSnapshots()
		return e
	}
	source := id16("source")
	purge := named(tree.Purge)
	purge.Snapshots[0].Replacement = someID[:]
	purge.Paths, purge.Source = [][]byte{[]byte("clients/Weber"), []byte("z")}, &source
	tag, pin := named(tree.Tag), named(tree.Pin)
	tag.Tags, pin.Until = []string{"delivered"}, at(1895270000, 0)
	ack := base(tree.Acknowledge)
	ack.Source = &source
	slot := base(tree.SlotRemoved)
	slot.Slot = &someKey
	return map[string]*tree.LedgerEntry{
		"forget": named(tree.Forget), "undelete": named(tree.Undelete), "purge": purge, "tag": tag, "pin": pin,
		"unpin": named(tree.Unpin), "acknowledge": ack, "slot-removed": slot,
	}
}

func sampleCondemned() map[string]*tree.Condemned {
	return map[string]*tree.Condemned{
		"opening": {Run: id16("run"), Writer: id16("writer"), Started: at(1795270000, 0), Grace: 3600, Packs: ids32(3, 1)},
		"closing": {Run: id16("run"), Writer: id16("writer"), Started: at(1795270000, 0), Opens: &someID, Spared: ids32(1, 1), Deleted: ids32(2, 2)},
	}
}

func sampleCatalog() *tree.Catalog {
	return &tree.Catalog{Session: id16("session"), Writer: id16("writer"), Packs: []tree.CatalogPack{
		{ID: [32]byte{1}, Kind: 8, Epoch: 1, Size: 67108864, Entries: []byte("table")},
		{ID: [32]byte{2}, Kind: 9, Epoch: 2, Size: 1},
	}}
}

func sampleSettings() *tree.Settings {
	return &tree.Settings{
		Polynomial: 0x3DA3358B4DC173, Head: 256 << 10, Fine: tree.Grade{Min: 16 << 10, Max: 256 << 10, Bits: 16},
		Coarse: tree.Grade{Min: 1 << 20, Max: 8 << 20, Bits: 20}, Created: at(1795270000, 0), Creator: "1.0.0",
	}
}

type marshaler interface{ Marshal() ([]byte, error) }

// samples has everything that has an encoding, by a name for test output.
func samples() map[string]marshaler {
	all := map[string]marshaler{
		"snapshot": sampleSnapshot(), "snapshot scan": sampleScan(), "catalog": sampleCatalog(), "settings": sampleSettings(),
		"missed":     &tree.MissedPage{Missed: sampleSnapshot().Missed},
		"page empty": &tree.Page{},
		"page leaf":  &tree.Page{Nodes: []tree.Node{*plain("a"), *plain("b")}, Extra: tree.Extra{{Key: 5, Value: []byte{0x17}}}},
		"page inner": &tree.Page{Level: 1, Children: []tree.Child{{Last: []byte("f"), Chunk: chunkID("c", 1), Entries: 40}, {Last: []byte("q"), Chunk: chunkID("c", 2), Entries: 41}}},
		"list leaf":  &tree.List{Extents: tree.ExtentList{extent("l", 0, 1<<20), hole(4096), extent("l", 1, 7)}},
		"list inner": &tree.List{Level: 2, Children: []tree.ListChild{{Chunk: chunkID("c", 1), Entries: 300, Bytes: 1 << 29}, {Chunk: chunkID("c", 2), Entries: 1, Bytes: 1}}, Extra: tree.Extra{{Key: 5, Value: []byte{0xf4}}}},
	}
	for name, n := range sampleNodes() {
		all["node "+name] = n
	}
	for name, e := range sampleLedger() {
		all["ledger "+name] = e
	}
	for name, c := range sampleCondemned() {
		all["condemned "+name] = c
	}
	return all
}
