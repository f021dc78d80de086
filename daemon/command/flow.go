package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// flow carries what a program prints from a pipe to a writer.
type flow struct {
	from  *os.File // nil if there is nothing to carry
	once  sync.Once
	done  chan struct{}
	taken int64 // valid after done, as is err
	err   error // nil if the end was reached
}

func newFlow(from *os.File) *flow { return &flow{from: from, done: make(chan struct{})} }

// run starts the flow. limit bounds the bytes; negative is no bound.
func (f *flow) run(to io.Writer, limit int64, grace time.Duration) {
	if f.from == nil {
		close(f.done)
		return
	}
	go func() {
		defer close(f.done)
		f.err = f.carry(to, limit, grace)
	}()
}

func (f *flow) carry(to io.Writer, limit int64, grace time.Duration) error {
	buf := make([]byte, 64<<10) // as much as a pipe holds
	for {
		n, err := f.read(buf, grace)
		if n > 0 {
			if limit >= 0 && f.taken+int64(n) > limit {
				return ErrTooMuch
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return fmt.Errorf("what it prints cannot be taken: %w", err)
			}
			f.taken += int64(n)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// read reads once. After hurry it waits no longer than the grace, counted from when it began to wait: the time that
// the writer took is not the program's.
func (f *flow) read(buf []byte, grace time.Duration) (int, error) {
	began := time.Now()
	for {
		n, err := f.from.Read(buf)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if time.Since(began) >= grace {
			return n, ErrHeld
		}
		if err := f.from.SetReadDeadline(began.Add(grace)); err != nil {
			return n, err
		}
	}
}

// hurry says that the program has ended: what is in the pipe is all, unless others hold it.
func (f *flow) hurry(grace time.Duration) {
	if f.from != nil {
		// It fails only if the pipe is closed, and then nothing is read any more.
		_ = f.from.SetReadDeadline(time.Now().Add(grace))
	}
}

// close ends the flow, wherever it is.
func (f *flow) close() {
	if f != nil && f.from != nil {
		f.once.Do(func() { _ = f.from.Close() }) // read only: nothing to lose
	}
}

// feed carries a reader into a program's standard input.
type feed struct {
	to   *os.File
	once sync.Once
	done chan struct{}
}

func newFeed(to *os.File) *feed { return &feed{to: to, done: make(chan struct{})} }

func (f *feed) run(from io.Reader) {
	if f == nil {
		return
	}
	go func() {
		defer close(f.done)
		// A program need not read what it is given: how it ends says whether that was right.
		_, _ = io.Copy(struct{ io.Writer }{f.to}, from)
		f.close()
	}()
}

func (f *feed) close() {
	if f != nil {
		f.once.Do(func() { _ = f.to.Close() }) // a pipe has nothing to flush
	}
}

func (f *feed) join() {
	if f != nil {
		<-f.done
	}
}
