package fusefs_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"keepsake/fusefs"
)

// TestRootHasNoGroup looks at the root, whose group has no rights since the
// kernel would ask for an ACL again and again, and has everybody enter it, the
// members of its owner's group included.
func TestRootHasNoGroup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can look with another user's eyes")
	}
	m, _, _, _, _ := view(t, func(o *fusefs.Options) { o.AllowOther = true })
	openUp(t, m.dir)
	var st unix.Stat_t
	if err := unix.Stat(m.dir, &st); err != nil {
		t.Fatal(err)
	}
	if st.Mode&0o777 != 0o505 || st.Uid != 0 || st.Gid != 1<<32-2 {
		t.Errorf("the root has mode %o, user %d, group %d", st.Mode, st.Uid, st.Gid)
	}
	for _, who := range [][2]int{{0, 0}, {4001, 4001}, {4001, 0}, {65534, 65534}} {
		as(t, who[0], who[1], func() {
			if names, err := os.ReadDir(m.dir); err != nil || len(names) < 4 {
				t.Errorf("user %d of group %d lists %d names: %v", who[0], who[1], len(names), err)
			}
			if _, err := os.Stat(m.path("latest", "library", "many")); err != nil {
				t.Errorf("user %d of group %d: %v", who[0], who[1], err)
			}
		})
	}
}
