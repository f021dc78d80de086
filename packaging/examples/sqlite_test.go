package examples_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSQLite(t *testing.T) {
	sqlite := need(t, "sqlite3")
	live, dumps := filepath.Join(t.TempDir(), "orders.db"), t.TempDir()
	k := newKeeper(t, example(t, "sqlite.toml", "/srv/orders/orders.db", live, "/var/lib/keepsake-dumps/orders", dumps).Sources[0])

	// Before there is a database, nothing is made up in its place.
	res := k.snapshot()
	failed(t, res, "", "sqlite3: exit status 1")
	if _, err := os.Stat(live); err == nil {
		t.Fatal("the copy made an empty database of the original")
	}

	run(t, nil, `
PRAGMA journal_mode = WAL; PRAGMA user_version = 42; PRAGMA application_id = 7;
CREATE TABLE orders (id INTEGER PRIMARY KEY, client TEXT, scan BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO orders SELECT i, 'Kundin ' || i, randomblob(200) FROM n;
`, sqlite, "-bail", live)
	want := everything(t, live)
	writer := holdOpen(t, sqlite, live)
	res = k.complete()
	writer()
	copied := filepath.Join(k.restore(res.Snapshot), "orders.db")
	if got := everything(t, copied); got != want || len(want) < 1_000_000 {
		t.Errorf("%d bytes of rows come back as %d", len(want), len(got))
	}
	if got := run(t, nil, "", sqlite, copied, "PRAGMA integrity_check; PRAGMA user_version; PRAGMA application_id"); got != "ok\n42\n7\n" {
		t.Errorf("checked: %q", got)
	}
	// It is a working database, and the comparison sees one row.
	run(t, nil, "UPDATE orders SET client = 'other' WHERE id = 1500", sqlite, "-bail", copied)
	if everything(t, copied) == want {
		t.Error("control: a changed row is not seen")
	}

	// Without the original the run says so, and holds the last good copy.
	if err := os.Rename(live, live+".away"); err != nil {
		t.Fatal(err)
	}
	res = k.snapshot()
	failed(t, res, "", "sqlite3: exit status 1")
	if got := everything(t, filepath.Join(k.restore(res.Snapshot), "orders.db")); got != want {
		t.Error("the last good copy is gone")
	}
	if res.Snapshot.Root.Below.Files != 1 {
		t.Errorf("%d files", res.Snapshot.Root.Below.Files)
	}
}

func everything(t *testing.T, database string) string {
	t.Helper()
	return run(t, nil, "", "sqlite3", "-readonly", database, ".dump")
}

// holdOpen has a program in the midst of a transaction on a database until the returned function is called.
func holdOpen(t *testing.T, sqlite, database string) (leave func()) {
	t.Helper()
	c := exec.Command(sqlite, "-bail", "-cmd", ".timeout 60000", database) // for the looks at it below
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "BEGIN IMMEDIATE; DELETE FROM orders WHERE id > 10;\n"); err != nil {
		t.Fatal(err)
	}
	left := false
	leave = func() {
		if !left {
			left = true
			if err := in.Close(); err != nil { // the end of its input rolls back
				t.Error(err)
			}
			if err := c.Wait(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(leave)
	// The transaction has begun when nobody else can begin one.
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		out, err := exec.Command(sqlite, database, "BEGIN IMMEDIATE; ROLLBACK").CombinedOutput()
		if err != nil && strings.Contains(string(out), "locked") {
			return leave
		}
		if time.Now().After(end) {
			t.Fatalf("the transaction does not begin: %s", out)
		}
	}
}
