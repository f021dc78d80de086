// Command keepsake keeps encrypted, deduplicated snapshots of photo and video
// libraries and shows each of them as a folder.
//
// This directory is the only place that reads the environment, talks to the
// terminal and ends the process. A verb has one file. A verb that needs the
// repository is two functions: one that turns flags into a request, and one
// that carries the request out; the second runs in whichever process owns the
// state directory and cannot tell whether that is its own.
//
// Exit codes are a contract with scripts; they stand in exit.go.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
)

// gcPercent trades a little processor time for memory: nearly all of the heap is
// buffers that are used again and again, and a NAS has a GiB to spare at most.
const gcPercent = 40

func main() {
	debug.SetGCPercent(gcPercent)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	env := systemEnvironment()
	// The first signal asks for an orderly end, the second one gets its way.
	context.AfterFunc(ctx, func() { hurry(env) })
	code := run(ctx, env, os.Args[1:])
	stop()
	os.Exit(code)
}

// onePress is how close together two signals are one: programs that end others
// (timeout, a terminal's window) tell the process and its group.
const onePress = 300 * time.Millisecond

// hurry waits for the signal after the one that asked for an orderly end, and
// ends this process by it. Nothing stays mounted without a server.
func hurry(env *environment) {
	again := make(chan os.Signal, 1)
	signal.Notify(again, os.Interrupt, syscall.SIGTERM)
	time.Sleep(onePress)
	select {
	case <-again: // the same press
	default:
	}
	number, _ := (<-again).(syscall.Signal) // all of them are
	env.urgent.leave()
	signal.Reset(number)
	// Only the kernel says why it should not work, and then nothing does.
	_ = syscall.Kill(os.Getpid(), number)
}
