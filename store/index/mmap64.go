//go:build !(386 || arm || mips || mipsle)

package index

// initialMmap is address space, not memory: 8 GiB hold the index of about
// 100 million chunks before the mapping has to grow.
const initialMmap = 8 << 30
