package index_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keepsake/store/index"
)

// TestLookupsStaySmall looks up chunks all over an index of 32 MiB: its pages
// do not pile up in this process.
func TestLookupsStaySmall(t *testing.T) {
	const most = 18 << 10 // KiB: what 256 lookups may leave
	path := filepath.Join(t.TempDir(), "index.db")
	db := open(t, path)
	var tables []index.Table
	for i := range uint64(20) {
		tables = append(tables, table(i, 12_000))
	}
	must(t, db.Add(tables...))
	must(t, db.Close())
	db = open(t, path)
	info, err := os.Stat(path)
	must(t, err)
	began, n, highest := time.Now(), 0, 0
	for _, tab := range tables {
		for i, e := range tab.Entries {
			if i%16 != 0 {
				continue
			}
			if p, ok := lookup(t, db, e.Chunk); !ok || p.Pack != tab.Pack {
				t.Fatalf("chunk %v: %+v, %v", e.Chunk, p, ok)
			}
			if n++; n%97 == 0 {
				highest = max(highest, resident(t, path))
			}
		}
	}
	t.Logf("index of %d KiB, %d lookups in %v: at most %d KiB resident", info.Size()>>10, n, time.Since(began).Round(time.Millisecond), highest)
	if int(info.Size()>>10) < most {
		t.Errorf("an index of %d bytes shows nothing", info.Size())
	}
	if highest > most {
		t.Errorf("%d KiB of the index are resident", highest)
	}
}

// resident is how many KiB of a mapped file are in this process.
func resident(t *testing.T, path string) (kib int) {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	must(t, err)
	defer f.Close()
	inside := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		if first, _, _ := strings.Cut(line, " "); !strings.HasSuffix(first, ":") {
			inside = strings.HasSuffix(line, " "+path)
		}
		if rest, ok := strings.CutPrefix(line, "Rss:"); ok && inside {
			var n int
			if _, err := fmt.Sscan(rest, &n); err != nil {
				t.Fatal(err)
			}
			kib += n
		}
	}
	return kib
}
