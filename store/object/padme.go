package object

import (
	"math"
	"math/bits"
)

// Padme rounds a length up so that its floating-point mantissa is no longer than its exponent. It
// adds 12 % at worst and less the larger n is, and leaks only O(log log n) bits of the length.
// It is idempotent and monotonic, and saturates at the largest uint64.
func Padme(n uint64) uint64 {
	if n < 2 {
		return n
	}
	e := bits.Len64(n) - 1
	mask := uint64(1)<<(e-bits.Len(uint(e))) - 1
	if n > math.MaxUint64-mask {
		return math.MaxUint64
	}
	return (n + mask) &^ mask
}
