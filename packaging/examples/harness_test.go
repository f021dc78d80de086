// Package examples_test runs the commands of the example configurations against real servers, which it starts, and
// loads what a restore brings back into other ones.
package examples_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"keepsake/daemon/alert"
	"keepsake/daemon/capture"
	"keepsake/daemon/command"
	"keepsake/daemon/config"
	"keepsake/daemon/restore"
	"keepsake/daemon/rules"
	"keepsake/store"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// patience bounds waits that end soon on a machine that is not loaded.
const patience = 2 * time.Minute

// example reads a configuration of this directory, with the places of this test in the place of its own.
func example(t *testing.T, name string, places ...string) config.Config {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(places); i += 2 {
		if !bytes.Contains(b, []byte(places[i])) {
			t.Fatalf("%s: nothing says %s", name, places[i])
		}
	}
	path := filepath.Join(t.TempDir(), "keepsake.toml")
	if err := os.WriteFile(path, []byte(strings.NewReplacer(places...).Replace(string(b))), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Read(path)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return c
}

// keeper takes snapshots of a source as the daemon does, without a schedule.
type keeper struct {
	t      *testing.T
	place  *storetest.Place
	r      *store.Repository
	source config.Source
}

func newKeeper(t *testing.T, source config.Source) *keeper {
	t.Helper()
	place := storetest.New(t)
	return &keeper{t: t, place: place, r: place.Open(t), source: source}
}

// snapshot runs what the configuration says, and takes a snapshot.
func (k *keeper) snapshot() *capture.Result {
	k.t.Helper()
	ctx := k.t.Context()
	w, err := k.r.NewWriter(ctx)
	if err != nil {
		k.t.Fatal(err)
	}
	bound, _, err := capture.Bind(ctx, k.r, k.source.Label, k.source.Path, "host")
	if err != nil {
		k.t.Fatal(err)
	}
	rules, err := rules.New(k.source.Exclude, k.source.Presets, k.source.CacheDirTag)
	if err != nil {
		k.t.Fatal(err)
	}
	o := capture.Options{Repository: k.r, Writer: w, Source: bound, Path: []byte(k.source.Path), Rules: rules, Require: k.source.Require}
	var res *capture.Result
	around := command.Around{Before: k.commands(k.source.Before), After: k.commands(k.source.After)}
	broken, err := around.Do(ctx, func(ctx context.Context, unprepared error) (err error) {
		o.Unprepared = unprepared
		if k.source.IsCommand() {
			res, err = capture.Outputs(ctx, o, k.outputs())
		} else {
			res, err = capture.Run(ctx, o)
		}
		return err
	})
	if err := errors.Join(broken, err, w.Close(ctx)); err != nil {
		k.t.Fatal(err)
	}
	return res
}

func (k *keeper) commands(all [][]string) (some []command.Options) {
	for _, args := range all {
		some = append(some, command.Options{Args: args, Timeout: k.source.Timeout})
	}
	return some
}

func (k *keeper) outputs() (all []capture.Output) {
	for _, o := range k.source.Outputs {
		write := command.Into(command.Options{Args: o.Command, Timeout: k.source.Timeout})
		all = append(all, capture.Output{Name: o.File, MinShare: k.source.MinShare, Write: write})
	}
	return all
}

// complete takes a snapshot that has to be complete.
func (k *keeper) complete() *capture.Result {
	k.t.Helper()
	res := k.snapshot()
	if !res.Snapshot.Complete() {
		k.t.Fatalf("missed %q", words(res))
	}
	return res
}

// words are the missed paths and why.
func words(res *capture.Result) (lines []string) {
	for _, m := range res.Missed {
		lines = append(lines, string(m.Path)+": "+m.Reason.String()+": "+m.Detail)
	}
	return lines
}

// failed checks that a path is missed for its command, in some words.
func failed(t *testing.T, res *capture.Result, path, detail string) {
	t.Helper()
	for _, m := range res.Missed {
		if string(m.Path) == path && m.Reason == tree.ReasonCommand && strings.Contains(m.Detail, detail) && !res.Snapshot.Complete() {
			return
		}
	}
	t.Fatalf("missed %q; want %s because of %q", words(res), path, detail)
}

// restore restores a snapshot into a new directory that others may read.
func (k *keeper) restore(s store.Snapshot) string {
	k.t.Helper()
	dir := passable(k.t)
	target := filepath.Join(dir, "restored")
	res, err := restore.Run(k.t.Context(), restore.Options{Repository: k.r, Snapshot: s, Target: target, Verify: true})
	if err != nil || len(res.Lost) > 0 {
		k.t.Fatalf("lost %v, %v", res.Lost, err)
	}
	return target
}

// passable is a new directory that servers with users of their own can reach. t.TempDir's is not.
func passable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dump") // short, for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// run runs a program of the test to its end and returns what it printed.
func run(t *testing.T, as *syscall.Credential, stdin string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	c.Dir = "/"
	c.Stdin = strings.NewReader(stdin)
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%q: %v\n%s%s", args, err, out, said.Bytes())
	}
	return string(out)
}

// serve starts a server and waits until it answers. It is stopped by its signal when the test ends, or by stop.
func serve(t *testing.T, as *syscall.Credential, bye syscall.Signal, ready func() bool, args ...string) (stop func()) {
	t.Helper()
	c := exec.Command(args[0], args[1:]...)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	c.Dir = "/"
	log, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = c.Wait() }() // it ends by a signal
	stop = func() {
		_ = c.Process.Signal(bye) // it may have ended by itself, which ready has found
		select {
		case <-ended:
		case <-time.After(patience):
			_ = c.Process.Kill()
			<-ended
			t.Errorf("%s did not end", args[0])
		}
		_ = log.Close() // only read below
	}
	t.Cleanup(stop)
	for end := time.Now().Add(patience); !ready(); time.Sleep(20 * time.Millisecond) {
		select {
		case <-ended:
			b, _ := os.ReadFile(log.Name()) // empty if it cannot be read
			t.Fatalf("%s ended: %s", args[0], b)
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not answer", args[0])
		}
	}
	return stop
}

func succeeds(args ...string) bool { return exec.Command(args[0], args[1:]...).Run() == nil }

// need returns the path of a program, from the places where servers are installed, too.
func need(t *testing.T, program string, places ...string) string {
	t.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	for _, pattern := range places {
		found, err := filepath.Glob(filepath.Join(pattern, program))
		if err == nil && len(found) > 0 {
			return found[len(found)-1]
		}
	}
	t.Skip("not run: no " + program + " here")
	return ""
}

// told runs a Teller whose command, a real one, appends what it reads to a file, and returns what the file holds.
func told(t *testing.T) (teller *alert.Teller, events func() string) {
	t.Helper()
	dir := t.TempDir()
	script, file := filepath.Join(dir, "tell-me"), filepath.Join(dir, "events")
	if err := os.WriteFile(script, []byte("#!/bin/sh\ncat >>"+file+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	teller, err := alert.New(alert.Options{Args: []string{script}, Host: "nas", Retry: 10 * time.Millisecond, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() { defer close(done); teller.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return teller, func() string {
		t.Helper()
		for end := time.Now().Add(patience); teller.Stats().Queued > 0; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("not told: %+v", teller.Stats())
			}
		}
		b, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(b)
	}
}

// report tells a Teller how a run went, as the daemon does.
func report(teller *alert.Teller, label string, res *capture.Result) {
	r := alert.Report{Snapshot: res.Snapshot.ID.String()}
	if !res.Snapshot.Complete() {
		r.Standing = []alert.Condition{{State: alert.Degraded, Detail: words(res)}}
	}
	teller.Update(label, r)
}
