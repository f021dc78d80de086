package doctor

// ExtFastCommit reads the superblock of a device or image.
var ExtFastCommit = extFastCommit

// UserAllowOther is what /etc/fuse.conf below root says to ordinary users.
func UserAllowOther(root string) bool {
	return (&examination{o: Options{Root: root}}).userAllowOther()
}

// Shell quotes a path.
var Shell = shell
