package command_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keepsake/daemon/command"
)

func TestAround(t *testing.T) {
	failed := errors.New("the run failed")
	tests := []struct {
		name          string
		before, after []string // scripts; $LOG is where they say that they ran
		run           error
		log           string
		broken        bool
	}{
		{name: "all well", before: []string{"echo b1", "echo b2"}, after: []string{"echo a1", "echo a2"}, log: "b1 b2 run a1 a2"},
		{name: "before fails", before: []string{"echo b1; exit 1", "echo b2"}, after: []string{"echo a1"}, log: "b1 unprepared a1"},
		{name: "the run fails", before: []string{"echo b1"}, after: []string{"echo a1"}, run: failed, log: "b1 run a1"},
		{name: "after fails", after: []string{"echo a1; exit 1", "echo a2"}, log: "run a1 a2", broken: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "log")
			say := func(word string) {
				f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if _, err := f.WriteString(word + "\n"); err != nil {
					t.Fatal(err)
				}
			}
			scripts := func(all []string) (some []command.Options) {
				for _, s := range all {
					some = append(some, sh("exec >>"+log+"; "+s))
				}
				return some
			}
			a := command.Around{Before: scripts(tt.before), After: scripts(tt.after)}
			broken, err := a.Do(t.Context(), func(_ context.Context, unprepared error) error {
				if unprepared != nil {
					say("unprepared")
				} else {
					say("run")
				}
				return tt.run
			})
			if !errors.Is(err, tt.run) || (broken != nil) != tt.broken {
				t.Errorf("broken %v, err %v", broken, err)
			}
			b, err := os.ReadFile(log)
			if got := strings.Join(strings.Fields(string(b)), " "); err != nil || got != tt.log {
				t.Errorf("ran %q, %v; want %q", got, err, tt.log)
			}
		})
	}
}

// TestAfterRunsWhenStopping: a volume must not stay frozen because the daemon was told to stop.
func TestAfterRunsWhenStopping(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := filepath.Join(t.TempDir(), "done")
	a := command.Around{After: []command.Options{sh("echo yes >" + done)}}
	broken, err := a.Do(ctx, func(context.Context, error) error { cancel(); return ctx.Err() })
	if broken != nil || !errors.Is(err, context.Canceled) {
		t.Error(broken, err)
	}
	if b, err := os.ReadFile(done); err != nil || string(b) != "yes\n" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestInto(t *testing.T) {
	var out bytes.Buffer
	write := command.Into(sh("echo dump; echo broken >&2; exit 2"))
	if err := write(t.Context(), &out); err == nil || err.Error() != "sh: exit status 2: broken" || out.String() != "dump\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}
