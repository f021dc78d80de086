package capture

// Bound makes a table smaller than any real one.
func (l *Links) Bound(inodes, places int) { l.bounds = [2]int{inodes, places} }
