package health_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"keepsake/daemon/health"
)

// scrape serves metrics by real HTTP and returns the text.
func scrape(t *testing.T, read func() health.Readings) string {
	t.Helper()
	srv := httptest.NewServer(health.Handler(health.MetricsOptions{Version: "1.2.3", Read: read}))
	defer srv.Close()
	resp, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v\n%s", resp.Status, err, b)
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("content type %q", resp.Header.Get("Content-Type"))
	}
	return string(b)
}

// full is a source about which everything is known.
func full() health.Facts {
	return well(alarm, rotten, func(f *health.Facts) {
		f.NextRun, f.Waiting = now.Add(8*time.Minute), 4
		f.Totals = health.Totals{Complete: 5, Degraded: 1, Unchanged: 2, Failed: 3, Took: 90 * time.Second, ReadBytes: 1000, AddedBytes: 600}
		f.Reread = health.Reread{Bytes: 77, Files: 2, Mismatches: 1}
		f.Watch = &health.Watch{Directories: 9, Watches: 8, Unwatched: 1, Limit: 8192, Dirty: 1, Events: 100, Overflows: 2, LimitReached: 3, Remounts: 4, ClockJumps: 5, Differences: 6}
	})
}

func readings(facts ...health.Facts) func() health.Readings {
	return func() health.Readings {
		return health.Readings{
			Sources:    health.JudgeAll(facts, now),
			Repository: health.Repository{Snapshots: 12, Size: 4096, Free: 1 << 30, Known: true},
			Alerts:     health.Alerts{Waiting: 1, Sent: 2, Failed: 3},
		}
	}
}

func TestMetrics(t *testing.T) {
	got := strings.Split(scrape(t, readings(full())), "\n")
	for _, want := range []string{
		`keepsake_source_last_success_timestamp_seconds{source="weddings"} 1.79526996e+09`,
		`keepsake_source_last_snapshot_timestamp_seconds{source="weddings"} 1.7952699e+09`,
		`keepsake_source_fresh{source="weddings"} 1`,
		`keepsake_source_complete{source="weddings"} 1`,
		`keepsake_source_guarded{source="weddings"} 1`,
		`keepsake_source_missed_paths{source="weddings"} 0`,
		`keepsake_source_files{source="weddings"} 3`,
		`keepsake_source_bytes{source="weddings"} 30`,
		`keepsake_source_waiting_files{source="weddings"} 4`,
		`keepsake_source_suspect_files{source="weddings"} 2`,
		`keepsake_source_schedule_gap_seconds{source="weddings"} 900`,
		`keepsake_source_runs_total{result="complete",source="weddings"} 5`,
		`keepsake_source_runs_total{result="degraded",source="weddings"} 1`,
		`keepsake_source_runs_total{result="unchanged",source="weddings"} 2`,
		`keepsake_source_runs_total{result="failed",source="weddings"} 3`,
		`keepsake_source_run_duration_seconds_sum{source="weddings"} 90`,
		`keepsake_source_run_duration_seconds_count{source="weddings"} 11`,
		`keepsake_source_state{source="weddings",state="guarded"} 1`,
		`keepsake_source_state{source="weddings",state="complete"} 0`,
		`keepsake_source_read_bytes_total{source="weddings"} 1000`,
		`keepsake_source_added_bytes_total{source="weddings"} 600`,
		`keepsake_source_directories{source="weddings"} 9`,
		`keepsake_source_watches{source="weddings"} 8`,
		`keepsake_source_unwatched_directories{source="weddings"} 1`,
		`keepsake_source_watch_overflows_total{source="weddings"} 2`,
		`keepsake_source_watch_limit_reached_total{source="weddings"} 3`,
		`keepsake_source_remounts_total{source="weddings"} 4`,
		`keepsake_source_clock_jumps_total{source="weddings"} 5`,
		`keepsake_source_scan_differences_total{source="weddings"} 6`,
		`keepsake_source_reread_bytes_total{source="weddings"} 77`,
		`keepsake_source_reread_mismatches_total{source="weddings"} 1`,
		`keepsake_watches_limit 8192`,
		`keepsake_repository_free_bytes 1.073741824e+09`,
		`keepsake_repository_size_bytes 4096`,
		`keepsake_repository_snapshots 12`,
		`keepsake_alerts_waiting 1`,
		`keepsake_alerts_sent_total 2`,
		`keepsake_alerts_failed_total 3`,
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no line %s", want)
		}
	}
	text := strings.Join(got, "\n")
	for _, want := range []string{`keepsake_build_info{goversion="go`, `version="1.2.3"} 1`, "process_resident_memory_bytes ", "process_open_fds ", "go_goroutines "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
}

// What is not known has no sample: a zero would be taken for a fact.
func TestUnknownIsAbsent(t *testing.T) {
	text := scrape(t, func() health.Readings {
		return health.Readings{Sources: health.JudgeAll([]health.Facts{{Label: "new"}}, now)}
	})
	for _, name := range []string{"last_success", "last_snapshot", "last_complete", "next_run", "schedule_gap", "source_files", "source_bytes", "missed_paths", "overflows", "keepsake_repository_", "watches"} {
		if strings.Contains(text, name) {
			t.Errorf("%s is told of a source without a snapshot", name)
		}
	}
	if !strings.Contains(text, `keepsake_source_fresh{source="new"} 0`) {
		t.Error("a source without a snapshot is not said to be not fresh")
	}
}

// One strange label must not cost the others their samples.
func TestStrangeLabels(t *testing.T) {
	strange := []string{"a\xff", "a\xfe", "q\"uote", `back\slash`, "new\nline", "", "twice", "twice"}
	var all []health.Facts
	for _, l := range strange {
		all = append(all, well(func(f *health.Facts) { f.Label = l }))
	}
	text := scrape(t, readings(append(all, full())...))
	for _, want := range []string{
		"keepsake_source_fresh{source=\"a\uFFFD\"} 1", `keepsake_source_fresh{source="q\"uote"} 1`, `keepsake_source_fresh{source="back\\slash"} 1`,
		`keepsake_source_fresh{source="new\nline"} 1`, `keepsake_source_fresh{source=""} 1`, `keepsake_source_fresh{source="twice"} 1`,
		`keepsake_source_fresh{source="weddings"} 1`,
	} {
		if strings.Count(text, want+"\n") != 1 {
			t.Errorf("not once: %s", want)
		}
	}
	promtool(t, text, true)
}

func TestMetricsAreRead(t *testing.T) {
	n := uint64(0)
	h := health.Handler(health.MetricsOptions{Read: func() health.Readings {
		n++
		return health.Readings{Alerts: health.Alerts{Sent: n}}
	}})
	for want := range 3 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if line := "keepsake_alerts_sent_total " + string(rune('1'+want)); !strings.Contains(w.Body.String(), line) {
			t.Errorf("scrape %d does not say %s", want, line)
		}
	}
}

func TestPromtool(t *testing.T) {
	text := scrape(t, readings(full(), well(none, func(f *health.Facts) { f.Label = "new" })))
	promtool(t, text, true)
	// The check can fail: names against the conventions are refused.
	promtool(t, text+"# TYPE keepsake_runs counter\nkeepsake_runs 1\n", false)
	promtool(t, strings.Replace(text, "# HELP keepsake_source_fresh", "# HELPLESS keepsake_source_fresh", 1), false)
}

// promtool has Prometheus' own tool check a text.
func promtool(t *testing.T, text string, good bool) {
	t.Helper()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("not run: promtool is not installed (package prometheus)")
	}
	c := exec.Command(tool, "check", "metrics")
	c.Stdin = strings.NewReader(text)
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Run(); (err == nil && said.Len() == 0) != good {
		t.Errorf("promtool: %v\n%s", err, said.String())
	}
}

// Of what nobody keeps any more nothing is expected; only an alarm counts.
func TestMetricsOfARetiredSource(t *testing.T) {
	quiet, loud := well(retired, missing(health.Snapshot{Missed: 1})), well(retired, alarm)
	loud.Label = "loud"
	text := scrape(t, readings(quiet, loud))
	for _, never := range []string{"fresh", "complete", "failing"} {
		if strings.Contains(text, "keepsake_source_"+never+"{") {
			t.Errorf("there are samples of %s", never)
		}
	}
	for line, want := range map[string]bool{
		`keepsake_source_state{source="weddings",state="retired"} 1`: true,
		`keepsake_source_guarded{source="weddings"}`:                 false,
		`keepsake_source_guarded{source="loud"} 1`:                   true,
	} {
		if strings.Contains(text, line) != want {
			t.Errorf("%s: want %v", line, want)
		}
	}
}
