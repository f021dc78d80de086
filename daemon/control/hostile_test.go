package control_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keepsake/daemon/control"
)

func TestHostileClients(t *testing.T) {
	w := serve(t, control.ServerOptions{HeaderTimeout: 100 * time.Millisecond, Handler: nothing})
	for name, c := range map[string]struct{ bytes, answer string }{
		"nothing":              {"", ""},
		"noise":                {"\x00\xff\x16\x03\x01" + strings.Repeat("\xfe", 1000) + "\r\n\r\n", "400"},
		"http/2":               {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"},
		"half a header":        {"POST /v1/verb HTTP/1.1\r\nHost:", ""},
		"endless header":       {"POST /v1/verb HTTP/1.1\r\nX: " + strings.Repeat("x", 1<<20), "431"},
		"half a body":          {"POST /v1/verb HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", "400"},
		"declared too large":   {"POST /v1/verb HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", "400"},
		"sent too large":       {post(`{"protocol":2,"verb":"` + strings.Repeat("x", control.MaxRequest) + `"}`), "413"},
		"negative length":      {"POST /v1/verb HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "400"},
		"broken chunks":        {"POST /v1/verb HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400"},
		"not json":             {post("hello"), "400"},
		"unknown field":        {post(`{"protocol":2,"verb":"x","uid":0}`), "400"},
		"other protocol":       {post(`{"protocol":1,"version":"9.9","verb":"x"}`), "409"},
		"other path":           {"GET /etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", "404"},
		"path with dots":       {"GET /v1/../v1/verb HTTP/1.1\r\nHost: x\r\n\r\n", "307"},
		"other method":         {"DELETE /v1/verb HTTP/1.1\r\nHost: x\r\n\r\n", "405"},
		"good one, at the end": {post(`{"protocol":2,"verb":"x"}`), "200"},
	} {
		t.Run(name, func(t *testing.T) {
			conn := raw(t, w.dir)
			go func() { _, _ = io.WriteString(conn, c.bytes) }()
			b, err := io.ReadAll(conn) // the server ends it
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				t.Fatal("the connection was left open")
			}
			_, status, _ := strings.Cut(string(b), " ")
			if !strings.HasPrefix(status, c.answer) || (c.answer == "") != (len(b) == 0) {
				t.Errorf("%.200q", b)
			}
		})
	}
	ask(t, w.dir) // it still answers
}

func TestEndlessBodyIsCutOff(t *testing.T) {
	w := serve(t, control.ServerOptions{Handler: nothing})
	conn := raw(t, w.dir)
	fmt.Fprint(conn, "POST /v1/verb HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	chunk := fmt.Sprintf("10000\r\n%s\r\n", strings.Repeat(" ", 1<<16))
	sent := 0
	for sent < 64<<20 {
		n, err := io.WriteString(conn, chunk)
		sent += n
		if err != nil {
			break
		}
	}
	if sent > 4*control.MaxRequest {
		t.Errorf("the server took %d bytes", sent)
	}
	if b, _ := io.ReadAll(conn); !strings.Contains(string(b), "413") {
		t.Errorf("%.200q", b)
	}
}

func TestMismatchOverTheWire(t *testing.T) {
	w := serve(t, control.ServerOptions{Handler: nothing, Info: control.Info{Version: "1.4.0"}})
	conn := raw(t, w.dir)
	fmt.Fprint(conn, post(`{"protocol":1,"version":"1.5.0","verb":"x"}`))
	b, _ := io.ReadAll(conn)
	if !strings.Contains(string(b), `{"code":"protocol","error":"the running keepsake is version 1.4.0, this is 1.5.0: restart it","protocol":2,"version":"1.4.0"`) {
		t.Errorf("%s", b)
	}
}

// fake answers every connection in dir with the same bytes, after it has read a request.
func fake(t *testing.T, dir string, answer func(path string) string) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(dir, control.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.Copy(io.Discard, r.Body)
					_, _ = io.WriteString(c, answer(r.URL.Path))
				}
			}()
		}
	}()
}

const (
	goodInfo   = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{\"protocol\":2}"
	goodHeader = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
)

func TestHostileOwners(t *testing.T) {
	head := func(status, kind string) string {
		return "HTTP/1.1 " + status + "\r\nContent-Type: " + kind + "\r\nConnection: close\r\n\r\n"
	}
	for name, c := range map[string]struct {
		answer string
		want   error
	}{
		"nothing":          {"", control.ErrNoOwner},
		"half a header":    {"HTTP/1.1 200 OK\r\nContent-", control.ErrMalformed},
		"noise":            {"\x00\xff\x16\x03\x01\r\n\r\n", control.ErrMalformed},
		"endless header":   {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20), control.ErrTooLarge},
		"other type":       {head("200 OK", "text/html") + "{\"exit\":0}\n", control.ErrMalformed},
		"no frames":        {goodHeader, control.ErrBroken},
		"output, no exit":  {goodHeader + "{\"stdout\":\"aGVsbG8K\"}\n", control.ErrBroken},
		"half an exit":     {goodHeader + "{\"exit\":0}", control.ErrBroken},
		"noise for frames": {goodHeader + "hello\n{\"exit\":0}\n", control.ErrMalformed},
		"endless frame":    {goodHeader + "{\"stdout\":\"" + strings.Repeat("A", 1<<20), control.ErrTooLarge},
		"cut chunk":        {"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{\"stdout\":\"", control.ErrBroken},
		"bad chunk":        {"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", control.ErrBroken},
		"redirect":         {"HTTP/1.1 307 No\r\nLocation: http://example.com/\r\nContent-Length: 0\r\n\r\n", control.ErrMalformed},
		"page for error":   {head("500 No", "text/html") + "<h1>", control.ErrMalformed},
		"endless error":    {head("500 No", "application/json") + strings.Repeat(" ", 1<<20), control.ErrMalformed},
		"stopping":         {head("503 No", "application/json") + `{"code":"stopping","error":"the running keepsake is stopping"}`, control.ErrStopping},
		"other protocol":   {head("409 No", "application/json") + `{"code":"protocol","protocol":1,"version":"2.0"}`, control.ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			fake(t, dir, func(path string) string {
				if path == "/v1/info" {
					return goodInfo
				}
				return c.answer
			})
			var out bytes.Buffer
			exit, err := dial(t, dir).Do(context.Background(), control.Request{Verb: "x"}, control.Stream{Stdout: &out})
			if exit != -1 || !errors.Is(err, c.want) {
				t.Errorf("%d, %v", exit, err)
			}
		})
	}
}

func TestDialMeetsAnotherVersion(t *testing.T) {
	dir := t.TempDir()
	fake(t, dir, func(string) string {
		return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" +
			`{"protocol":1,"version":"2.0","pid":7,"new":{"field":1}}`
	})
	_, err := control.Dial(context.Background(), dir, control.ClientOptions{Version: "1.9"})
	if !errors.Is(err, control.ErrProtocol) || err.Error() != "the running keepsake is version 2.0, this is 1.9: restart it" {
		t.Error(err)
	}
}

// An owner that leaves drops the connections that it has not accepted; its successor answers.
func TestDialTriesAgain(t *testing.T) {
	dir := t.TempDir()
	var n atomic.Int32
	fake(t, dir, func(string) string {
		if n.Add(1) < 3 {
			return ""
		}
		return goodInfo
	})
	dial(t, dir)
	n.Store(-10)
	if _, err := control.Dial(context.Background(), dir, control.ClientOptions{}); !errors.Is(err, control.ErrNoOwner) {
		t.Error("no end of trying:", err)
	}
}

func TestInfoIsBounded(t *testing.T) {
	dir := t.TempDir()
	fake(t, dir, func(string) string { return goodInfo + strings.Repeat(" ", 1<<20) })
	if _, err := control.Dial(context.Background(), dir, control.ClientOptions{}); !errors.Is(err, control.ErrTooLarge) {
		t.Error(err)
	}
}
