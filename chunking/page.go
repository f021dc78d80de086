package chunking

import "bytes"

var sqliteMagic = []byte("SQLite format 3\x00")

// PageEdited reports whether head, the first bytes of a file (16 suffice),
// belongs to a format whose programs change files in place by pages: SQLite
// databases, among them the catalogues of photo editors. Such files are best
// cut with the fine grade throughout.
func PageEdited(head []byte) bool {
	return bytes.HasPrefix(head, sqliteMagic)
}
