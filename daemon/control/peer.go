package control

import (
	"context"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Peer is the process at the other end of a connection, as the kernel saw it when the connection was made (for an
// owner: when it began to listen).
type Peer struct {
	PID int // 0 if it is not visible from here
	UID uint32
	GID uint32
}

// access is what a peer may ask for. There are two levels today; a third, for members of a group, would name its
// verbs in allows and widen the socket's mode.
type access byte

const (
	accessNothing access = iota
	accessEverything
)

// accessOf decides what peer may ask of an owner that runs as euid.
func accessOf(peer Peer, euid uint32) access {
	if peer.UID == 0 || peer.UID == euid {
		return accessEverything
	}
	return accessNothing
}

// allows tells whether verb may be run; "" stands for reading the information.
func (a access) allows(verb string) bool { return a == accessEverything }

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

type peerKey struct{}

// withPeer remembers who made the connection. A connection whose peer is unknown carries none, and is refused.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	p, err := credentials(u)
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, p)
}

func peerOf(ctx context.Context) (Peer, bool) {
	p, ok := ctx.Value(peerKey{}).(Peer)
	return p, ok
}
