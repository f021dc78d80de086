package fusefs_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// listed is an entry as getdents says it, with the offset behind it.
type listed struct {
	name string
	off  int64
}

// getdents lists what is left of an open directory, a little at a time.
func getdents(t testing.TB, f *os.File) (all []listed) {
	t.Helper()
	buf := make([]byte, 1024)
	for {
		n, err := unix.Getdents(int(f.Fd()), buf)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return all
		}
		for b := buf[:n]; len(b) > 0; {
			size := binary.NativeEndian.Uint16(b[16:])
			name, _, _ := bytes.Cut(b[19:size], []byte{0})
			all = append(all, listed{string(name), int64(binary.NativeEndian.Uint64(b[8:]))})
			b = b[size:]
		}
	}
}

// TestSeekInVersions goes on from every place in a listing of names and versions.
func TestSeekInVersions(t *testing.T) {
	l := newTimed(t)
	for i := range 3 {
		l.remove("both")
		l.write("both", fmt.Sprint(i))
		l.take()
		l.remove("both")
		for j := range 40 {
			l.write(fmt.Sprintf("both/child %d of %d", i*j, i), "")
		}
		l.take()
	}
	f, err := os.Open(mount(t, l.r, nil).path("versions", "library", "both"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := getdents(t, f)
	if len(all) != 2+1+40+40+3 || all[0].name != "." || all[1].name != ".." {
		t.Fatalf("%d entries: %v", len(all), all)
	}
	for i := len(all) - 1; i >= 0; i -= 7 {
		if _, err := f.Seek(all[i].off, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if rest := getdents(t, f); !slices.Equal(rest, all[i+1:]) {
			t.Errorf("behind %q come %v, want %v", all[i].name, rest, all[i+1:])
		}
	}
}
