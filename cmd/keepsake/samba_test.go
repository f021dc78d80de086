package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// shared is a house whose source is shared by Samba, with what keepsake itself
// says that Samba must be told.
type shared struct {
	*house
	view string
	smb  *smbServer
}

// The two people at its computers: users that every system has.
const (
	anna = "daemon" // 1, whose files these are
	ben  = "bin"    // 2
)

const contract = "Verträge/Größe & Co.txt"

// share fills the source, has the service keep it, and shares it.
func share(t *testing.T, files int) *shared {
	t.Helper()
	needsRoot(t, "serve other users")
	for name, id := range map[string]string{anna: "1", ben: "2"} {
		if u, err := user.Lookup(name); err != nil || u.Uid != id {
			t.Skipf("not run: there is no user %s with the number %s", name, id)
		}
	}
	h := newHouse(t, "")
	h.configure(fmt.Sprintf("path = %q\nevery = \"1s\"\nsettle = \"200ms\"", h.lib))
	for name, content := range map[string]string{
		contract: "first\n", "gone.txt": "not any more\n", "private.txt": "for Anna alone\n", "Weber/Ü 1.txt": "of a folder\n",
	} {
		writeFile(t, filepath.Join(h.lib, name), []byte(content))
	}
	for i := range files {
		writeFile(t, filepath.Join(h.lib, "many", fmt.Sprintf("IMG_%05d.JPG", i)), fmt.Appendf(nil, "photo %d", i))
	}
	h.tool("chown", "-R", anna, h.lib)
	check(t, os.Chmod(filepath.Join(h.lib, "private.txt"), 0o600))
	s := &shared{house: h, view: h.path("view")}
	s.serve()
	return s
}

// says is what samba-config prints, which must know of nothing that is in the way.
func (s *shared) says(args ...string) string {
	s.t.Helper()
	said := s.agrees(append([]string{"samba-config", "lib"}, args...)...)
	if said.stderr != "" {
		s.t.Errorf("samba-config warns: %s", said.stderr)
	}
	return said.stdout
}

// folders are the names of the snapshots that the view shows to Samba, the
// newest last.
func (s *shared) folders() (all []string) {
	s.t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.view, "previous", "lib"))
	check(s.t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	slices.Sort(all)
	return all
}

// is demands that a user gets this of a file.
func (s *shared) is(want, user, share, file string) {
	s.t.Helper()
	if got, refusal := s.smb.reads(user, share, file); string(got) != want {
		s.t.Errorf("%s reads %q of %s in %s, want %q: %s", user, got, file, share, want, refusal)
	}
}

// TestPreviousVersions has a real smbd show what keepsake prints the section
// for: versions are listed, read and restored over the network.
func TestPreviousVersions(t *testing.T) {
	t.Parallel()
	files := 10_000
	if raceDetector {
		files = 1000 // which takes ten times as long for each; the other run of these tests has them all
	}
	s := share(t, files)
	stanza := s.says()
	wrong := strings.Replace(strings.Replace(stanza, "[lib]", "[wrong]", 1), "@GMT-%Y", "%Y", 1)
	mac := strings.Replace(strings.Replace(stanza, "[lib]", "[mac]", 1), "= shadow_copy2", "= catia fruit streams_xattr shadow_copy2", 1)
	sub := s.says("--share", "Verträge", "--path", filepath.Join(s.lib, "Verträge"))
	browse := "[snapshots]\npath = " + s.view + "\n"
	s.smb = startSamba(t, s.path("smb"), strings.Join([]string{stanza, wrong, mac, sub, browse}, "\n"), "root", anna, ben)

	old := s.folders()[len(s.folders())-1]
	t.Run("a new version appears", func(t *testing.T) {
		check(t, os.WriteFile(filepath.Join(s.lib, contract), []byte("second version\n"), 0o644))
		check(t, os.Remove(filepath.Join(s.lib, "gone.txt")))
		check(t, os.RemoveAll(filepath.Join(s.lib, "Weber")))
		var got map[string]string
		until(t, patience, "the new version", func() bool {
			got = s.smb.versions(ben, "lib", contract)
			return slices.Contains(slices.Collect(maps.Values(got)), "15")
		})
		if got[old] != "6" {
			t.Errorf("versions of %s: %v", contract, got)
		}
		// The daemon may be taking one more.
		until(t, patience, "Samba to list what the view has", func() bool {
			return slices.Equal(slices.Sorted(maps.Keys(s.smb.versions(ben, "lib", contract))), s.folders())
		})
		// The control: what this looks at can fail.
		if got := s.smb.versions(ben, "wrong", contract); len(got) > 0 {
			t.Errorf("with a wrong format Samba lists %v", got)
		}
	})
	t.Run("reading", func(t *testing.T) {
		for _, who := range []string{"root", anna, ben} {
			s.is("first\n", who, "lib", old+"/"+contract)
			s.is("first\n", who, "Verträge", old+"/"+filepath.Base(contract))
			s.is("second version\n", who, "lib", contract)
		}
		s.is("first\n", ben, "mac", old+"/"+contract)
		s.is("for Anna alone\n", "root", "lib", old+"/private.txt")
		s.is("for Anna alone\n", anna, "lib", old+"/private.txt")
		if got, refusal := s.smb.reads(ben, "lib", old+"/private.txt"); got != nil || !strings.Contains(refusal, "NT_STATUS_ACCESS_DENIED") {
			t.Errorf("Ben reads %q of what is private: %s", got, refusal)
		}
		if got := s.smb.versions(ben, "Verträge", filepath.Base(contract)); got[old] != "6" {
			t.Errorf("versions in a share below the source: %v", got)
		}
	})
	t.Run("many files", func(t *testing.T) {
		list := s.smb.does(ben, "lib", fmt.Sprintf("ls %q", old+"/many/*"))
		if n := strings.Count(list, ".JPG "); n != files {
			t.Errorf("%d files are listed, want %d: %.1000s", n, files, list)
		}
		s.is("photo 876", ben, "lib", old+"/many/IMG_00876.JPG")
		s.is("photo 875", ben, "lib", old+"/many/img_00875.jpg") // as Windows may write it
	})
	t.Run("nothing is written", func(t *testing.T) { s.refusesWrites(old) })
	t.Run("all snapshots as folders", func(t *testing.T) {
		s.is("second version\n", ben, "snapshots", "latest/lib/"+contract)
		if list := s.smb.does(ben, "snapshots", `ls snapshots\lib\*`); strings.Count(list, "  DR ")+strings.Count(list, "  D ") < len(s.folders()) {
			t.Errorf("the share of the view lists %s", list)
		}
	})
	t.Run("restoring", func(t *testing.T) {
		// By the server itself, as Windows does it, and by way of the person's computer.
		s.smb.does(anna, "lib", fmt.Sprintf("scopy %q gone.txt", old+"/gone.txt"))
		here := filepath.Join(t.TempDir(), "old")
		s.smb.does(anna, "lib", fmt.Sprintf("get %q %q; put %q %q", old+"/"+contract, here, here, contract))
		// Samba must find the folder of a file; that of today will do.
		if list := s.smb.does(anna, "lib", fmt.Sprintf("ls %q", old+"/Weber/*")); !strings.Contains(list, "Ü 1.txt") {
			t.Errorf("a folder that is gone lists %s", list)
		}
		s.smb.does(anna, "lib", fmt.Sprintf("mkdir Weber; scopy %q %q", old+"/Weber/Ü 1.txt", "Weber/Ü 1.txt"))
		for name, want := range map[string]string{"gone.txt": "not any more\n", contract: "first\n", "Weber/Ü 1.txt": "of a folder\n"} {
			if got, err := os.ReadFile(filepath.Join(s.lib, name)); err != nil || string(got) != want {
				t.Errorf("%s is restored as %q, want %q: %v", name, got, want, err)
			}
		}
	})
	t.Run("without keepsake", func(t *testing.T) {
		s.service.stop(syscall.SIGKILL)
		s.is("first\n", ben, "lib", contract)
		if got := s.smb.versions(ben, "lib", contract); len(got) > 0 {
			t.Errorf("a view that is dead has versions: %v", got)
		}
		s.serve()
		until(t, patience, "the versions to be back", func() bool { return s.smb.versions(ben, "lib", contract)[old] == "6" })
		s.is("first\n", ben, "lib", old+"/"+contract)
	})
}

// refusesWrites tries to change an earlier version in every way that there is.
func (s *shared) refusesWrites(old string) {
	t := s.t
	t.Helper()
	here := filepath.Join(t.TempDir(), "new")
	check(t, os.WriteFile(here, []byte("tampered with\n"), 0o600))
	file, folder := filepath.Join(s.view, "previous/lib", old, contract), old+"/Verträge"
	for _, who := range []string{"root", anna} {
		for _, try := range []string{
			fmt.Sprintf("put %q %q", here, old+"/"+contract),
			fmt.Sprintf("put %q %q", here, folder+"/new.txt"),
			fmt.Sprintf("scopy %q %q", contract, folder+"/new.txt"),
			fmt.Sprintf("del %q", old+"/"+contract),
			fmt.Sprintf("mkdir %q", folder+"/new"),
			fmt.Sprintf("rmdir %q", old+"/many"),
			fmt.Sprintf("rename %q %q", old+"/"+contract, folder+"/new.txt"),
			fmt.Sprintf("setmode %q +r", old+"/"+contract),
		} {
			if said := s.smb.does(who, "lib", try); !strings.Contains(said, "NT_STATUS_") {
				t.Errorf("%s may %s: %s", who, try, said)
			}
		}
	}
	names, err := os.ReadDir(filepath.Dir(file))
	check(t, err)
	if b, err := os.ReadFile(file); err != nil || !bytes.Equal(b, []byte("first\n")) || len(names) != 1 {
		t.Errorf("an earlier version is %q beside %v now: %v", b, names, err)
	}
}

// TestSambaConfigLooks has samba-config say what is in Samba's way.
func TestSambaConfigLooks(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	h.configure(onDisk(h.lib, ""))
	writeFile(t, filepath.Join(h.lib, "photo.jpg"), jpeg(1))
	h.agrees("backup", h.lib)
	warns := func(want string, args ...string) {
		t.Helper()
		s := h.asks(append([]string{"samba-config", "lib"}, args...)...)
		if s.code != 0 || !strings.Contains(s.stderr, want) || !strings.Contains(s.stdout, "shadow:snapdir") {
			t.Errorf("samba-config %q does not say %q: %+v", args, want, s)
		}
	}
	warns("no snapshots are shown at " + h.path("view") + " at this moment")
	// A mount beside it counts wherever it is, since samba-config runs through it.
	mount := h.start("mount", h.path("mine"), "--config", h.config)
	mount.says("Snapshots are at", patience)
	warns(h.path("mine") + " lets in nobody but the user who mounted it")
	warns("no snapshots are shown at "+h.path("elsewhere")+" at this moment", "--mount", "elsewhere")
	if code := mount.stop(syscall.SIGTERM); code != 0 {
		t.Error(code)
	}
	needsRoot(t, "let others into the view")
	mount = h.start("mount", h.path("mine"), "--allow-other", "--config", h.config)
	mount.says("Snapshots are at", patience)
	if s := h.agrees("samba-config", "lib"); s.stderr != "" {
		t.Errorf("samba-config warns without reason: %s", s.stderr)
	}
	check(t, os.Chmod(h.dir, 0o700))
	warns("other users cannot pass through " + h.dir + " (mode 0700)")
	check(t, os.Chmod(h.dir, 0o711))
	check(t, os.Rename(h.lib, h.path("away")))
	warns(h.lib + " is no directory here")
	if code := mount.stop(syscall.SIGTERM); code != 0 {
		t.Error(code)
	}
}
