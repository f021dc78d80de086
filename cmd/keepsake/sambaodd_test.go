package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keepsake/fusefs/catalogue"
	"keepsake/packaging/samba"
)

// TestOddShares has a real smbd read sections for directories and shares with
// odd names: what is printed means what it says, and nothing that would not is
// printed. The folders are made by hand, since the view is not what is tried.
func TestOddShares(t *testing.T) {
	t.Parallel()
	needsRoot(t, "serve other users")
	const gmt = "@GMT-2026.11.21-14.05.33"
	dir := workDir(t)
	odd := map[string]bool{ // whether smb.conf can express it
		"plain": true, "a b": true, "a;b": true, "a #b": true, "a ; b": true, `a"b`: true, "a'b": true, "a=b": true, "[a]": true, "*?": true,
		"a:b": true, "$(HOME)": true, "$HOME": true, "Fäßö": true, "写真": true, " a": true, "a\u00a0": true, "a\\b": true, ";a": true, "#a": true, `"a`: true,
		"%U": false, "100% fun": false, "a  b": false, "a ": false, `a"`: false, `a\`: false, "a\nb": false, "a\tb": false, "a\xffb": false, "a\x01b": false,
	}
	var shares strings.Builder
	var shown []string
	for name, can := range odd {
		s := samba.Share{
			Name: fmt.Sprintf("share%d", len(shown)), Path: filepath.Join(dir, "lib", name), Source: filepath.Join(dir, "lib", name),
			Folders: filepath.Join(dir, "previous", name),
		}
		for _, below := range []bool{false, true} {
			if below { // the same name between the source and the share
				s.Name += "b"
				s.Source, s.Folders = filepath.Join(dir, "lib"), filepath.Join(dir, "previous-lib")
			}
			text, err := s.Stanza()
			// What is below a source begins with its own name, whose blank or quotation mark would be lost.
			could := can && !(below && (name[0] == ' ' || name[0] == '"'))
			if (err == nil) != could {
				t.Errorf("%q, below a source %v: %v", name, below, err)
			}
			if err != nil {
				continue
			}
			old := filepath.Join(s.Folders, gmt)
			if below {
				old = filepath.Join(old, name)
			}
			writeFile(t, filepath.Join(s.Path, "f"), []byte("now"))
			writeFile(t, filepath.Join(old, "f"), []byte("then "+s.Name))
			shares.WriteString(text)
			shown = append(shown, s.Name)
		}
	}
	names := []string{"a#b", "Müller & Söhne 2026", "it's (new)", "a.b", "-x", "a$", "{a}", "a~b!", strings.Repeat("x", 80)}
	for _, name := range names {
		check(t, samba.Name(name))
		s := samba.Share{Name: name, Path: filepath.Join(dir, "lib", "plain"), Source: filepath.Join(dir, "lib", "plain"), Folders: filepath.Join(dir, "previous", "names")}
		text, err := s.Stanza()
		check(t, err)
		shares.WriteString(text)
	}
	writeFile(t, filepath.Join(dir, "previous", "names", gmt, "f"), []byte("then names"))

	smb := startSamba(t, filepath.Join(dir, "smb"), shares.String(), "root")
	for i, name := range append(shown, names...) {
		want := "then " + name
		if i >= len(shown) {
			want = "then names"
		}
		if got, refusal := smb.reads("root", name, gmt+"/f"); string(got) != want {
			t.Errorf("share %q: %q, want %q: %s", name, got, want, refusal)
		}
	}
	if t.Failed() {
		b, _ := os.ReadFile(smb.conf) // for whoever looks into it
		t.Logf("%s", b)
	}
}

// TestSambaTakesTheList has as many folders as the view lists at most: clients
// of Samba show none if their names do not fit into 64 KiB.
func TestSambaTakesTheList(t *testing.T) {
	t.Parallel()
	needsRoot(t, "serve other users")
	dir := workDir(t)
	s := samba.Share{Name: "lib", Path: filepath.Join(dir, "lib"), Source: filepath.Join(dir, "lib"), Folders: filepath.Join(dir, "previous")}
	text, err := s.Stanza()
	check(t, err)
	writeFile(t, filepath.Join(s.Path, "f"), []byte("now"))
	for i := range catalogue.MostListed {
		at := time.Unix(1_780_000_000+int64(i)*60, 0).UTC().Format("@GMT-2006.01.02-15.04.05")
		writeFile(t, filepath.Join(s.Folders, at, "f"), []byte("then"))
	}
	smb := startSamba(t, filepath.Join(dir, "smb"), text, "root")
	if got := smb.versions("root", "lib", "f"); len(got) != catalogue.MostListed {
		t.Errorf("%d versions are listed, want %d", len(got), catalogue.MostListed)
	}
}
