package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// leg is what `go test -json` wrote for three packages: one fine, one that does not build, one that dies in a test.
const leg = `{"Action":"start","Package":"k/a"}
{"Action":"run","Package":"k/a","Test":"TestOne"}
{"Action":"output","Package":"k/a","Test":"TestOne","Output":"=== RUN   TestOne\n"}
{"Action":"output","Package":"k/a","Test":"TestOne","Output":"    a_test.go:3: chatter\n"}
{"Action":"output","Package":"k/a","Test":"TestOne","Output":"--- PASS: TestOne (0.00s)\n"}
{"Action":"pass","Package":"k/a","Test":"TestOne","Elapsed":0}
{"Action":"run","Package":"k/a","Test":"TestTwo"}
{"Action":"output","Package":"k/a","Test":"TestTwo","Output":"=== RUN   TestTwo\n"}
{"Action":"output","Package":"k/a","Test":"TestTwo","Output":"    a_test.go:9: not run: rsync is not installed\n"}
{"Action":"output","Package":"k/a","Test":"TestTwo","Output":"--- SKIP: TestTwo (0.00s)\n"}
{"Action":"skip","Package":"k/a","Test":"TestTwo","Elapsed":0}
{"Action":"output","Package":"k/a","Output":"PASS\n"}
{"Action":"output","Package":"k/a","Output":"ok  \tk/a\t0.1s\n"}
{"Action":"pass","Package":"k/a","Elapsed":0.1}
go: a line that is no JSON
{"ImportPath":"k/b","Action":"build-output","Output":"b.go:1:1: expected 'package'\n"}
{"ImportPath":"k/b","Action":"build-fail"}
{"Action":"start","Package":"k/b"}
{"Action":"output","Package":"k/b","Output":"FAIL\tk/b [build failed]\n"}
{"Action":"fail","Package":"k/b","Elapsed":0,"FailedBuild":"k/b"}
{"Action":"run","Package":"k/c","Test":"TestHangs"}
{"Action":"output","Package":"k/c","Test":"TestHangs","Output":"panic: oh\n"}
{"Action":"run","Package":"k/c","Test":"TestBad"}
{"Action":"output","Package":"k/c","Test":"TestBad","Output":"--- FAIL: TestBad (0.00s)\n"}
{"Action":"fail","Package":"k/c","Test":"TestBad","Elapsed":0}
{"Action":"fail","Package":"k/c","Elapsed":0.1}
`

// legs writes each text into a file of its own.
func legs(t *testing.T, texts ...string) []string {
	t.Helper()
	var names []string
	dir := t.TempDir()
	for i, text := range texts {
		name := filepath.Join(dir, string(rune('a'+i))+".json")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

func TestFollow(t *testing.T) {
	var out bytes.Buffer
	if err := run(nil, strings.NewReader(leg), &out); err != nil {
		t.Fatal(err)
	}
	want := `--- PASS: TestOne (0.00s)
    a_test.go:9: not run: rsync is not installed
--- SKIP: TestTwo (0.00s)
ok  	k/a	0.1s
go: a line that is no JSON
b.go:1:1: expected 'package'
FAIL	k/b [build failed]
--- FAIL: TestBad (0.00s)
panic: oh
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestSummary(t *testing.T) {
	var out bytes.Buffer
	if err := run(legs(t, leg), nil, &out); err != nil {
		t.Fatal(err)
	}
	want := `skipped: k/a TestTwo: a_test.go:9: not run: rsync is not installed
failed: k/b
failed: k/c TestBad
failed: k/c TestHangs (it never ended)
1 passed, 3 failed, 1 skipped
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// TestLegsAreMerged runs the same tests in two legs: each counts once, with its worst result.
func TestLegsAreMerged(t *testing.T) {
	result := func(name, action string) string {
		return `{"Action":"run","Package":"k","Test":"` + name + `"}` + "\n" + `{"Action":"` + action + `","Package":"k","Test":"` + name + `"}` + "\n"
	}
	first := result("TestA", "pass") + result("TestB", "fail") + result("TestC", "skip")
	second := result("TestA", "pass") + result("TestB", "pass") + result("TestC", "pass")
	for _, order := range [][]string{{first, second}, {second, first}} {
		var out bytes.Buffer
		if err := run(legs(t, order...), nil, &out); err != nil {
			t.Fatal(err)
		}
		if want := "failed: k TestB\nskipped: k TestC: no reason given\n1 passed, 1 failed, 1 skipped\n"; out.String() != want {
			t.Errorf("got\n%s\nwant\n%s", out.String(), want)
		}
	}
}

func TestSkippedMountIsRefused(t *testing.T) {
	tests := []struct {
		pkg, name, reason string
		refused           bool
	}{
		{"keepsake/fusefs", "TestRead", "not run: no reason at all", true},
		{"keepsake/cmd/keepsake", "TestScripts/mount", "not run: x", true},
		{"keepsake/cmd/keepsake", "TestUp", "not run: /dev/fuse is missing", true},
		{"keepsake/store", "TestFull", "not run: needs root", false},
		{"keepsake/store", "TestRefusesAmounts", "not run: needs root", false},
	}
	for _, tt := range tests {
		text := `{"Action":"run","Package":"` + tt.pkg + `","Test":"` + tt.name + `"}
{"Action":"output","Package":"` + tt.pkg + `","Test":"` + tt.name + `","Output":"    x_test.go:1: ` + tt.reason + `\n"}
{"Action":"skip","Package":"` + tt.pkg + `","Test":"` + tt.name + `"}
`
		var out bytes.Buffer
		if err := run(legs(t, text), nil, &out); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(out.String(), "\nrefused: "+tt.pkg); got != tt.refused {
			t.Errorf("%s %s: refused %v, want %v:\n%s", tt.pkg, tt.name, got, tt.refused, out.String())
		}
	}
}

func TestNothingRunIsAnError(t *testing.T) {
	names := legs(t, `{"Action":"start","Package":"k"}`+"\n")
	if err := run(names, nil, new(bytes.Buffer)); err == nil {
		t.Error("a leg without tests was taken for a success")
	}
	if err := run([]string{filepath.Join(t.TempDir(), "absent")}, nil, new(bytes.Buffer)); err == nil {
		t.Error("a missing leg was taken for a success")
	}
}

// TestSecondRun: what failed beside others and passes by itself counts as passed,
// and is told; what fails twice has failed, and a broken package gets no second run.
func TestSecondRun(t *testing.T) {
	result := func(name, action string) string {
		return `{"Action":"run","Package":"k","Test":"` + name + `"}` + "\n" + `{"Action":"` + action + `","Package":"k","Test":"` + name + `"}` + "\n"
	}
	first := result("TestA", "pass") + result("TestB/x", "fail") + result("TestB", "fail") + result("TestC", "fail")
	second := result("TestB/x", "pass") + result("TestB", "pass") + result("TestC", "fail")
	names := legs(t, first, second)
	var out bytes.Buffer
	if err := run([]string{"-failed", names[0]}, nil, &out); err != nil || out.String() != "k\t^(TestB|TestC)$\n" {
		t.Errorf("to run again: %q, %v", out.String(), err)
	}
	out.Reset()
	if err := run([]string{names[0] + "+" + names[1]}, nil, &out); err != nil {
		t.Fatal(err)
	}
	if want := "unsteady: k TestB failed beside others and passed by itself\nfailed: k TestC\n3 passed, 1 failed, 0 skipped\n"; out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	broken := legs(t, result("TestA", "pass")+`{"Action":"fail","Package":"p"}`+"\n")
	out.Reset()
	if err := run([]string{"-failed", broken[0]}, nil, &out); err != nil || out.Len() > 0 {
		t.Errorf("a package that did not build: %q, %v", out.String(), err)
	}
}
