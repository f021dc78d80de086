package tree

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"keepsake/crypto"
)

// ValidateName reports whether name can be that of a directory entry: 1 to MaxName bytes, neither "." nor "..", without
// '/' and NUL. Restoring would otherwise leave its directory.
func ValidateName(name []byte) error {
	switch {
	case len(name) == 0:
		return fmt.Errorf("%w: empty", ErrName)
	case len(name) > MaxName:
		return fmt.Errorf("%w: %d bytes exceed %d", ErrName, len(name), MaxName)
	case name[0] == '.' && (len(name) == 1 || len(name) == 2 && name[1] == '.'):
		return fmt.Errorf("%w: %q", ErrName, name)
	case bytes.IndexByte(name, '/') >= 0 || bytes.IndexByte(name, 0) >= 0:
		return fmt.Errorf("%w: %q", ErrName, name)
	}
	return nil
}

// Validate reports whether n can be stored: every limit kept, every name valid, no field that its type does not have, and a
// content that sums up to its size. The name may be empty, as that of a root; directories refuse that themselves.
func (n *Node) Validate() error {
	if len(n.Name) > 0 {
		if err := ValidateName(n.Name); err != nil {
			return err
		}
	}
	if n.Type < File || n.Type > BlockDevice {
		return invalidf("node type %d", n.Type)
	}
	if n.Mode > 0o7777 {
		return invalidf("mode %#o", n.Mode)
	}
	if len(n.User) > MaxOwner || len(n.Group) > MaxOwner {
		return limitf("owner names of %d and %d bytes", len(n.User), len(n.Group))
	}
	if !utf8.ValidString(n.User) || !utf8.ValidString(n.Group) {
		return invalidf("owner names are not UTF-8")
	}
	if n.MTime.Nsec >= 1e9 || n.CTime.Nsec >= 1e9 || n.BTime.Nsec >= 1e9 || n.Captured.Nsec >= 1e9 {
		return invalidf("a second has 1e9 nanoseconds")
	}
	if err := n.validateType(); err != nil {
		return err
	}
	if len(n.Xattrs) > 0 {
		if err := validateXattrs(n.Xattrs); err != nil {
			return err
		}
	}
	if len(n.Extra) > 0 {
		return n.Extra.validate(func(k uint64) bool { return k <= nodeLastKey })
	}
	return nil
}

// validateType checks the fields that only some types have.
func (n *Node) validateType() error {
	if n.Type == File {
		if err := n.validateContent(); err != nil {
			return err
		}
	} else if n.Size != 0 || n.Holes != 0 || len(n.Content) > 0 || n.List != nil || n.SHA256 != nil || len(n.Digests) > 0 || n.Bundle != 0 && n.Type != Dir {
		return invalidf("a %v with content", n.Type)
	}
	if n.Type != Dir && (n.Pages != crypto.ChunkID{} || n.Entries != 0 || n.Below != Totals{}) {
		return invalidf("a %v with entries", n.Type)
	}
	if n.Type == Dir && n.Pages == (crypto.ChunkID{}) {
		return invalidf("a directory without pages")
	}
	if n.Type == Symlink {
		if len(n.Target) == 0 || bytes.IndexByte(n.Target, 0) >= 0 {
			return invalidf("symlink target %q", n.Target)
		}
		if len(n.Target) > MaxTarget {
			return limitf("symlink target of %d bytes", len(n.Target))
		}
	} else if len(n.Target) > 0 {
		return invalidf("a %v with a target", n.Type)
	}
	if n.Type != CharDevice && n.Type != BlockDevice && n.Rdev != (Rdev{}) {
		return invalidf("a %v with a device number", n.Type)
	}
	return nil
}

func (n *Node) validateContent() error {
	if n.Size > MaxSize {
		return limitf("file of %d bytes", n.Size)
	}
	if n.List != nil {
		switch {
		case len(n.Content) > 0:
			return invalidf("content and a list")
		case n.List.Entries <= MaxInline:
			return invalidf("a list of %d entries belongs into the node", n.List.Entries)
		case n.List.Bytes != n.Size:
			return invalidf("list of %d bytes in a file of %d", n.List.Bytes, n.Size)
		case n.Holes > n.Size:
			return invalidf("holes of %d bytes in a file of %d", n.Holes, n.Size)
		}
	} else {
		if n.Holes != 0 {
			return invalidf("holes are counted of a list alone")
		}
		if len(n.Content) > MaxInline {
			return limitf("%d content entries in a node", len(n.Content))
		}
		sum, err := n.Content.Sum()
		if err != nil {
			return err
		}
		if sum != n.Size {
			return invalidf("content of %d bytes in a file of %d", sum, n.Size)
		}
	}
	if len(n.Digests) > MaxDigests {
		return limitf("%d digests", len(n.Digests))
	}
	for i, d := range n.Digests {
		if len(d.Sum) == 0 || len(d.Sum) > MaxDigest {
			return limitf("digest of %d bytes", len(d.Sum))
		}
		if i > 0 && n.Digests[i-1].Algorithm >= d.Algorithm {
			return fmt.Errorf("%w: digest %d after %d", ErrOrder, d.Algorithm, n.Digests[i-1].Algorithm)
		}
	}
	return nil
}

func validateXattrs(xs []Xattr) error {
	if len(xs) > MaxXattrs {
		return limitf("%d extended attributes", len(xs))
	}
	for i, x := range xs {
		if len(x.Name) == 0 || len(x.Name) > MaxName || bytes.IndexByte(x.Name, 0) >= 0 {
			return fmt.Errorf("%w: attribute %q", ErrName, x.Name)
		}
		if i > 0 && bytes.Compare(xs[i-1].Name, x.Name) >= 0 {
			return fmt.Errorf("%w: attribute %q after %q", ErrOrder, x.Name, xs[i-1].Name)
		}
		if len(x.Large) == 0 {
			if len(x.Value) > MaxXattrInline {
				return limitf("attribute of %d bytes in a node", len(x.Value))
			}
			continue
		}
		if len(x.Value) > 0 {
			return invalidf("attribute with two values")
		}
		if len(x.Large) > MaxInline {
			return limitf("attribute of %d chunks", len(x.Large))
		}
		sum, err := x.Large.sumWithoutHoles()
		if err != nil {
			return err
		}
		if sum <= MaxXattrInline {
			return invalidf("an attribute of %d bytes belongs into the node", sum)
		}
	}
	return nil
}
