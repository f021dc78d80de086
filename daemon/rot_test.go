package daemon_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/daemon/config"
	"keepsake/daemon/health"
	"keepsake/store"
	"keepsake/store/tree"
)

// platter is a disk whose bytes can change as those of a failing one do: behind
// the back of all times, while it is mounted and watched.
type platter struct {
	t            *testing.T
	image, point string
}

func newPlatter(t *testing.T) *platter {
	t.Helper()
	for _, name := range []string{"mkfs.ext4", "mount", "umount", "debugfs", "findmnt"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("not run: %s is not installed", name)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("not run: mounting an image needs root")
	}
	d := &platter{t: t, image: filepath.Join(t.TempDir(), "image"), point: filepath.Join(t.TempDir(), "lib")}
	if err := os.Mkdir(d.point, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, 32<<20); err != nil {
		t.Fatal(err)
	}
	d.do("mkfs.ext4", "-q", "-O", "^has_journal", "-b", "4096", d.image)
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", "loop", d.image, d.point).CombinedOutput(); err != nil {
		t.Skipf("not run: mounting an image: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if d.mounted() {
			d.do("umount", d.point)
		}
	})
	return d
}

func (d *platter) do(name string, args ...string) string {
	d.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		d.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func (d *platter) mounted() bool { return exec.Command("findmnt", "-n", d.point).Run() == nil }

// rot flips a bit of a file on the device below its file system.
func (d *platter) rot(name string, offset int64) {
	d.t.Helper()
	d.do("sync", "-f", d.point)
	out := d.do("debugfs", "-R", fmt.Sprintf("bmap \"%s\" %d", name, offset/4096), d.image)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var block int64
	if _, err := fmt.Sscan(lines[len(lines)-1], &block); err != nil || block == 0 {
		d.t.Fatalf("the block of %s: %q", name, out)
	}
	loop := strings.TrimSpace(d.do("findmnt", "-n", "-o", "SOURCE", d.point))
	device, err := os.OpenFile(loop, os.O_RDWR|unix.O_DSYNC, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	defer device.Close()
	var b [1]byte
	at := block*4096 + offset%4096
	if _, err := device.ReadAt(b[:], at); err != nil {
		d.t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := device.WriteAt(b[:], at); err != nil {
		d.t.Fatal(err)
	}
}

func bytesOf(size int, seed byte) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}

// nightly is a source that is looked at half a day from now at the earliest, and
// read again: so much a day.
func nightly(t *testing.T, clock *turned, reread int64) func(*config.Source) {
	return func(s *config.Source) {
		at := clock.Now().Add(12 * time.Hour).Format("15:04")
		s.Schedule, s.Reread = timesOf(t, at), reread
		s.Keep.Last = 1
		s.Keep.Within, s.Keep.Daily, s.Keep.Weekly, s.Keep.Monthly = 0, 0, 0, 0
	}
}

// hours lets hours pass, one after the other, each with its round of reading.
func (k *timed) hours(t *testing.T, n int) {
	t.Helper()
	for range n {
		k.clock.pass(time.Hour + time.Minute)
		// The round has begun when those who waited have looked at the clock; it
		// is short, and what it does is waited for by those who want it.
		time.Sleep(100 * time.Millisecond)
	}
}

// TestRotUnderTheKeeper goes through the life of a file that rots: found by the
// re-read, held and shown, acknowledged without being raised again, and mended
// by a person who restores it.
func TestRotUnderTheKeeper(t *testing.T) {
	d := newPlatter(t)
	good := bytesOf(300_000, 3)
	for i := range 4 {
		put(t, filepath.Join(d.point, fmt.Sprint(i), "photo.jpg"), string(bytesOf(300_000, byte(i))))
	}
	clock := newTurned()
	k := keptBy(t, clock, configured(d.point, nightly(t, clock, 24<<30)))
	k.rest(t)
	before := newest(t, k.r)
	k.hours(t, 1)
	wait(t, "read again", func() bool { return !k.Facts()[0].Reread.RoundEnded.IsZero() })
	if s := k.Health()[0]; s.Guarded || s.Reread.Files != 4 || s.Reread.Mismatches != 0 {
		t.Fatalf("nothing has rotted: %+v, %+v", s.Alarms, s.Reread)
	}

	d.rot("3/photo.jpg", 200_000)
	k.hours(t, 1)
	wait(t, "kept by a snapshot", func() bool { return k.Health()[0].Guarded && k.Facts()[0].Newest.Missed == 1 })
	s := k.Health()[0]
	if s.State != health.Guarded || len(s.Alarms) != 1 || s.Alarms[0].Guard != health.GuardRot || s.Alarms[0].PinnedID != before.ID.Short() {
		t.Errorf("%s, alarms %+v, want %s pinned", s.State, s.Alarms, before.ID.Short())
	}
	if !slices.Equal(s.Suspects.Paths, []string{"3/photo.jpg"}) || !strings.Contains(s.Reason, "3/photo.jpg among them") {
		t.Errorf("suspects %+v, reason %q", s.Suspects, s.Reason)
	}
	k.holdsRotten(t, good)
	if !isThere(t, k.r, before) {
		t.Error("the snapshot before it expired")
	}
	k.bell.hears(t, "lib", "guard")
	k.hours(t, 2) // found again, which is no news
	k.bell.hears(t, "lib", "guard")

	// Acknowledged, and left as it is: what is known is not raised again.
	if _, err := k.Acknowledge(t.Context(), []string{"lib"}, "ann", "the disk is being replaced"); err != nil {
		t.Fatal(err)
	}
	read := k.Facts()[0].Reread.Files
	k.hours(t, 2)
	wait(t, "read once more", func() bool { return k.Facts()[0].Reread.Files > read })
	if s := k.Health()[0]; s.Guarded || s.State != health.Degraded {
		t.Errorf("%s, alarms %+v", s.State, s.Alarms)
	}
	k.holdsRotten(t, good)
	k.bell.hears(t, "lib", "guard", "degraded")

	// Restored, it is a file like others.
	put(t, filepath.Join(d.point, "3/photo.jpg"), string(good))
	k.rest(t)
	k.bell.hears(t, "lib", "guard", "degraded", "recovered")
	n, err := k.r.Resolve(t.Context(), &newestRoot(t, k).Root, "3/photo.jpg")
	if err != nil || n.Flags != 0 {
		t.Errorf("%+v, %v", n, err)
	}
	// And may rot again.
	d.rot("3/photo.jpg", 100_000)
	k.hours(t, 1)
	wait(t, "raised again", func() bool { return k.Health()[0].Guarded })
}

func newestRoot(t *testing.T, k *timed) *store.Snapshot {
	s := newest(t, k.r)
	return &s
}

// holdsRotten checks that the newest snapshot has the good version of
// 3/photo.jpg, flagged and listed.
func (k *timed) holdsRotten(t *testing.T, good []byte) {
	t.Helper()
	s := newest(t, k.r)
	if len(s.Missed) != 1 || s.Missed[0].Reason != tree.ReasonRot || string(s.Missed[0].Path) != "3/photo.jpg" {
		t.Fatalf("missed %v", s.Missed)
	}
	n, err := k.r.Resolve(t.Context(), &s.Root, "3/photo.jpg")
	if err != nil {
		t.Fatal(err)
	}
	f, err := k.r.OpenFile(n)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n.Size)
	if _, err := f.ReadAt(t.Context(), b, 0); n.Flags&tree.SuspectRot == 0 || !bytes.Equal(b, good) {
		t.Errorf("flags %v, %v, the good content: %v", n.Flags, err, bytes.Equal(b, good))
	}
}

// TestRereadOfAnUnmountedSource proves nothing, and says so: no cycle ends while
// the disk is away, whatever a snapshot of its empty mount point says.
func TestRereadOfAnUnmountedSource(t *testing.T) {
	d := newPlatter(t)
	for i := range 12 {
		put(t, filepath.Join(d.point, fmt.Sprint(i)), string(bytesOf(100_000, byte(i))))
	}
	clock := newTurned()
	k := keptBy(t, clock, configured(d.point, nightly(t, clock, 24<<30)))
	k.rest(t)
	k.hours(t, 1)
	wait(t, "read in full", func() bool { return !k.Facts()[0].Reread.RoundEnded.IsZero() })
	ended := k.Facts()[0].Reread.RoundEnded
	k.hours(t, 2)
	wait(t, "read in full once more", func() bool { return k.Facts()[0].Reread.RoundEnded.After(ended) }) // the control

	d.do("umount", d.point)
	time.Sleep(200 * time.Millisecond) // a round under way at the end of the hours
	ended = k.Facts()[0].Reread.RoundEnded
	k.hours(t, 3)
	asked(t, k.Keeper) // a snapshot of nothing, and an alarm
	if !k.Health()[0].Guarded {
		t.Fatalf("no alarm: %+v", k.Health()[0])
	}
	k.hours(t, 3)
	if now := k.Facts()[0].Reread.RoundEnded; !now.Equal(ended) {
		t.Errorf("an unmounted source was read in full at %v; the last time was %v", now, ended)
	}
}

// TestRereadBudget: an hour has its share of the day, a file that takes more
// uses up the next hours', and a pause holds.
func TestRereadBudget(t *testing.T) {
	const share = 1 << 20
	var names []string
	dir := library(t, names...)
	put(t, filepath.Join(dir, "large"), string(bytesOf(5*share, 1)))
	for i := range 12 {
		put(t, filepath.Join(dir, fmt.Sprint(i)), string(bytesOf(share/4, byte(i))))
	}
	clock := newTurned()
	k := keptBy(t, clock, configured(dir, nightly(t, clock, 24*share)))
	k.rest(t)
	read := func() uint64 { return k.Facts()[0].Reread.Bytes }
	var most uint64 // since the begin, beyond what the hours allow
	for hour := 1; hour <= 14; hour++ {
		k.hours(t, 1)
		if over := read() - min(read(), uint64(hour)*share); over > most {
			most = over
		}
	}
	wait(t, "read in full", func() bool { return !k.Facts()[0].Reread.RoundEnded.IsZero() })
	if most > 5*share || read() > 14*share+5*share {
		t.Errorf("%d bytes beyond the budget, %d in 14 hours", most, read())
	}
	if read() < 8*share {
		t.Errorf("%d bytes in 14 hours: less than the source has", read())
	}
	if err := k.Pause(nil, clock.Now().Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	before := read()
	k.hours(t, 8)
	if got := read(); got != before {
		t.Errorf("%d bytes were read during a pause", got-before)
	}
	if err := k.Pause(nil, time.Time{}); err != nil {
		t.Fatal(err)
	}
	wait(t, "reading again", func() bool { k.hours(t, 1); return read() > before })
}
