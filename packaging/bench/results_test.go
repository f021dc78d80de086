package bench_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// figure is a row of the table.
type figure struct {
	name, unit string
	budget     string // what it must reach, as people say it
}

// figures are all rows, in the order of the table.
var figures = []figure{
	{"walk", "s", "0.10"},
	{"sequential", "MB/s", "0.85 of reference, 5 of restic"},
	{"its processor time", "ns/B", ""},
	{"four readers", "MB/s", "1.3 of sequential, or both cores busy"},
	{"cores busy", "%", "90"},
	{"random 64 KiB p50", "ms", "0.3"},
	{"random 64 KiB p95", "ms", ""},
	{"heads of photos", "1/s", "3000"},
	{"peak memory", "MiB", "128"},
}

// table gathers measurements of all programs.
type table struct {
	mu       sync.Mutex
	columns  []string
	values   map[[2]string][]float64 // by figure and program
	versions []string
	library  string
}

var results = table{values: map[[2]string][]float64{}}

func (t *table) any() bool { return len(t.values) > 0 }

// add notes one measurement of a program.
func (t *table) add(program, name string, value float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.ContainsFunc(figures, func(f figure) bool { return f.name == name }) {
		panic("bench: there is no figure " + name)
	}
	if !slices.Contains(t.columns, program) {
		t.columns = append(t.columns, program)
	}
	t.values[[2]string{name, program}] = append(t.values[[2]string{name, program}], value)
}

// report gives the medians of a program to the benchmark as well.
func (t *table) report(b *testing.B, program string) {
	for _, f := range figures {
		if all := t.values[[2]string{f.name, program}]; len(all) > 0 {
			b.ReportMetric(median(all), strings.ReplaceAll(f.name, " ", "-")+"-"+f.unit)
		}
	}
}

func median(all []float64) float64 {
	s := slices.Sorted(slices.Values(all))
	return s[len(s)/2]
}

func (t *table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s, %s\n%s\n%s\n\n", time.Now().Format("2006-01-02 15:04"), machine(), strings.Join(t.versions, ", "), t.library)
	fmt.Fprintf(&b, "%-26s", "")
	for _, c := range t.columns {
		fmt.Fprintf(&b, "%12s", c)
	}
	fmt.Fprintf(&b, "   must reach\n")
	for _, f := range figures {
		fmt.Fprintf(&b, "%-26s", f.name+", "+f.unit)
		for _, c := range t.columns {
			text := "-"
			if all := t.values[[2]string{f.name, c}]; len(all) > 0 {
				text = fmt.Sprintf("%.4g", median(all))
			}
			fmt.Fprintf(&b, "%12s", text)
		}
		fmt.Fprintf(&b, "   %s\n", f.budget)
	}
	return b.String()
}

// machine is the processor and the kernel.
func machine() string {
	model := runtime.GOARCH
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, after, ok := strings.Cut(string(b), "model name"); ok {
			line, _, _ := strings.Cut(after, "\n")
			model = strings.TrimLeft(line, "\t: ")
		}
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		kernel = []byte("unknown")
	}
	return fmt.Sprintf("%s, %d cores, Linux %s, %s", model, runtime.NumCPU(), strings.TrimSpace(string(kernel)), runtime.Version())
}

// version is the first line of what a program says of itself.
func version(program string, args ...string) string {
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		return program + ": " + err.Error()
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}
