package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Result is how a program ended. It is filled as far as it is known, also beside an error.
type Result struct {
	Exit   int    // exit status; 128 and the signal's number after a signal; -1 if it never ran
	Stderr string // the tail: at most 4 KiB, printable, whole lines where possible
	Took   time.Duration
	Output int64 // bytes that it printed and Stdout took
}

// Run runs a program until it has ended, its time is over, or ctx ends, which both ask its group to end, and kill it
// after the grace. Without an error the program said that it succeeded, and Stdout was given all it printed.
func Run(ctx context.Context, options Options) (Result, error) {
	o, err := options.withDefaults()
	if err != nil {
		return Result{Exit: -1}, err
	}
	if err := ctx.Err(); err != nil {
		return Result{Exit: -1}, fmt.Errorf("%s: %w", o.name(), context.Cause(ctx))
	}
	started := time.Now()
	p, err := start(o)
	if err != nil {
		return Result{Exit: -1}, err
	}
	stopped := p.wait(ctx)
	stuck := false
	if stopped != nil {
		stuck = !p.stop()
	}
	p.release(stopped != nil)
	r := Result{Exit: -1, Stderr: p.tail.String(), Took: time.Since(started), Output: p.output.taken}
	if stuck {
		go p.reap()
		return r, fmt.Errorf("%s: %w, %w", o.name(), stopped, ErrStuck)
	}
	exit := p.reap()
	r.Exit = exit.Code
	return r, p.verdict(stopped, exit)
}

// process is a program that runs.
type process struct {
	o      Options
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the program has ended; it is not reaped yet
	tail   tail
	input  *feed // nil without input
	output *flow // of what is printed; at its end from the beginning if that is discarded
	errors *flow // of standard error
}

// start starts the program with both ends of its pipes in place.
func start(o Options) (*process, error) {
	env, err := o.environment()
	if err != nil {
		return nil, err
	}
	path, err := find(o.Args[0], env)
	if err != nil {
		return nil, err
	}
	p := &process{
		o: o, ended: make(chan struct{}),
		cmd: &exec.Cmd{Path: path, Args: o.Args, Dir: o.Dir, Env: env, SysProcAttr: &syscall.SysProcAttr{Setsid: true}},
	}
	var theirs []*os.File // closed here once the program has them
	defer func() {
		for _, f := range theirs {
			_ = f.Close() // never written to on this side
		}
	}()
	if err := p.plumb(&theirs); err != nil {
		p.closePipes()
		return nil, fmt.Errorf("%s: %w", o.name(), err)
	}
	if err := p.cmd.Start(); err != nil {
		p.closePipes()
		return nil, fmt.Errorf("%s %w: %w", o.name(), ErrProgram, cause(err))
	}
	go p.await()
	p.errors.run(&p.tail, -1, o.Grace)
	p.output.run(o.Stdout, o.MaxOutput, o.Grace)
	p.input.run(o.Stdin)
	return p, nil
}

// plumb makes the pipes. Standard streams that are not given are /dev/null.
func (p *process) plumb(theirs *[]*os.File) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	*theirs = append(*theirs, w)
	p.errors, p.cmd.Stderr = newFlow(r), w
	p.output = newFlow(nil)
	if p.o.Stdout != nil {
		if r, w, err = os.Pipe(); err != nil {
			return err
		}
		*theirs = append(*theirs, w)
		p.output, p.cmd.Stdout = newFlow(r), w
	}
	if p.o.Stdin != nil {
		if r, w, err = os.Pipe(); err != nil {
			return err
		}
		*theirs = append(*theirs, r)
		p.input, p.cmd.Stdin = newFeed(w), r
	}
	return nil
}

// await notices the program's end without reaping it: until then nobody else can have its number.
func (p *process) await() {
	defer close(p.ended)
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// wait waits until the program has ended and its output is at its end. An error is why it must be stopped.
func (p *process) wait(ctx context.Context) error {
	timer := time.NewTimer(p.o.Timeout)
	defer timer.Stop()
	ended, output := p.ended, p.output.done
	for ended != nil || output != nil {
		select {
		case <-ended:
			ended = nil
			p.output.hurry(p.o.Grace)
		case <-output:
			output = nil
			if p.output.err != nil {
				return p.output.err
			}
		case <-timer.C:
			return ErrTimeout
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// stop ends the program, asking first. It reports whether it has ended.
func (p *process) stop() bool {
	p.signal(unix.SIGTERM)
	p.signal(unix.SIGCONT) // one that is stopped hears nothing else
	if p.endsWithin(p.o.Grace) {
		return true
	}
	p.signal(unix.SIGKILL)
	return p.endsWithin(p.o.Grace)
}

func (p *process) endsWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.ended:
		return true
	case <-timer.C:
		return false
	}
}

// signal sends a signal to the group. It must not be called after reap.
func (p *process) signal(s unix.Signal) {
	// Nobody to send it to is what it is meant to achieve, and a program that has become somebody else is theirs.
	_ = unix.Kill(-p.cmd.Process.Pid, s)
}

// release lets what is left of the group say its last words, kills it, and closes and joins everything but the
// program itself. A group that was stopped has had its time: only what is already in the pipe is still read.
func (p *process) release(stopped bool) {
	if stopped {
		p.signal(unix.SIGKILL)
	}
	timer := time.NewTimer(p.o.Grace)
	defer timer.Stop()
	select {
	case <-p.errors.done:
	case <-timer.C:
	}
	p.signal(unix.SIGKILL)
	p.closePipes()
	<-p.errors.done
	<-p.output.done
	p.input.join()
}

func (p *process) closePipes() {
	p.errors.close()
	p.output.close()
	p.input.close()
}

// reap takes the exit status of a program that has ended, or waits for it.
func (p *process) reap() *ExitError {
	_ = p.cmd.Wait() // what it says is in the state
	e := &ExitError{Program: p.o.name(), Code: -1, Line: p.tail.FirstLine()}
	if s, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
		if e.Code = s.ExitStatus(); s.Signaled() {
			e.Signal, e.Code = s.Signal(), 128+int(s.Signal())
		}
	}
	return e
}

// verdict is the run's error. Why it was stopped comes before how it then ended; output that is held by others
// matters only if the program itself found nothing wrong.
func (p *process) verdict(stopped error, exit *ExitError) error {
	switch {
	case stopped == nil && exit.Code == 0:
		return nil
	case stopped == nil, errors.Is(stopped, ErrHeld) && exit.Code != 0 && exit.Signal == 0:
		return exit
	case errors.Is(stopped, ErrTimeout):
		return fmt.Errorf("%s: %w", p.o.name(), said(fmt.Errorf("%w: more than %s", ErrTimeout, p.o.Timeout), exit.Line))
	case errors.Is(stopped, ErrTooMuch):
		return fmt.Errorf("%s: %w: more than %d bytes", p.o.name(), ErrTooMuch, p.o.MaxOutput)
	}
	return fmt.Errorf("%s: %w", p.o.name(), stopped)
}

func said(err error, line string) error {
	if line == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, line)
}
