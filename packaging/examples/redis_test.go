package examples_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// redis starts a server on a socket in a directory, whose dump.rdb it loads.
func redis(t *testing.T, dir string) (socket string, stop func()) {
	t.Helper()
	socket = filepath.Join(dir, "s")
	cli := need(t, "redis-cli")
	ready := func() bool { return succeeds(cli, "-s", socket, "-e", "ping") }
	stop = serve(t, nil, syscall.SIGTERM, ready, need(t, "redis-server"),
		"--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "", "--enable-debug-command", "yes")
	return socket, stop
}

func TestRedis(t *testing.T) {
	cli := need(t, "redis-cli")
	socket, stop := redis(t, passable(t))
	var script strings.Builder
	for i := range 500 {
		fmt.Fprintf(&script, "SET photo:%d \"rating %d \\x00\\xff\"\nRPUSH queue job%d\nZADD best %d photo:%d\nHSET client:%d name Müller photos %d\nPEXPIREAT photo:%d 4102444800000\n", i, i%5, i, i, i, i%100, i, i)
	}
	run(t, nil, script.String(), cli, "-s", socket, "-e")
	digest := func(socket string) string { return run(t, nil, "", cli, "-s", socket, "-e", "DEBUG", "DIGEST") }
	want := digest(socket)

	k := newKeeper(t, example(t, "redis.toml", "/run/redis/redis-server.sock", socket).Sources[0])
	res := k.complete()
	target := k.restore(res.Snapshot)
	other, _ := redis(t, target) // what was restored is called as the server expects
	if got := digest(other); got != want || strings.Trim(want, "0\n") == "" {
		t.Errorf("all data has digest %s, restored %s", want, got)
	}
	run(t, nil, "", cli, "-s", other, "-e", "SET", "photo:7", "rating 6")
	if digest(other) == want {
		t.Error("control: a changed value is not seen")
	}

	stop()
	off := k.snapshot()
	failed(t, off, "dump.rdb", "redis-cli: exit status 1")
	kept, err := os.ReadFile(filepath.Join(k.restore(off.Snapshot), "dump.rdb"))
	before, err2 := os.ReadFile(filepath.Join(k.restore(res.Snapshot), "dump.rdb"))
	if err != nil || err2 != nil || string(kept) != string(before) {
		t.Errorf("the last good one was not kept: %v, %v", err, err2)
	}
}
