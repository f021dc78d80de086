package torture

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// The kernel's limits, which spare a call that asks for the size first.
const (
	maxXattrNames = 64 * kib
	maxXattrValue = 64 * kib
)

// readXattrs returns all extended attributes of an entry itself, never of what it links to.
// A file system without attributes has none.
func readXattrs(name string) (map[string]string, error) {
	size, err := unix.Llistxattr(name, nil)
	if size == 0 || errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	buffer := make([]byte, max(maxXattrNames, maxXattrValue))
	size, err = unix.Llistxattr(name, buffer)
	if err != nil {
		return nil, err
	}
	attributes := map[string]string{}
	for attribute := range strings.SplitSeq(strings.TrimSuffix(string(buffer[:size]), "\x00"), "\x00") {
		n, err := unix.Lgetxattr(name, attribute, buffer)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", attribute, err)
		}
		attributes[attribute] = string(buffer[:n])
	}
	return attributes, nil
}
