package history

import (
	"crypto/sha256"
	"encoding/binary"

	"keepsake/store/tree"
)

// content stands for what a reader of a node gets. Two nodes with the same are
// the same version.
type content [16]byte

// contentOf takes a node's content by its digest if that is known, and by its
// chunks otherwise.
func contentOf(n *tree.Node, scratch []byte) (content, []byte) {
	if n.Type == tree.Dir {
		return content(n.Pages[:16]), scratch
	}
	b := append(scratch[:0], byte(n.Type))
	b = binary.BigEndian.AppendUint64(b, n.Size)
	switch {
	case n.Type != tree.File:
		b = binary.BigEndian.AppendUint32(b, n.Rdev.Major)
		b = binary.BigEndian.AppendUint32(b, n.Rdev.Minor)
		b = append(b, n.Target...)
	case n.SHA256 != nil:
		b = append(append(b, 1), n.SHA256[:]...)
	case n.List != nil:
		b = append(append(b, 2), n.List.Chunk[:]...)
	default:
		b = append(b, 3)
		for _, e := range n.Content {
			b = binary.BigEndian.AppendUint64(b, e.Length)
			b = append(b, e.Chunk[:]...)
		}
	}
	sum := sha256.Sum256(b)
	return content(sum[:16]), b
}
