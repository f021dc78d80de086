package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"keepsake/daemon/control"
)

func TestInterleavedOutput(t *testing.T) {
	want := []string{}
	w := serve(t, control.ServerOptions{Handler: func(_ context.Context, r control.Request, out control.Stream) int {
		rec := record{}
		for i := range 3000 {
			_, _ = fmt.Fprintf(io.MultiWriter(out.Stdout, rec.stream().Stdout), "line %d\xff\x00\n", i)
			if i%3 == 0 {
				_, _ = fmt.Fprintf(io.MultiWriter(out.Stderr, rec.stream().Stderr), "warning %d\n", i)
			}
			if i%100 == 0 {
				e := json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))
				_ = rec.stream().Progress(e)
				if err := out.Progress(e); err != nil {
					t.Error(err)
				}
			}
		}
		want = rec.events
		return 3
	}})
	var got record
	exit, err := dial(t, w.dir).Do(context.Background(), control.Request{Verb: "ls"}, got.stream())
	if err != nil || exit != 3 {
		t.Fatal(exit, err)
	}
	if !reflect.DeepEqual(got.events, want) {
		t.Errorf("%d events, want %d in this order", len(got.events), len(want))
	}
}

func TestBytesArriveWholeAtAnySize(t *testing.T) {
	w := serve(t, control.ServerOptions{Handler: func(_ context.Context, r control.Request, out control.Stream) int {
		var n int
		_ = json.Unmarshal(r.Args, &n)
		p := content(n)
		for len(p) > 0 { // in writes of odd sizes
			k := min(len(p), 1+rand.N(3*control.MaxPayload))
			if m, err := out.Stdout.Write(p[:k]); m != k || err != nil {
				t.Error(m, err)
			}
			p = p[k:]
		}
		return 0
	}})
	c := dial(t, w.dir)
	const m = control.MaxPayload
	for _, n := range []int{0, 1, 2, 3, 4, m - 1, m, m + 1, 2*m - 1, 2 * m, 2*m + 1, 5_000_000} {
		var got bytes.Buffer
		exit, err := c.Do(context.Background(), control.Request{Verb: "dump", Args: json.RawMessage(strconv.Itoa(n))}, control.Stream{Stdout: &got})
		if exit != 0 || err != nil || !bytes.Equal(got.Bytes(), content(n)) {
			t.Errorf("%d bytes: got %d, exit %d, %v", n, got.Len(), exit, err)
		}
	}
}

func content(n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{7}).Read(p)
	return p
}

func TestOutputComesAtOnce(t *testing.T) {
	next := make(chan struct{})
	w := serve(t, control.ServerOptions{Handler: func(_ context.Context, _ control.Request, out control.Stream) int {
		for i := range 3 {
			fmt.Fprint(out.Stdout, i)
			<-next // waits until the client has seen it
		}
		return 0
	}})
	got := make(chan string)
	go func() {
		_, err := dial(t, w.dir).Do(context.Background(), control.Request{Verb: "ls"},
			control.Stream{Stdout: writerFunc(func(p []byte) (int, error) { got <- string(p); return len(p), nil })})
		got <- fmt.Sprint(err)
	}()
	for i := range 3 {
		if s := within(t, got, "output"); s != strconv.Itoa(i) {
			t.Fatal(s)
		}
		next <- struct{}{}
	}
	if s := within(t, got, "end"); s != "<nil>" {
		t.Fatal(s)
	}
}

func TestRequestArrivesAsSent(t *testing.T) {
	got := make(chan control.Request, 1)
	w := serve(t, control.ServerOptions{Handler: func(_ context.Context, r control.Request, _ control.Stream) int { got <- r; return 0 }})
	req := control.Request{Verb: "key add", Args: json.RawMessage(`{"path":"/w=="}`),
		Options: control.Options{JSON: true, Verbose: 2, Color: true, Terminal: true, Width: 80, Dir: []byte("/a\xffb")}}
	if _, err := dial(t, w.dir).Do(context.Background(), req, control.Stream{}); err != nil {
		t.Fatal(err)
	}
	r := <-got
	if r.Peer != (control.Peer{PID: os.Getpid(), UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}) {
		t.Errorf("peer %+v", r.Peer)
	}
	r.Peer = control.Peer{}
	if !reflect.DeepEqual(r, req) {
		t.Errorf("%+v", r)
	}
}

func TestExitCodes(t *testing.T) {
	w := serve(t, control.ServerOptions{Handler: func(_ context.Context, r control.Request, _ control.Stream) int {
		n, _ := strconv.Atoi(string(r.Args))
		return n
	}})
	for _, n := range []int{0, 1, 2, 3, 10, 12, 130, 255} {
		exit, err := dial(t, w.dir).Do(context.Background(), control.Request{Verb: "x", Args: json.RawMessage(strconv.Itoa(n))}, control.Stream{})
		if exit != n || err != nil {
			t.Errorf("%d: %d, %v", n, exit, err)
		}
	}
}

func TestHandlerDefects(t *testing.T) {
	var log bytes.Buffer
	late := make(chan error, 1)
	w := serve(t, control.ServerOptions{Log: slog.New(slog.NewTextHandler(&log, nil)), Handler: func(_ context.Context, r control.Request, out control.Stream) int {
		fmt.Fprintln(out.Stdout, "before")
		switch r.Verb {
		case "panic":
			panic("no such thing")
		case "goexit":
			runtime.Goexit()
		case "range":
			return 256
		case "late":
			go func() {
				time.Sleep(50 * time.Millisecond)
				_, err := fmt.Fprintln(out.Stdout, "late")
				late <- err
			}()
		}
		return 0
	}})
	for verb, want := range map[string]struct {
		exit int
		err  string
	}{
		"panic":  {2, "internal error: no such thing\n"},
		"range":  {2, "internal error: control: handler of \"range\" returned exit code 256\n"},
		"goexit": {2, ""},
		"late":   {0, ""},
		"ls":     {0, ""}, // the owner lives
	} {
		var out, errs bytes.Buffer
		exit, err := dial(t, w.dir).Do(context.Background(), control.Request{Verb: verb}, control.Stream{Stdout: &out, Stderr: &errs})
		if exit != want.exit || err != nil || out.String() != "before\n" || errs.String() != want.err {
			t.Errorf("%s: %d, %v, %q, %q", verb, exit, err, out.String(), errs.String())
		}
	}
	if within(t, late, "late write") == nil {
		t.Error("a write after the end seemed to succeed")
	}
	w.wait(t)
	if !strings.Contains(log.String(), "no such thing") || !strings.Contains(log.String(), "serve_test.go") {
		t.Errorf("log lacks the panic and its stack:\n%s", log.String())
	}
}

func TestTwentyClients(t *testing.T) {
	var running, most atomic.Int32
	all := make(chan struct{})
	w := serve(t, control.ServerOptions{Handler: func(_ context.Context, r control.Request, out control.Stream) int {
		if n := running.Add(1); n == 20 {
			close(all)
		}
		<-all // so that all twenty do run at the same time
		most.Store(max(most.Load(), running.Load()))
		for range 200 {
			fmt.Fprintf(out.Stdout, "%s\n", r.Args)
		}
		n, _ := strconv.Atoi(string(r.Args))
		return n
	}})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			var out bytes.Buffer
			exit, err := dial(t, w.dir).Do(context.Background(), control.Request{Verb: "x", Args: json.RawMessage(strconv.Itoa(i))}, control.Stream{Stdout: &out})
			if exit != i || err != nil || out.String() != strings.Repeat(strconv.Itoa(i)+"\n", 200) {
				t.Errorf("client %d: %d, %v, %d bytes", i, exit, err, out.Len())
			}
		})
	}
	wg.Wait()
	if most.Load() != 20 {
		t.Error("at most", most.Load())
	}
}

func TestBusy(t *testing.T) {
	started := make(chan struct{}, control.MaxRunning)
	release := make(chan struct{})
	w := serve(t, control.ServerOptions{Handler: func(context.Context, control.Request, control.Stream) int {
		started <- struct{}{}
		<-release
		return 0
	}})
	c := dial(t, w.dir)
	var wg sync.WaitGroup
	for range control.MaxRunning {
		wg.Go(func() {
			if _, err := c.Do(context.Background(), control.Request{Verb: "x"}, control.Stream{}); err != nil {
				t.Error(err)
			}
		})
	}
	for range control.MaxRunning {
		within(t, started, "start")
	}
	if _, err := c.Do(context.Background(), control.Request{Verb: "x"}, control.Stream{}); !errors.Is(err, control.ErrBusy) {
		t.Error(err)
	}
	close(release)
	wg.Wait()
	if _, err := c.Do(context.Background(), control.Request{Verb: "x"}, control.Stream{}); err != nil {
		t.Error("room again, but", err)
	}
}

func TestInfo(t *testing.T) {
	started := time.Date(2026, 11, 21, 15, 5, 33, 0, time.UTC)
	w := serve(t, control.ServerOptions{Handler: nothing, Info: control.Info{Version: "1.2.3", Verb: "daemon", Started: started, Repository: "/mnt/ü"}})
	got, err := dial(t, w.dir).Info(context.Background())
	want := control.Info{Protocol: control.Protocol, Version: "1.2.3", PID: os.Getpid(), Verb: "daemon", Started: started, Repository: "/mnt/ü"}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestClientsOwnWriterFails(t *testing.T) {
	ended := make(chan error, 1)
	w := serve(t, control.ServerOptions{Handler: func(ctx context.Context, _ control.Request, out control.Stream) int {
		for {
			if _, err := out.Stdout.Write(make([]byte, 1<<20)); err != nil {
				<-ctx.Done()
				ended <- err
				return 1
			}
		}
	}})
	_, err := dial(t, w.dir).Do(context.Background(), control.Request{Verb: "dump"},
		control.Stream{Stdout: writerFunc(func([]byte) (int, error) { return 0, syscall.EPIPE })})
	if !errors.Is(err, syscall.EPIPE) {
		t.Error(err)
	}
	if err := within(t, ended, "handler's end"); !errors.Is(err, control.ErrGone) {
		t.Error(err)
	}
}

func TestOversizedRequestAndEvent(t *testing.T) {
	w := serve(t, control.ServerOptions{Handler: func(_ context.Context, _ control.Request, out control.Stream) int {
		big := json.RawMessage(`"` + strings.Repeat("x", control.MaxFrame) + `"`)
		if err := out.Progress(big); !errors.Is(err, control.ErrTooLarge) {
			t.Error("large event:", err)
		}
		if err := out.Progress(json.RawMessage("{")); !errors.Is(err, control.ErrMalformed) {
			t.Error("broken event:", err)
		}
		if err := out.Progress(json.RawMessage("{\n \"a\" : 1 }\n")); err != nil {
			t.Error("loose event:", err)
		}
		return 0
	}})
	c := dial(t, w.dir)
	big := json.RawMessage(`"` + strings.Repeat("x", control.MaxRequest) + `"`)
	if _, err := c.Do(context.Background(), control.Request{Verb: "x", Args: big}, control.Stream{}); !errors.Is(err, control.ErrTooLarge) {
		t.Error(err)
	}
	var got record
	if _, err := c.Do(context.Background(), control.Request{Verb: "x"}, got.stream()); err != nil || !reflect.DeepEqual(got.events, []string{`pro {"a":1}`}) {
		t.Error(got.events, err)
	}
}

func nothing(context.Context, control.Request, control.Stream) int { return 0 }

func BenchmarkDump(b *testing.B) {
	const chunk, total = 1 << 20, 256 << 20
	w := serve(b, control.ServerOptions{Handler: func(_ context.Context, _ control.Request, out control.Stream) int {
		p := content(chunk)
		for range total / chunk {
			if _, err := out.Stdout.Write(p); err != nil {
				return 1
			}
		}
		return 0
	}})
	c := dial(b, w.dir)
	b.SetBytes(total)
	b.ReportAllocs()
	for b.Loop() {
		if exit, err := c.Do(context.Background(), control.Request{Verb: "dump"}, control.Stream{Stdout: io.Discard}); exit != 0 || err != nil {
			b.Fatal(exit, err)
		}
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	w := serve(b, control.ServerOptions{Handler: nothing})
	for b.Loop() {
		if exit, err := dial(b, w.dir).Do(context.Background(), control.Request{Verb: "status"}, control.Stream{}); exit != 0 || err != nil {
			b.Fatal(exit, err)
		}
	}
}

func BenchmarkLines(b *testing.B) {
	const lines = 100_000
	line := []byte(strings.Repeat("x", 79) + "\n")
	w := serve(b, control.ServerOptions{Handler: func(_ context.Context, _ control.Request, out control.Stream) int {
		for range lines {
			_, _ = out.Stdout.Write(line)
		}
		return 0
	}})
	c := dial(b, w.dir)
	b.SetBytes(lines * int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if exit, err := c.Do(context.Background(), control.Request{Verb: "ls"}, control.Stream{Stdout: io.Discard}); exit != 0 || err != nil {
			b.Fatal(exit, err)
		}
	}
}
