//go:build 386 || arm || mips || mipsle

package index

// initialMmap is small where address space is.
const initialMmap = 64 << 20
