package control

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Peer is the process at the other end of a connection, as the kernel saw it when the connection was made (for an
// owner: when it began to listen).
type Peer struct {
	PID int // 0 if it is not visible from here
	UID uint32
	GID uint32
}

// User is the peer's name for people and records: "anna", or "user 1000" where nobody knows it.
func (p Peer) User() string {
	u, err := user.LookupId(strconv.FormatUint(uint64(p.UID), 10))
	if err != nil || u.Username == "" {
		return fmt.Sprintf("user %d", p.UID)
	}
	return u.Username
}

// access is what a peer may ask for.
type access byte

const (
	accessNothing access = iota
	accessGroup          // groupVerbs, the information and the metrics
	accessEverything
)

// groupVerbs is all that members of the group may run: to see how their sources stand, to have them looked at now,
// and to say that what a guard found is no accident. None of them shows or removes content.
var groupVerbs = [...]string{"status", "snapshots", "backup-now", "ack"}

// ForGroup reports whether members of the group may run verb.
func ForGroup(verb string) bool { return slices.Contains(groupVerbs[:], verb) }

// GroupVerbs are the verbs that members of the group may run.
func GroupVerbs() []string { return slices.Clone(groupVerbs[:]) }

// accessOf decides what peer may ask of an owner that runs as euid, and whose group is group (0: none). groups tells
// the peer's supplementary groups; it is called only if nothing else decides.
func accessOf(peer Peer, euid, group uint32, groups func() ([]uint32, error)) access {
	if peer.UID == 0 || peer.UID == euid {
		return accessEverything
	}
	if group == 0 {
		return accessNothing
	}
	if peer.GID == group {
		return accessGroup
	}
	// A kernel that does not tell them (before 4.13) leaves the primary group.
	if all, err := groups(); err == nil && slices.Contains(all, group) {
		return accessGroup
	}
	return accessNothing
}

// allows tells whether verb may be run.
func (a access) allows(verb string) bool {
	return a == accessEverything || a == accessGroup && ForGroup(verb)
}

func credentials(c *net.UnixConn) (Peer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return Peer{}, fmt.Errorf("peer credentials: %w", err)
	}
	var cred *unix.Ucred
	var optErr error
	err = raw.Control(func(fd uintptr) {
		cred, optErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err == nil {
		err = optErr
	}
	if err != nil {
		return Peer{}, fmt.Errorf("peer credentials: %w", err)
	}
	return Peer{PID: int(cred.Pid), UID: cred.Uid, GID: cred.Gid}, nil
}

// trusted tells whether a client of this user may talk to an owner that runs as uid in a directory of dirUID. A
// socket that a third user planted could read arguments and forge answers.
func trusted(uid, dirUID uint32) bool {
	return uid == 0 || uid == uint32(os.Geteuid()) || uid == dirUID
}

// maxGroups is how many groups the kernel lets a process have (NGROUPS_MAX).
const maxGroups = 65536

// supplementary returns the groups of the process at the other end, as they were when the connection was made.
func supplementary(c *net.UnixConn) ([]uint32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("peer groups: %w", err)
	}
	groups := make([]uint32, 64)
	var errno unix.Errno
	for {
		n := uint32(len(groups)) * 4
		err = raw.Control(func(fd uintptr) {
			_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
				uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&n)), 0)
		})
		switch {
		case err != nil:
			return nil, fmt.Errorf("peer groups: %w", err)
		case errno == unix.ERANGE && n/4 > uint32(len(groups)) && n/4 <= maxGroups:
			groups = make([]uint32, n/4) // the kernel said how many
		case errno != 0:
			return nil, fmt.Errorf("peer groups: %w", errno)
		default:
			return groups[:n/4], nil
		}
	}
}

// caller is a peer and what it may ask for, decided once per connection.
type caller struct {
	Peer
	access access
}

type callerKey struct{}

// withCaller remembers who made the connection. A connection whose peer is unknown carries none, and is refused.
func withCaller(group uint32) func(context.Context, net.Conn) context.Context {
	return func(ctx context.Context, c net.Conn) context.Context {
		u, ok := c.(*net.UnixConn)
		if !ok {
			return ctx
		}
		p, err := credentials(u)
		if err != nil {
			return ctx
		}
		a := accessOf(p, uint32(os.Geteuid()), group, func() ([]uint32, error) { return supplementary(u) })
		return context.WithValue(ctx, callerKey{}, caller{p, a})
	}
}

func callerOf(ctx context.Context) (caller, bool) {
	c, ok := ctx.Value(callerKey{}).(caller)
	return c, ok
}
