package examples_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"keepsake/daemon/alert"
)

// cluster is a PostgreSQL server with data of its own, which answers on a socket of its own.
type cluster struct {
	t       *testing.T
	as      *syscall.Credential // nil if the test itself may run it
	server  string              // program
	dir     string              // also of the socket
	stop    func()
	answers func() bool
}

// postgresUser is whom servers have to run as: they refuse root.
func postgresUser(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Skip("not run: PostgreSQL does not run as root, and there is no user postgres")
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

const installed = "/usr/lib/postgresql/*/bin"

// newCluster makes a cluster; from is one to copy, or nil.
func newCluster(t *testing.T, from *cluster) *cluster {
	t.Helper()
	c := &cluster{t: t, as: postgresUser(t), server: need(t, "postgres", installed), dir: passable(t)}
	if c.as != nil {
		if err := os.Chown(c.dir, int(c.as.Uid), int(c.as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	if from != nil { // an empty one is the same everywhere, and takes a second to make
		run(t, nil, "", "cp", "-a", filepath.Join(from.dir, "data"), c.dir)
	} else {
		run(t, c.as, "", need(t, "initdb", installed), "-D", filepath.Join(c.dir, "data"), "--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
	}
	return c
}

// start starts the server. Nobody else can reach it, and it need not survive a power cut.
func (c *cluster) start() {
	c.t.Helper()
	ready := need(c.t, "pg_isready", installed)
	c.answers = func() bool { return succeeds(ready, "-q", "-h", c.dir, "-U", "postgres") }
	c.stop = serve(c.t, c.as, syscall.SIGINT, c.answers, c.server, "-D", filepath.Join(c.dir, "data"), "-k", c.dir, "-h", "", "-F")
}

func (c *cluster) sql(database, statements string) string {
	c.t.Helper()
	return run(c.t, c.as, statements, "psql", "-h", c.dir, "-U", "postgres", "-d", database, "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1")
}

const crm = `
CREATE ROLE studio LOGIN PASSWORD 'nobody reads this';
CREATE TABLE clients (id int PRIMARY KEY, name text NOT NULL, since timestamptz, note text);
CREATE TABLE photos (id serial PRIMARY KEY, client int REFERENCES clients, taken date, preview bytea, rating numeric(3,1));
INSERT INTO clients SELECT i, 'Kundin ' || i || ' – Müller & Söhne', '2026-01-01'::timestamptz + i * interval '1 hour', CASE i % 3 WHEN 0 THEN NULL ELSE E'line\n\ttab' END FROM generate_series(1, 500) i;
INSERT INTO photos (client, taken, preview, rating) SELECT 1 + i % 500, '2026-01-01'::date + i % 300, decode(repeat(md5(i::text), 8), 'hex'), (i % 50) / 10.0 FROM generate_series(1, 5000) i;
CREATE INDEX ON photos (client, taken);
CREATE VIEW best AS SELECT client, max(rating) AS rating FROM photos GROUP BY client;
GRANT SELECT ON best TO studio;
`

// rows are all rows of all tables, in order.
const rows = `SELECT * FROM clients ORDER BY id; SELECT * FROM photos ORDER BY id; SELECT * FROM best ORDER BY client; SELECT last_value FROM photos_id_seq;`

// crmExample is the example with its sockets in a cluster.
func crmExample(t *testing.T, c *cluster) *keeper {
	t.Helper()
	places := []string{"/var/run/postgresql", c.dir}
	if c.as == nil { // not root: the test's own user is no role
		places = []string{`"runuser", "-u", "postgres", "--", `, "", `"--host=/var/run/postgresql"`, `"--host=` + c.dir + `", "--username=postgres"`}
	}
	return newKeeper(t, example(t, "postgresql.toml", places...).Sources[0])
}

func TestPostgreSQL(t *testing.T) {
	first := newCluster(t, nil)
	second := newCluster(t, first)
	first.start()
	first.sql("postgres", "CREATE DATABASE crm")
	first.sql("crm", crm)
	t.Run("comes back", func(t *testing.T) { testDumpComesBack(t, first, second) })
	t.Run("bad nights are told once", func(t *testing.T) { testBadNightsAreToldOnce(t, first) })
}

func testDumpComesBack(t *testing.T, first, second *cluster) {
	first.t, second.t = t, t
	want := first.sql("crm", rows)
	k := crmExample(t, first)
	res := k.complete()
	target := k.restore(res.Snapshot)
	run(t, nil, "", "chmod", "-R", "go+rX", target)

	second.start()
	// The globals hold the role postgres, too, which is there: psql reports that and goes on.
	run(t, second.as, "", "psql", "-h", second.dir, "-U", "postgres", "-d", "postgres", "-X", "-q", "-f", filepath.Join(target, "globals.sql"))
	second.sql("postgres", "CREATE DATABASE crm; CREATE DATABASE schema_only")
	run(t, second.as, "", need(t, "pg_restore", installed), "-h", second.dir, "-U", "postgres", "--exit-on-error", "-d", "crm", filepath.Join(target, "crm.dump"))
	if got := second.sql("crm", rows); got != want || len(want) < 100_000 {
		t.Errorf("%d bytes of rows come back as %d", len(want), len(got))
	}
	run(t, second.as, "", "psql", "-h", second.dir, "-U", "postgres", "-d", "schema_only", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", filepath.Join(target, "crm.schema.sql"))
	if got := second.sql("schema_only", "SELECT count(*) FROM photos; SELECT count(*) FROM clients"); got != "0\n0\n" {
		t.Errorf("the schema alone has %q rows", got)
	}
	// Control: the comparison sees one row.
	second.sql("crm", "UPDATE photos SET rating = 9.9 WHERE id = 2500")
	if second.sql("crm", rows) == want {
		t.Error("control: a changed row is not seen")
	}

	// The next night stores what changed.
	first.sql("crm", "UPDATE clients SET note = 'moved' WHERE id = 500")
	again := k.complete()
	t.Logf("first dump: %d bytes printed, %d stored; next night %d stored", res.Snapshot.Stats.Bytes, res.Snapshot.Stats.AddedBytes, again.Snapshot.Stats.AddedBytes)
}

// testBadNightsAreToldOnce: what the daemon makes of bad nights, and of the next good ones.
func testBadNightsAreToldOnce(t *testing.T, c *cluster) {
	c.t = t
	k := crmExample(t, c)
	teller, events := told(t)
	good := k.complete()
	report(teller, "crm", good)
	if got := events(); got != "" {
		t.Errorf("told %s", got)
	}

	dump := k.source.Outputs[0].Command
	k.source.Outputs[0].Command = []string{"true"} // an empty dump
	empty := k.snapshot()
	failed(t, empty, "crm.dump", "printed nothing")
	report(teller, "crm", empty)
	halfGood := k.snapshot() // the next night; the other two outputs are well
	report(teller, "crm", halfGood)

	k.source.Outputs[0].Command = dump
	c.stop()
	off := k.snapshot()
	failed(t, off, "crm.dump", "exit status 1: pg_dump: error:")
	failed(t, off, "globals.sql", "pg_dumpall: error:")
	report(teller, "crm", off)
	// What the last night printed that was good for each file is in the snapshot of a bad one.
	bad := k.restore(off.Snapshot)
	if !sameFiles(k.restore(good.Snapshot), bad, "crm.dump") || !sameFiles(k.restore(halfGood.Snapshot), bad, "crm.schema.sql", "globals.sql") {
		t.Error("the snapshot of a bad night does not hold the dumps of the last good ones")
	}

	c.start()
	report(teller, "crm", k.complete())
	report(teller, "crm", k.complete())
	var kinds []string
	for line := range strings.Lines(events()) {
		var e alert.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, e.Source+" "+e.Kind)
		if e.Kind == "degraded" && !strings.Contains(strings.Join(e.Detail, "\n"), "crm.dump: its command did not deliver: it printed nothing") {
			t.Errorf("detail %q", e.Detail)
		}
	}
	if got := strings.Join(kinds, ", "); got != "crm degraded, crm recovered" {
		t.Errorf("told %q", got)
	}
}

func sameFiles(a, b string, names ...string) bool {
	for _, name := range names {
		if exec.Command("cmp", filepath.Join(a, name), filepath.Join(b, name)).Run() != nil {
			return false
		}
	}
	return true
}
