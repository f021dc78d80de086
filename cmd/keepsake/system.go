package main

import (
	"crypto/rand"
	"os"
	"syscall"
)

// random is where keys come from.
var random = rand.Reader

// deviceOf is the device number of a file's file system.
func deviceOf(info os.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Dev)
	}
	return 0
}

// allocated is what a file takes on disk: a sparse file has no more to store.
func allocated(info os.FileInfo) uint64 {
	size := uint64(info.Size())
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		size = min(size, uint64(s.Blocks)*512)
	}
	return size
}
