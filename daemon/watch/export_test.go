package watch

// The switches of Options.faults, for the tests.

// NoReadAfterWatch leaves new directories unread.
func (o *Options) NoReadAfterWatch() { o.faults.noReadAfterWatch = true }

// IgnoreLost drops the report that events were lost.
func (o *Options) IgnoreLost() { o.faults.ignoreLost = true }

// IgnoreMounts does not look at what is mounted.
func (o *Options) IgnoreMounts() { o.faults.ignoreMounts = true }

// BeforeWatch is called by the owner just before a directory is watched.
func (o *Options) BeforeWatch(f func(rel string)) { o.faults.beforeWatch = f }

// Drop loses the events for which f is true.
func (o *Options) Drop(f func(name string) bool) { o.faults.drop = f }

// Relative, Split and Join are the arithmetic of paths.
var (
	Relative = relative
	Split    = split
	Join     = join
	Absolute = absolute
)

// MountChanges follows what is mounted at and below root, as the owner of the
// loop does.
func MountChanges(root string) (changes func() []string, done func()) {
	m, err := openMounts(root)
	if err != nil {
		panic(err)
	}
	return func() (points []string) {
		changed, err := m.changes()
		if err != nil {
			panic(err)
		}
		for _, c := range changed {
			points = append(points, c.point)
		}
		return points
	}, m.close
}

// KnowsMounts reports whether the kernel tells two mounts of one disk apart.
func KnowsMounts(path string) bool {
	m := mount{point: path}
	m.identify()
	return m.unique != 0
}

// MountPoints are those that a text in the manner of mountinfo lists, with the
// type of each.
func MountPoints(text string) (points []string) {
	for _, m := range parseMounts([]byte(text)) {
		points = append(points, m.point+" "+m.fstype)
	}
	return points
}
