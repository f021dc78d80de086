package chunking

import "errors"

// ErrParams is wrapped by every error that reports unusable parameters.
var ErrParams = errors.New("invalid chunking parameters")

// errRead stands in for a reader's error on its way through the cutter, which
// takes some errors for the end of the input.
var errRead = errors.New("read failed")
