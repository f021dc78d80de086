package history

// Access is who may do what with a directory in all of its states.
type Access struct {
	UID, GID uint32 // of the state that was met last

	owner, group, other uint8 // what each class was given in every state
	owners, groups      bool  // they were not always the same
	some                bool
}

// Add takes in a directory with the permission bits of a mode.
func (a *Access) Add(uid, gid, mode uint32) {
	owner, group, other := uint8(mode>>6&7), uint8(mode>>3&7), uint8(mode&7)
	if !a.some {
		*a = Access{UID: uid, GID: gid, owner: owner, group: group, other: other, some: true}
		return
	}
	a.owners = a.owners || a.UID != uid
	a.groups = a.groups || a.GID != gid
	a.UID, a.GID = uid, gid
	a.owner, a.group, a.other = a.owner&owner, a.group&group, a.other&other
}

// Mode returns permission bits with which nobody can do more than in every
// single state. Where owners have changed, today's was one of the group or of
// the others before, and the other way round; likewise with groups.
func (a Access) Mode() uint32 {
	owner, group, other := a.owner, a.group, a.other
	if a.owners {
		owner &= a.group & a.other
		group &= a.owner
		other &= a.owner
	}
	if a.groups {
		group, other = group&a.other, other&a.group
	}
	return uint32(owner)<<6 | uint32(group)<<3 | uint32(other)
}
