package control

import (
	"errors"
	"fmt"
)

// Finding and claiming the socket.
var (
	// ErrNoOwner: nobody serves the state directory, or its owner left before it took the request; nothing was run.
	// The caller may try to become the owner.
	ErrNoOwner = errors.New("no keepsake is running for this state directory")
	// ErrOwned: another process serves the state directory. The error is an *OwnedError.
	ErrOwned = errors.New("another keepsake owns this state directory")
	// ErrForeign: something that keepsake did not put there lies where the socket belongs. It is never removed.
	ErrForeign = errors.New("not a keepsake socket")
	// ErrRefused: the other end of the socket may not be talked to, or does not talk to this user.
	ErrRefused = errors.New("refused")
)

// Talking.
var (
	// ErrNoAnswer: the owner holds the socket and stays silent (stopped, or starved).
	ErrNoAnswer = errors.New("the running keepsake does not answer")
	// ErrProtocol: the running keepsake speaks another protocol. The error is a *ProtocolError.
	ErrProtocol = errors.New("the running keepsake speaks another protocol")
	// ErrMalformed: bytes that are not what this package writes.
	ErrMalformed = errors.New("malformed message")
	// ErrTooLarge: a request or a frame over its limit.
	ErrTooLarge = errors.New("message too large")
	// ErrBusy: MaxRunning requests are running already; nothing was run.
	ErrBusy = errors.New("the running keepsake has too many requests at once")
	// ErrStopping: the owner was told to stop. As a client's error: nothing was run. As the cause of a handler's
	// context: the grace is over.
	ErrStopping = errors.New("the running keepsake is stopping")
	// ErrBroken: the owner went away after the verb had started. What it did is unknown.
	ErrBroken = errors.New("the running keepsake went away before it had finished")
	// ErrGone: the client does not read any more. Handlers get it from writes, and as the cause of their context.
	ErrGone = errors.New("the client has gone")
)

// OwnedError says who serves the state directory. It matches ErrOwned.
type OwnedError struct {
	Dir string
	PID int // 0 where the kernel does not say, as across process namespaces
}

func (e *OwnedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s: another keepsake owns this state directory", e.Dir)
	}
	return fmt.Sprintf("%s: another keepsake (process %d) owns this state directory", e.Dir, e.PID)
}

// Is makes errors.Is(err, ErrOwned) true.
func (e *OwnedError) Is(target error) bool { return target == ErrOwned }

// ProtocolError names the versions that do not understand each other. It matches ErrProtocol.
type ProtocolError struct {
	Running, This                 string // versions
	RunningProtocol, ThisProtocol int
}

func (e *ProtocolError) Error() string {
	if e.Running == e.This {
		return fmt.Sprintf("the running keepsake is another build of version %s (protocol %d), this is protocol %d: restart it",
			e.Running, e.RunningProtocol, e.ThisProtocol)
	}
	return fmt.Sprintf("the running keepsake is version %s, this is %s: restart it", e.Running, e.This)
}

// Is makes errors.Is(err, ErrProtocol) true.
func (e *ProtocolError) Is(target error) bool { return target == ErrProtocol }
