package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestContainerVolume keeps a volume by its path, and the lists beside it. Where no container engine runs, a program
// of the same name prints what one prints: what is tested is that lists arrive and a failing engine is noticed.
func TestContainerVolume(t *testing.T) {
	volume, bin := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(volume, "index.html"), []byte("<html>"), 0o644); err != nil {
		t.Fatal(err)
	}
	docker := filepath.Join(bin, "docker")
	if path, err := exec.LookPath("docker"); err == nil && exec.Command(path, "image", "ls").Run() == nil {
		if err := os.Symlink(path, docker); err != nil {
			t.Fatal(err)
		}
	} else {
		t.Log("no container engine here: a stand-in prints the lists")
		script := "#!/bin/sh\necho \"REPOSITORY   TAG   DIGEST   IMAGE ID\"\necho \"$*\"\n"
		if err := os.WriteFile(docker, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	sources := example(t, "container-volume.toml", "/var/lib/docker/volumes/crm_files/_data", volume, `["docker", `, `["`+docker+`", `).Sources

	files := newKeeper(t, sources[0])
	if b, err := os.ReadFile(filepath.Join(files.restore(files.complete().Snapshot), "index.html")); err != nil || string(b) != "<html>" {
		t.Errorf("%q, %v", b, err)
	}
	lists := newKeeper(t, sources[1])
	res := lists.complete()
	dir := lists.restore(res.Snapshot)
	for _, name := range []string{"images.txt", "containers.txt"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Remove(docker); err != nil {
		t.Fatal(err)
	}
	failed(t, lists.snapshot(), "images.txt", "cannot be run")
}
