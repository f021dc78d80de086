package health

import (
	"log/slog"
	"net/http"
	"runtime"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes bounds the scrapes that are answered at once: each looks at all sources, and two scrapers are already
// more than people run.
const maxScrapes = 4

// Readings are what one scrape shows.
type Readings struct {
	Sources    []Source
	Repository Repository
	Alerts     Alerts
	ClockDoubt bool // the clock is not trusted, and nothing expires
}

// Repository are the figures of the place where the objects lie.
type Repository struct {
	Snapshots uint64
	Size      uint64 // bytes of all objects; 0 if nobody has counted them
	Free      uint64 // bytes left on its file system
	Known     bool   // false while it cannot be reached: then no sample is better than a wrong one
}

// Alerts are the figures of the command that people are told with.
type Alerts struct {
	Waiting uint64 // not delivered yet
	Sent    uint64
	Failed  uint64 // attempts
}

// MetricsOptions says what Handler serves. Read is required.
type MetricsOptions struct {
	Version string
	// Read is called at each scrape, by several goroutines if several scrape at once.
	Read func() Readings
	Log  *slog.Logger // nil discards
}

// Handler serves metrics in the format that the scraper asks for.
func Handler(o MetricsOptions) http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewGoCollector(),
		newCollector(o),
	)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
	})
}

// collector turns readings into samples at scrape time.
type collector struct {
	o       MetricsOptions
	build   *prometheus.Desc
	sources []*prometheus.Desc // parallel to perSource
	whole   []*prometheus.Desc // parallel to ofAll
	runs    *prometheus.Desc
	took    *prometheus.Desc
	state   *prometheus.Desc
}

const (
	namespace  = "keepsake"
	subsystem  = "source"
	labelOf    = "source"
	labelRuns  = "result"
	labelState = "state"
)

func newCollector(o MetricsOptions) *collector {
	source := func(name, help string, more ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, subsystem, name), help, append([]string{labelOf}, more...), nil)
	}
	c := &collector{
		o: o,
		build: prometheus.NewDesc(prometheus.BuildFQName(namespace, "", "build_info"),
			"A metric with a constant value of 1, labelled by version and Go version.", []string{"version", "goversion"}, nil),
		runs:  source("runs_total", "Runs that ended since the process started, by result.", labelRuns),
		took:  source("run_duration_seconds", "Time that runs took since the process started."),
		state: source("state", "1 for the word that status shows for the source, 0 for all others.", labelState),
	}
	for _, m := range perSource {
		c.sources = append(c.sources, source(m.name, m.help))
	}
	for _, m := range ofAll {
		c.whole = append(c.whole, prometheus.NewDesc(prometheus.BuildFQName(namespace, "", m.name), m.help, nil, nil))
	}
	return c
}

// Describe tells all metrics, so that a clash of names is found when the collector is registered.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range append(append([]*prometheus.Desc{c.build, c.runs, c.took, c.state}, c.sources...), c.whole...) {
		out <- d
	}
}

// Collect reads once and sends all samples.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	r := c.o.Read()
	send := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		m, err := prometheus.NewConstMetric(d, t, v, labels...)
		if err != nil {
			m = prometheus.NewInvalidMetric(d, err) // told in the log; the other samples are served
		}
		out <- m
	}
	send(c.build, prometheus.GaugeValue, 1, utf8Only(c.o.Version), runtime.Version())
	for i, m := range ofAll {
		if v, ok := m.value(r); ok {
			send(c.whole[i], m.kind, v)
		}
	}
	seen := map[string]bool{}
	for _, s := range r.Sources {
		// A label that comes twice would invalidate the whole scrape.
		label := utf8Only(s.Label)
		if seen[label] {
			continue
		}
		seen[label] = true
		for i, m := range perSource {
			if v, ok := m.value(s); ok {
				send(c.sources[i], m.kind, v, label)
			}
		}
		for _, result := range results {
			send(c.runs, prometheus.CounterValue, float64(result.count(s.Totals)), label, result.name)
		}
		for _, state := range states {
			send(c.state, prometheus.GaugeValue, number(s.State == state), label, string(state))
		}
		took, err := prometheus.NewConstSummary(c.took, s.Totals.Runs(), s.Totals.Took.Seconds(), nil, label)
		if err != nil {
			took = prometheus.NewInvalidMetric(c.took, err)
		}
		out <- took
	}
}

// utf8Only makes a label value of any bytes.
func utf8Only(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
