package gentle_test

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"keepsake/daemon/gentle"
)

const mib = 1 << 20

func TestMemory(t *testing.T) {
	unlimited := "9223372036854771712\n" // as the old hierarchy says it
	tests := []struct {
		name   string
		files  map[string]string
		o      gentle.Options
		want   int64
		from   string
		reason string // of the problem; empty if there is none
	}{
		{name: "nothing"},
		{name: "configured", o: gentle.Options{Memory: 300 * mib}, want: 300 * mib, from: "configuration"},
		{
			name:  "new hierarchy",
			files: map[string]string{"proc/self/cgroup": "0::/system.slice/keepsake.service\n", "sys/fs/cgroup/system.slice/keepsake.service/memory.max": "524288000\n"},
			want:  500 * mib / 10 * 9, from: "control group",
		},
		{
			name: "the group above",
			files: map[string]string{
				"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "1048576000\n", "sys/fs/cgroup/a/b/memory.high": "524288000\n",
			},
			want: 500 * mib / 10 * 9, from: "control group",
		},
		{
			name:  "old hierarchy in a container",
			files: map[string]string{"proc/self/cgroup": "4:cpu,memory:/docker/abc\n0::/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "524288000\n"},
			want:  500 * mib / 10 * 9, from: "control group",
		},
		{
			name:  "old hierarchy without a limit",
			files: map[string]string{"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": unlimited},
		},
		{
			name:  "the configuration is less",
			files: map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1048576000\n"},
			o:     gentle.Options{Memory: 200 * mib}, want: 200 * mib, from: "configuration",
		},
		{
			name:  "the group is less",
			files: map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "524288000\n"},
			o:     gentle.Options{Memory: 2000 * mib}, want: 500 * mib / 10 * 9, from: "control group",
		},
		{name: "too little", o: gentle.Options{Memory: mib}, want: 64 * mib, from: "configuration", reason: "too little"},
		{
			name:  "unreadable",
			files: map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "lots\n"},
			o:     gentle.Options{Memory: 200 * mib}, want: 200 * mib, from: "configuration", reason: "memory.max",
		},
		{
			name:  "a path that climbs",
			files: map[string]string{"proc/self/cgroup": "0::/../../..\n", "memory.max": "1\n"},
		},
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			debug.SetMemoryLimit(math.MaxInt64)
			tt.o.Root, tt.o.Eager = t.TempDir(), true
			for name, text := range tt.files {
				path := filepath.Join(tt.o.Root, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			r := gentle.Apply(tt.o)
			if r.Memory != tt.want || r.MemoryFrom != tt.from && tt.want != 0 {
				t.Errorf("got %d from %q, want %d from %q", r.Memory, r.MemoryFrom, tt.want, tt.from)
			}
			inForce := debug.SetMemoryLimit(-1)
			if tt.want == 0 {
				tt.want = math.MaxInt64
			}
			if inForce != tt.want {
				t.Errorf("in force is %d, want %d", inForce, tt.want)
			}
			switch {
			case tt.reason == "" && len(r.Problems) > 0:
				t.Errorf("problems: %v", r.Problems)
			case tt.reason != "" && (len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Error(), tt.reason)):
				t.Errorf("problems: %v, want one about %q", r.Problems, tt.reason)
			}
		})
	}
}

// TestGoMemLimitWins: what somebody set for the runtime is left alone.
func TestGoMemLimitWins(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(700 * mib))
	r := gentle.Apply(gentle.Options{Eager: true, Memory: 100 * mib, GoMemLimit: "700MiB"})
	if is := debug.SetMemoryLimit(-1); is != 700*mib || r.Memory != is || r.MemoryFrom != "GOMEMLIMIT" {
		t.Errorf("in force is %d, reported %+v", is, r)
	}
}

// TestThisMachine: the real files are understood.
func TestThisMachine(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	r := gentle.Apply(gentle.Options{Eager: true})
	if len(r.Problems) > 0 {
		t.Errorf("%v", r.Problems)
	}
	t.Logf("limit %d from %q", r.Memory, r.MemoryFrom)
}
