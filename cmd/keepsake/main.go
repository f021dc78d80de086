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
)

// gcPercent trades a little processor time for memory: nearly all of the heap is
// buffers that are used again and again, and a NAS has a GiB to spare at most.
const gcPercent = 40

func main() {
	debug.SetGCPercent(gcPercent)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for an orderly end, the second one gets its way.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, systemEnvironment(), os.Args[1:]))
}
