package command

import (
	"errors"
	"fmt"
	"syscall"
)

var (
	// ErrTimeout: the program took longer than it may and was stopped.
	ErrTimeout = errors.New("took too long and was stopped")
	// ErrTooMuch: the program printed more than it may and was stopped.
	ErrTooMuch = errors.New("printed too much and was stopped")
	// ErrHeld: the program ended, but something that it started keeps its output open, so nobody knows whether
	// the output is whole.
	ErrHeld = errors.New("ended, but something that it started keeps its output open")
	// ErrStuck: the program was killed and does not end, since the kernel waits for something on its behalf.
	ErrStuck = errors.New("was killed but does not end; a file system that it uses may not answer")
	// ErrProgram: there is no such program, or its name is none that would be run.
	ErrProgram = errors.New("cannot be run")
	// ErrEnvironment: an environment variable that would not be given to a program.
	ErrEnvironment = errors.New("not given to a command")
)

// ExitError says that a program ended by itself and said that it failed, or was ended by a signal from elsewhere.
type ExitError struct {
	Program string         // base name
	Code    int            // exit status; 128 and the signal's number if a signal ended it, as shells have it
	Signal  syscall.Signal // 0 if it ended by itself
	Line    string         // first line of the tail; may be empty
}

func (e *ExitError) Error() string {
	text := fmt.Sprintf("%s: exit status %d", e.Program, e.Code)
	if e.Signal != 0 {
		text = fmt.Sprintf("%s: ended by signal %d (%s)", e.Program, int(e.Signal), e.Signal)
	}
	return withLine(text, e.Line)
}

// withLine appends what the program itself said.
func withLine(text, line string) string {
	if line == "" {
		return text
	}
	return text + ": " + line
}
