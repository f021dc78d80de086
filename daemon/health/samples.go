package health

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// sample is one metric and where its value comes from; ok is false if it is not known.
type sample[T any] struct {
	name  string
	help  string
	kind  prometheus.ValueType
	value func(T) (v float64, ok bool)
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// results are the values of the label result of keepsake_source_runs_total.
var results = []struct {
	name  string
	count func(Totals) uint64
}{
	{"complete", func(t Totals) uint64 { return t.Complete }},
	{"degraded", func(t Totals) uint64 { return t.Degraded }},
	{"unchanged", func(t Totals) uint64 { return t.Unchanged }},
	{"failed", func(t Totals) uint64 { return t.Failed }},
}

// perSource are the metrics of each source, keepsake_source_…. Names and meanings are read by other people's alerts:
// they stay.
var perSource = []sample[Source]{
	{"last_success_timestamp_seconds", "When the last successful look at the source ended, whether or not anything had changed.", gauge,
		func(s Source) (float64, bool) { return unix(s.Looked) }},
	{"last_snapshot_timestamp_seconds", "When the newest snapshot was begun.", gauge,
		func(s Source) (float64, bool) {
			return ofNewest(s, func(n *Snapshot) float64 { return seconds(n.Time) })
		}},
	{"last_complete_snapshot_timestamp_seconds", "When the newest snapshot that misses nothing was begun.", gauge,
		func(s Source) (float64, bool) { return unix(s.NewestComplete) }},
	{"next_run_timestamp_seconds", "When the schedule has the next run begin.", gauge,
		func(s Source) (float64, bool) { return unix(s.NextRun) }},
	{"schedule_gap_seconds", "The longest regular distance between two runs. The source is fresh for one and a half times as long.", gauge,
		func(s Source) (float64, bool) { return s.Gap.Seconds(), s.Gap > 0 }},
	{"fresh", "1 if the last successful look is at most one and a half schedule gaps ago.", gauge,
		func(s Source) (float64, bool) { return number(s.Fresh), !s.Facts.Retired }},
	{"complete", "1 if the newest snapshot misses nothing.", gauge,
		func(s Source) (float64, bool) { return number(s.Complete), !s.Facts.Retired }},
	{"guarded", "1 if an alarm stands that nobody has acknowledged. Expiry is paused.", gauge,
		func(s Source) (float64, bool) { return number(s.Guarded), s.Guarded || !s.Facts.Retired }},
	{"failing", "1 if the last run failed.", gauge,
		func(s Source) (float64, bool) { return number(s.LastError != ""), !s.Facts.Retired }},
	{"after_failed", "1 if a command after the last run failed.", gauge,
		func(s Source) (float64, bool) { return number(s.AfterError != ""), !s.Facts.Retired }},
	{"paused", "1 if a person paused the source.", gauge,
		func(s Source) (float64, bool) { return number(s.State == Paused), !s.Facts.Retired }},
	{"polled", "1 if events do not announce all changes of the source.", gauge,
		func(s Source) (float64, bool) { return number(s.Facts.Polled != ""), !s.Facts.Retired }},
	{"running", "1 while a run is under way.", gauge,
		func(s Source) (float64, bool) { return number(s.Running), true }},
	{"missed_paths", "Paths that the newest snapshot should hold and does not, or not in their present version.", gauge,
		func(s Source) (float64, bool) {
			return ofNewest(s, func(n *Snapshot) float64 { return float64(n.Missed) })
		}},
	{"files", "Files in the newest snapshot.", gauge,
		func(s Source) (float64, bool) {
			return ofNewest(s, func(n *Snapshot) float64 { return float64(n.Files) })
		}},
	{"bytes", "Sizes of all files in the newest snapshot.", gauge,
		func(s Source) (float64, bool) {
			return ofNewest(s, func(n *Snapshot) float64 { return float64(n.Bytes) })
		}},
	{"waiting_files", "Files that changed and have not come to rest.", gauge,
		func(s Source) (float64, bool) { return float64(s.Waiting), true }},
	{"suspect_files", "Files whose content changed though size and times did not, and that nobody has acknowledged.", gauge,
		func(s Source) (float64, bool) { return float64(s.Suspects.Count), true }},
	{"read_bytes_total", "Bytes read from the source since the process started.", counter,
		func(s Source) (float64, bool) { return float64(s.Totals.ReadBytes), true }},
	{"added_bytes_total", "Bytes added to the repository, as stored, since the process started.", counter,
		func(s Source) (float64, bool) { return float64(s.Totals.AddedBytes), true }},
	{"reread_bytes_total", "Bytes read again to find rot since the process started.", counter,
		func(s Source) (float64, bool) { return float64(s.Reread.Bytes), true }},
	{"reread_mismatches_total", "Files found changed without a trace since the process started.", counter,
		func(s Source) (float64, bool) { return float64(s.Reread.Mismatches), true }},
	watched("directories", "Directories of the source that the watcher knows.", gauge, func(w *Watch) uint64 { return w.Directories }),
	watched("watches", "Directories of the source that have a watch.", gauge, func(w *Watch) uint64 { return w.Watches }),
	watched("unwatched_directories", "Directories of the source without a watch. They are polled.", gauge, func(w *Watch) uint64 { return w.Unwatched }),
	watched("dirty_directories", "Directories that wait to be looked at.", gauge, func(w *Watch) uint64 { return w.Dirty }),
	watched("watch_events_total", "File system events received since the process started.", counter, func(w *Watch) uint64 { return w.Events }),
	watched("watch_overflows_total", "Times that events were lost and the source was scanned instead.", counter, func(w *Watch) uint64 { return w.Overflows }),
	watched("watch_limit_reached_total", "Times that the limit of watches was newly reached.", counter, func(w *Watch) uint64 { return w.LimitReached }),
	watched("remounts_total", "Times that a file system in the source was mounted, unmounted or replaced.", counter, func(w *Watch) uint64 { return w.Remounts }),
	watched("clock_jumps_total", "Times that the clock jumped and the source was scanned.", counter, func(w *Watch) uint64 { return w.ClockJumps }),
	watched("scan_differences_total", "Changes that a full scan found and no event had announced.", counter, func(w *Watch) uint64 { return w.Differences }),
}

// ofAll are the metrics of the daemon as a whole, keepsake_….
var ofAll = []sample[Readings]{
	{"repository_free_bytes", "Bytes left on the file system of the repository.", gauge,
		func(r Readings) (float64, bool) { return float64(r.Repository.Free), r.Repository.Known }},
	{"repository_size_bytes", "Bytes of all objects of the repository.", gauge,
		func(r Readings) (float64, bool) {
			return float64(r.Repository.Size), r.Repository.Known && r.Repository.Size > 0
		}},
	{"repository_snapshots", "Snapshots in the repository.", gauge,
		func(r Readings) (float64, bool) { return float64(r.Repository.Snapshots), r.Repository.Known }},
	{"watches_limit", "The most watches that the kernel gives the user of the process.", gauge,
		func(r Readings) (float64, bool) {
			limit := uint64(0)
			for _, s := range r.Sources {
				if s.Watch != nil {
					limit = max(limit, s.Watch.Limit)
				}
			}
			return float64(limit), limit > 0
		}},
	{"clock_in_doubt", "1 if the clock jumped and nobody has acknowledged it. Expiry is paused.", gauge,
		func(r Readings) (float64, bool) { return number(r.ClockDoubt), true }},
	{"alerts_waiting", "Alerts that have not been delivered yet.", gauge,
		func(r Readings) (float64, bool) { return float64(r.Alerts.Waiting), true }},
	{"alerts_sent_total", "Alerts delivered since the process started.", counter,
		func(r Readings) (float64, bool) { return float64(r.Alerts.Sent), true }},
	{"alerts_failed_total", "Attempts to deliver an alert that failed since the process started.", counter,
		func(r Readings) (float64, bool) { return float64(r.Alerts.Failed), true }},
}

// watched is a metric of the watcher's figures, absent while nobody watches.
func watched(name, help string, kind prometheus.ValueType, value func(*Watch) uint64) sample[Source] {
	return sample[Source]{name, help, kind, func(s Source) (float64, bool) {
		if s.Watch == nil {
			return 0, false
		}
		return float64(value(s.Watch)), true
	}}
}

func ofNewest(s Source, value func(*Snapshot) float64) (float64, bool) {
	if s.Newest == nil {
		return 0, false
	}
	return value(s.Newest), true
}

func unix(t time.Time) (float64, bool) { return seconds(t), !t.IsZero() }

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
