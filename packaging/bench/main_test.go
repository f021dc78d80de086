package bench_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"keepsake/fusefs/reference"
)

// options are what may be said on the command line.
var options struct {
	photos, clip, sidecars int
	restic                 bool
	dir, mount             string
}

// serveReference makes the test binary the reference server, in a process of its
// own as the programs are that it is compared with: DIR:SIZE.
const serveReference = "KEEPSAKE_BENCH_REFERENCE"

func TestMain(m *testing.M) {
	if arg := os.Getenv(serveReference); arg != "" {
		os.Exit(refer(arg))
	}
	flag.IntVar(&options.photos, "photos", 60, "photos of 3 to 9 MB")
	flag.IntVar(&options.clip, "clip", 64, "MB of each of the videos")
	flag.IntVar(&options.sidecars, "sidecars", 2000, "small files")
	flag.BoolVar(&options.restic, "restic", false, "measure restic, too")
	flag.StringVar(&options.dir, "dir", "", "where to keep the library")
	flag.StringVar(&options.mount, "mount", "", "further arguments of keepsake mount")
	flag.Parse()
	code := m.Run()
	if results.any() {
		fmt.Print(results.String())
	}
	os.Exit(code)
}

func refer(arg string) int {
	var size uint64
	dir, name := filepath.Split(arg)
	if _, err := fmt.Sscan(name, &size); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	server, err := reference.Mount(filepath.Clean(dir), size)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	stop, end := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer end()
	<-stop.Done()
	if err := server.Unmount(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
