package daemon_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"keepsake/daemon"
	"keepsake/daemon/config"
	"keepsake/daemon/health"
	"keepsake/daemon/schedule"
	"keepsake/store/storetest"
)

// library makes a directory with some files.
func library(t *testing.T, files ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "lib")
	for _, name := range files {
		put(t, filepath.Join(dir, name), name)
	}
	return dir
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// wait waits for a condition that must come true.
func wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute: not yet %s", what)
		}
	}
}

// hourly is a source that nothing but a request or an hour makes a keeper look at.
func hourly(s *config.Source) { s.Schedule = schedule.Schedule{Every: time.Hour} }

// asked asks for a snapshot now.
func asked(t *testing.T, k *daemon.Keeper, labels ...string) (all []daemon.Looked) {
	t.Helper()
	if err := k.BackupNow(t.Context(), labels, func(l daemon.Looked) { all = append(all, l) }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestBackupNow(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := library(t, "a", "b")
	events := make(chan daemon.Event, 1000)
	k := kept(t, r, configured(dir, hourly), events)
	<-events

	put(t, filepath.Join(dir, "c"), "c")
	l := asked(t, k)
	if len(l) != 1 || l[0].Err != nil || l[0].Label != "lib" || l[0].Newest.Root.Below.Files != 3 {
		t.Fatalf("asked for a snapshot: %+v", l)
	}
	// Files that were read right after their last write are read once more.
	wait(t, "nothing to publish", func() bool { return asked(t, k, "lib")[0].Snapshot.Number == 0 })
	if err := k.BackupNow(t.Context(), []string{"nobody"}, func(daemon.Looked) {}); err == nil {
		t.Error("an unknown source was looked at")
	}
}

// TestPause holds a source back; what changes meanwhile is captured afterwards,
// and the pause survives the keeper.
func TestPause(t *testing.T) {
	place := storetest.New(t)
	r := place.Open(t)
	dir := library(t, "a")
	events := make(chan daemon.Event, 1000)
	k := kept(t, r, configured(dir), events)
	<-events
	if err := k.Pause(nil, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "b"), "b")
	wait(t, "known to wait", func() bool { return k.Facts()[0].Watch.Dirty > 0 })
	if s := k.Health()[0]; s.State != health.Paused || s.NextRun.Before(s.PausedUntil) {
		t.Errorf("state %s, next %v, paused until %v", s.State, s.NextRun, s.PausedUntil)
	}
	f, err := daemon.RememberedFacts(r, "lib")
	if err != nil || time.Until(f.PausedUntil) < 50*time.Minute {
		t.Errorf("remembered pause until %v, %v", f.PausedUntil, err)
	}
	if n := newest(t, r); n.Root.Below.Files != 1 {
		t.Errorf("captured during the pause: %d files", n.Root.Below.Files)
	}
	// What a person asks for is done at once.
	if l := asked(t, k); l[0].Err != nil || l[0].Newest.Root.Below.Files != 2 {
		t.Errorf("asked during the pause: %+v", l)
	}
	put(t, filepath.Join(dir, "c"), "c")
	if err := k.Pause([]string{"lib"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	wait(t, "captured after the pause", func() bool { return newest(t, r).Root.Below.Files == 3 })
}

// TestFacts is what status says of a source that is well.
func TestFacts(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := library(t, "a", "b/c")
	events := make(chan daemon.Event, 1000)
	k := kept(t, r, configured(dir, hourly), events)
	<-events
	wait(t, "complete, and the next look planned", func() bool {
		s := k.Health()[0]
		return s.Well() && s.NextRun.After(time.Now())
	})
	s := k.Health()[0]
	if s.State != health.Complete || s.Newest.Files != 2 || s.Gap != time.Hour || s.Totals.Complete == 0 {
		t.Errorf("%+v", s)
	}
	wait(t, "watched", func() bool { return k.Facts()[0].Watch.Watches == 2 })
}

// TestBackupNowWhileAFileIsWritten: that nothing can be stored is another thing
// than that nothing has changed.
func TestBackupNowWhileAFileIsWritten(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := library(t, "a")
	events := make(chan daemon.Event, 1000)
	k := kept(t, r, configured(dir, hourly, func(s *config.Source) { s.Settle = time.Second }), events)
	<-events
	if l := asked(t, k)[0]; l.Writing != 0 || l.Alarms != 0 {
		t.Errorf("at rest: %+v", l) // the control
	}
	f, err := os.Create(filepath.Join(dir, "growing"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	end := make(chan struct{})
	var work sync.WaitGroup
	defer work.Wait()
	defer close(end)
	work.Go(func() {
		for {
			select {
			case <-end:
				return
			case <-time.After(20 * time.Millisecond):
			}
			if _, err := f.WriteString("more"); err != nil {
				t.Error(err)
				return
			}
		}
	})
	wait(t, "known to be written", func() bool { l := asked(t, k)[0]; return l.Writing == 1 && l.Missing == 1 })
}
