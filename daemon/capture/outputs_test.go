package capture_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keepsake/daemon/capture"
	"keepsake/daemon/command"
	"keepsake/store"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// outputs captures what commands print, in a session of its own.
func outputs(t *testing.T, r *store.Repository, change func(*capture.Options), all ...capture.Output) (*capture.Result, error) {
	t.Helper()
	ctx := t.Context()
	w, err := r.NewWriter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	source, _, err := capture.Bind(ctx, r, "dumps", "", "host")
	if err != nil {
		t.Fatal(err)
	}
	o := capture.Options{Repository: r, Writer: w, Source: source, Host: "host"}
	if change != nil {
		change(&o)
	}
	res, err := capture.Outputs(ctx, o, all)
	if closed := w.Close(context.WithoutCancel(ctx)); closed != nil {
		t.Fatal(closed)
	}
	return res, err
}

func mustOutputs(t *testing.T, r *store.Repository, all ...capture.Output) *capture.Result {
	t.Helper()
	res, err := outputs(t, r, nil, all...)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// prints is an output of a shell script.
func prints(name, script string) capture.Output {
	return capture.Output{Name: name, MinShare: 0.5, Write: command.Into(command.Options{
		Args: []string{"/bin/sh", "-c", script}, Timeout: time.Minute, MaxOutput: 1 << 30,
	})}
}

// yields is an output that a test has in memory.
func yields(name string, data []byte, end error) capture.Output {
	return capture.Output{Name: name, MinShare: 0.5, Write: func(_ context.Context, w io.Writer) error {
		if _, err := io.Copy(w, bytes.NewReader(data)); err != nil {
			return err
		}
		return end
	}}
}

func absent(t *testing.T, r *store.Repository, s store.Snapshot, path string) {
	t.Helper()
	if n := node(t, r, s, path); n != nil {
		t.Errorf("%s: %+v", path, n)
	}
}

// missedAs checks that exactly one path is missed, for its command, with words.
func missedAs(t *testing.T, res *capture.Result, path string, detail ...string) {
	t.Helper()
	if len(res.Missed) != 1 || string(res.Missed[0].Path) != path || res.Missed[0].Reason != tree.ReasonCommand || res.Snapshot.Complete() {
		t.Fatalf("missed %q", res.Missed)
	}
	for _, words := range detail {
		if !strings.Contains(res.Missed[0].Detail, words) {
			t.Errorf("detail %q lacks %q", res.Missed[0].Detail, words)
		}
	}
}

func TestOutputsRoundTrip(t *testing.T) {
	r := storetest.New(t).Open(t)
	all := map[string][]byte{
		"a.dump": random(1, 40<<20), "few": []byte("12 bytes\n123"), "at head": random(2, 64), "by/label/list.txt": bytes.Repeat([]byte("line\n"), 9000),
		"by/x": random(3, 16<<10), "past a buffer": random(4, 16<<10+1), "sqlite.db": append([]byte("SQLite format 3\x00"), random(5, 3<<20)...),
	}
	var some []capture.Output
	for name, data := range all {
		some = append(some, yields(name, data, nil))
	}
	res := mustOutputs(t, r, some...)
	if res.Missing != 0 || !res.Snapshot.Complete() || len(res.Snapshot.RootPath) != 0 || res.Snapshot.Basis != tree.Scanned {
		t.Errorf("missed %q, %+v", res.Missed, res.Snapshot)
	}
	for name, data := range all {
		if got := content(t, r, res.Snapshot, name); !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, want %d", name, len(got), len(data))
		}
		n := node(t, r, res.Snapshot, name)
		if sum := sha256.Sum256(data); n.SHA256 == nil || *n.SHA256 != sum || n.Mode != 0o600 || n.UID != uint32(os.Geteuid()) || n.Flags != 0 || n.MTime.IsZero() {
			t.Errorf("%s: %+v", name, n)
		}
	}
	if root := res.Snapshot.Root; root.Type != tree.Dir || root.Mode != 0o700 || root.Below.Files != uint64(len(all)) || root.Below.Dirs != 2 {
		t.Errorf("root %+v", root)
	}
	// The same again stores nothing, is as old as before, and changes nothing.
	again := mustOutputs(t, r, some...)
	if again.Changed || again.Snapshot.Stats.UnchangedFiles != uint64(len(all)) || node(t, r, again.Snapshot, "a.dump").MTime != node(t, r, res.Snapshot, "a.dump").MTime {
		t.Errorf("%+v", again.Snapshot.Stats)
	}
	if added := again.Snapshot.Stats.AddedBytes; added > 1<<20 {
		t.Errorf("the same outputs add %d bytes", added)
	}
	quiet, err := outputs(t, r, func(o *capture.Options) { o.OnlyIfChanged = true }, some...)
	if err != nil || quiet.Snapshot.Number != 0 || quiet.Base != again.Snapshot.ID {
		t.Errorf("%+v, %v", quiet, err)
	}
	// An output that is asked for no more is gone.
	fewer := mustOutputs(t, r, yields("few", all["few"], nil))
	if fewer.Snapshot.Root.Below.Files != 1 || !fewer.Snapshot.Complete() {
		t.Errorf("%+v, missed %q", fewer.Snapshot.Root.Below, fewer.Missed)
	}
}

// TestOutputIsStoredLikeAFile stores the same bytes both ways, which must make
// the same chunks.
func TestOutputIsStoredLikeAFile(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	for i, size := range []int{1, 64, 65, 16 << 10, 16<<10 + 1, 300 << 10, 5 << 20, 20 << 20} {
		data := random(uint64(i), size)
		write(t, filepath.Join(dir, "f"), data)
		file, _ := back(t, r, dir, func(o *capture.Options) { o.Now = later })
		out := mustOutputs(t, r, yields("f", data, nil))
		a, b := node(t, r, file.Snapshot, "f"), node(t, r, out.Snapshot, "f")
		if !slices.Equal(a.Content, b.Content) || fmt.Sprint(a.List) != fmt.Sprint(b.List) || *a.SHA256 != *b.SHA256 {
			t.Errorf("%d bytes: %d pieces as a file, %d as an output", size, len(a.Content), len(b.Content))
		}
	}
}

func TestFailedOutputKeepsItsPreviousVersion(t *testing.T) {
	good := random(7, 3<<20)
	path := filepath.Join(t.TempDir(), "good")
	write(t, path, good)
	half := "head -c 1500000 " + path
	tests := []struct {
		name   string
		broken capture.Output
		detail []string
	}{
		{"exit status", prints("crm.dump", half+"; echo 'pg_dump: error: connection lost' >&2; echo again >&2; exit 3"), []string{"exit status 3", "pg_dump: error: connection lost"}},
		{"all of it, and yet failed", prints("crm.dump", "cat "+path+"; exit 1"), []string{"exit status 1"}},
		{"killed", prints("crm.dump", half+"; kill -9 $$"), []string{"signal 9"}},
		{"nothing", prints("crm.dump", "exit 0"), []string{"printed nothing"}},
		{"no program", capture.Output{Name: "crm.dump", Write: command.Into(command.Options{Args: []string{"/no/such/pg_dump"}})}, []string{"/no/such/pg_dump", "cannot be run"}},
		{"too long", capture.Output{Name: "crm.dump", Write: command.Into(command.Options{
			Args: []string{"/bin/sh", "-c", half + "; sleep 1000"}, Timeout: 500 * time.Millisecond, Grace: 100 * time.Millisecond,
		})}, []string{"took too long"}},
		{"too much", capture.Output{Name: "crm.dump", Write: command.Into(command.Options{
			Args: []string{"head", "-c", "100G", "/dev/zero"}, MaxOutput: 10 << 20,
		})}, []string{"printed too much"}},
		{"an end that is none", yields("crm.dump", good[:1000], io.EOF), nil},
		{"another end that is none", yields("crm.dump", good[:10], io.ErrUnexpectedEOF), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := storetest.New(t).Open(t)
			// Without a previous version the file is absent, and listed.
			first := mustOutputs(t, r, tt.broken, yields("beside", []byte("x"), nil))
			missedAs(t, first, "crm.dump", tt.detail...)
			absent(t, r, first.Snapshot, "crm.dump")
			if string(content(t, r, first.Snapshot, "beside")) != "x" {
				t.Error("the other output suffered")
			}
			second := mustOutputs(t, r, prints("crm.dump", "cat "+path), yields("beside", []byte("x"), nil))
			if !second.Snapshot.Complete() {
				t.Fatalf("missed %q", second.Missed)
			}
			for range 2 { // kept again and again
				res := mustOutputs(t, r, tt.broken, yields("beside", []byte("x"), nil))
				missedAs(t, res, "crm.dump", tt.detail...)
				if n := node(t, r, res.Snapshot, "crm.dump"); n.Flags != tree.KeptPrevious || !bytes.Equal(content(t, r, res.Snapshot, "crm.dump"), good) {
					t.Errorf("%+v", n)
				}
				absent(t, r, res.Snapshot, "crm.dump.short")
			}
			last := mustOutputs(t, r, prints("crm.dump", "cat "+path), yields("beside", []byte("x"), nil))
			if n := node(t, r, last.Snapshot, "crm.dump"); n.Flags != 0 || !last.Snapshot.Complete() || !last.Changed {
				t.Errorf("after recovery %+v, missed %q", n, last.Missed)
			}
		})
	}
}

func TestShortOutput(t *testing.T) {
	r := storetest.New(t).Open(t)
	good, short := random(1, 1_000_000), random(2, 499_999)
	mustOutputs(t, r, yields("crm.dump", good, nil))
	res := mustOutputs(t, r, yields("crm.dump", short, nil))
	missedAs(t, res, "crm.dump", "499999 bytes", "less than 50 %", "1000000 bytes")
	if n := node(t, r, res.Snapshot, "crm.dump"); n.Flags != tree.KeptPrevious || !bytes.Equal(content(t, r, res.Snapshot, "crm.dump"), good) {
		t.Errorf("%+v", n)
	}
	if n := node(t, r, res.Snapshot, "crm.dump.short"); n.Flags != tree.Torn || !bytes.Equal(content(t, r, res.Snapshot, "crm.dump.short"), short) {
		t.Errorf("%+v", n)
	}
	// It is compared with the last good one, not with the short one.
	again := mustOutputs(t, r, yields("crm.dump", short, nil))
	missedAs(t, again, "crm.dump", "1000000 bytes")
	if again.Changed {
		t.Error("the same short output is a change")
	}
	// Who finds it right says so once.
	offered, err := capture.ShortOutputs(t.Context(), r, &again.Snapshot)
	if err != nil || !slices.Equal(offered, []capture.ShortOutput{{Name: "crm.dump", Size: 499_999}}) {
		t.Errorf("offered %v, %v", offered, err)
	}
	accepted := yields("crm.dump", short[:100_000], nil)
	accepted.Accepted = offered[0].Size
	missedAs(t, mustOutputs(t, r, accepted), "crm.dump", "100000 bytes", "less than 50 %", "499999 bytes")
	accepted = yields("crm.dump", short, nil)
	accepted.Accepted = offered[0].Size
	res = mustOutputs(t, r, accepted)
	if !res.Snapshot.Complete() || !bytes.Equal(content(t, r, res.Snapshot, "crm.dump"), short) {
		t.Errorf("missed %q", res.Missed)
	}
	absent(t, r, res.Snapshot, "crm.dump.short")
	if res = mustOutputs(t, r, yields("crm.dump", short, nil)); !res.Snapshot.Complete() {
		t.Errorf("missed %q", res.Missed)
	}
	// Half of it is enough, and another output may have the name.
	if res = mustOutputs(t, r, yields("crm.dump", short[:250_000], nil)); !res.Snapshot.Complete() {
		t.Errorf("missed %q", res.Missed)
	}
	res = mustOutputs(t, r, yields("crm.dump", short[:10], nil), yields("crm.dump.short", []byte("mine"), nil))
	missedAs(t, res, "crm.dump")
	if string(content(t, r, res.Snapshot, "crm.dump.short")) != "mine" {
		t.Error("another output was overwritten")
	}
}

func TestOutputThatMayBeEmpty(t *testing.T) {
	r := storetest.New(t).Open(t)
	o := prints("images.txt", "exit 0")
	o.MayBeEmpty = true
	mustOutputs(t, r, yields("images.txt", []byte("some"), nil))
	res := mustOutputs(t, r, o)
	if n := node(t, r, res.Snapshot, "images.txt"); !res.Snapshot.Complete() || n.Size != 0 || n.SHA256 == nil {
		t.Errorf("%+v, missed %q", n, res.Missed)
	}
}

func TestOutputNames(t *testing.T) {
	r := storetest.New(t).Open(t)
	ok := yields("x", nil, nil)
	tests := map[string][]capture.Output{
		"none":        {},
		"twice":       {ok, ok},
		"no command":  {{Name: "x"}},
		"file in one": {yields("x/y/z", nil, nil), ok},
		"share":       {{Name: "x", Write: ok.Write, MinShare: -1}},
		"no number":   {{Name: "x", Write: ok.Write, MinShare: math.NaN()}},
	}
	for _, name := range []string{"", ".", "..", "/x", "../x", "x/", "x//y", "./x", "a/../b", "x\x00", strings.Repeat("x", 300), strings.Repeat("x/", 600) + "x"} {
		tests[fmt.Sprintf("name %.20q", name)] = []capture.Output{yields(name, nil, nil)}
	}
	for name, all := range tests {
		if res, err := outputs(t, r, nil, all...); err == nil {
			t.Errorf("%s: taken: %d missed", name, res.Missing)
		}
	}
}

func TestOutputsStopWithTheRun(t *testing.T) {
	r := storetest.New(t).Open(t)
	before := mustOutputs(t, r, yields("x", []byte("x"), nil))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w, err := r.NewWriter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	source, _, err := capture.Bind(ctx, r, "dumps", "", "host")
	if err != nil {
		t.Fatal(err)
	}
	hangs := prints("x", "echo some; sleep 1000")
	started := hangs.Write
	hangs.Write = func(ctx context.Context, to io.Writer) error {
		time.AfterFunc(50*time.Millisecond, cancel)
		return started(ctx, to)
	}
	if _, err := capture.Outputs(ctx, capture.Options{Repository: r, Writer: w, Source: source}, []capture.Output{hangs}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, _, err := r.Snapshots(t.Context())
	if err != nil || len(all) != 1 || all[0].ID != before.Snapshot.ID {
		t.Errorf("%d snapshots, %v", len(all), err)
	}
}

func TestOutputsDryRun(t *testing.T) {
	r := storetest.New(t).Open(t)
	o := yields("x", nil, nil)
	o.Write = func(context.Context, io.Writer) error { t.Error("a dry run ran the command"); return nil }
	res, err := outputs(t, r, func(o *capture.Options) { o.DryRun = true }, o)
	if err != nil || res.Snapshot.Number != 0 || res.Missing != 0 {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestUnprepared: a command before the run failed; the run is made and says so.
func TestUnprepared(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	write(t, filepath.Join(dir, "f"), []byte("x"))
	res, _ := back(t, r, dir, func(o *capture.Options) { o.Now, o.Unprepared = later, errors.New("fsfreeze: exit status 1: busy") })
	missedAs(t, res, "", "fsfreeze: exit status 1: busy")
	if string(content(t, r, res.Snapshot, "f")) != "x" {
		t.Error("the file is not in the snapshot")
	}
	res, _ = back(t, r, dir, func(o *capture.Options) { o.Now, o.OnlyIfChanged = later, true })
	if !res.Snapshot.Complete() || res.Snapshot.Number != 2 {
		t.Errorf("after it works again: %+v", res)
	}
}
