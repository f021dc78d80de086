package capture

import "keepsake/store/tree"

// Bound makes a table smaller than any real one.
func (l *Links) Bound(inodes, places int) { l.bounds = [2]int{inodes, places} }

// Halfway asks about a file of a size and a change time on a file system that has
// both change times and inode numbers, or neither.
func Halfway(size uint64, ctime tree.Time, exact bool, previous *tree.Node) bool {
	return halfway(stat{typ: tree.File, size: size, ctime: ctime, inode: 7}, mounted{exact: exact, stable: exact}, previous)
}
