package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"keepsake/packaging/systemd"
	"keepsake/store/durable"
)

// unitKind is what lies where the unit goes.
type unitKind string

const (
	unitAbsent   unitKind = "absent"
	unitCurrent  unitKind = "current"  // ours, and what it should be
	unitOld      unitKind = "outdated" // ours, from another version or place of the program
	unitEdited   unitKind = "edited"   // ours once, changed by hand since
	unitForeign  unitKind = "foreign"  // never ours
	unitShadowed unitKind = "packaged" // absent, and a package has brought one
)

type unitState struct {
	kind     unitKind
	shadowed string   // path of the package's unit
	dropIns  []string // paths
}

// packagedUnits is where packages put units (systemd.unit(5)).
var packagedUnits = []string{"/usr/lib/systemd/system", "/lib/systemd/system"}

// maxUnit bounds a unit file; a larger one is something else.
const maxUnit = 1 << 20

// signature begins the first line of a unit that install has written. It lets a
// later run tell its own work from a person's; it protects against nobody.
const signature = "# Written by keepsake service install; sha256 of the rest: "

func signed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return signature + hex.EncodeToString(sum[:]) + "\n" + text
}

// readUnit says what lies at path, compared with what should.
func readUnit(path, want string) (unitState, error) {
	var s unitState
	var err error
	if s.dropIns, err = filepath.Glob(filepath.Join(escapeGlob(path)+".d", "*.conf")); err != nil {
		return s, err
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		s.kind = unitAbsent
		for _, dir := range packagedUnits {
			if p := filepath.Join(dir, systemd.Name); filepath.Dir(path) == "/etc/systemd/system" && exists(p) {
				s.kind, s.shadowed = unitShadowed, p
			}
		}
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxUnit {
		s.kind = unitForeign // a link to /dev/null, which masks the unit, is somebody's decision
		return s, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	_, body, _ := strings.Cut(string(b), "\n")
	switch {
	case string(b) == want:
		s.kind = unitCurrent
	case !strings.HasPrefix(string(b), signature):
		s.kind = unitForeign
	case signed(body) == string(b):
		s.kind = unitOld
	default:
		s.kind = unitEdited
	}
	return s, nil
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// Units are read by everybody: systemctl cat shows them.
const (
	unitFile = 0o644
	unitDir  = 0o755
)

func writeUnit(disk *durable.Disk, path, text string) error {
	if err := disk.MkdirAll(filepath.Dir(path), unitDir); err != nil {
		return err
	}
	return disk.ReplaceFile(path, []byte(text), unitFile)
}

func removeUnit(disk *durable.Disk, path string) error {
	if err := disk.Remove(path); err != nil {
		return err
	}
	return disk.SyncDir(filepath.Dir(path))
}

// changeable says why others than root can change a program, or nothing: it
// and every directory on the way must be root's, and no one else's to write.
func changeable(program string) string {
	for path := program; ; path = filepath.Dir(path) {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return fmt.Sprintf("%s cannot be looked at (%v)", path, err)
		}
		switch {
		case st.Uid != 0:
			return fmt.Sprintf("%s belongs to user %d", path, st.Uid)
		case st.Mode&0o022 != 0 && !(st.Mode&unix.S_IFMT == unix.S_IFDIR && st.Mode&unix.S_ISVTX != 0):
			return fmt.Sprintf("%s can be written by others than root", path)
		}
		if path == filepath.Dir(path) {
			return ""
		}
	}
}
