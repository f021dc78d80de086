package main

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"keepsake/daemon/control"
)

// TestProtocol holds the arguments of all verbs to what the number of the
// protocol stands for: two programs of one number understand each other.
func TestProtocol(t *testing.T) {
	const path = "testdata/protocol.txt"
	want, err := os.ReadFile(path)
	check(t, err)
	is := protocol()
	if is == string(want) {
		return
	}
	if os.Getenv("KEEPSAKE_UPDATE") != "1" {
		t.Fatalf("the arguments of a verb are no longer those of protocol %d: raise control.Protocol, unless the verb is new, then KEEPSAKE_UPDATE=1 go test -run TestProtocol ./cmd/keepsake\n%s", control.Protocol, is)
	}
	// A verb that is new is none to older programs, and they say so.
	for line := range strings.Lines(string(want)) {
		if number, _, _ := strings.Cut(string(want), "\n"); strings.HasPrefix(is, number+"\n") && !strings.Contains(is, line) {
			t.Fatalf("raise control.Protocol first: programs of %s take %s", number, line)
		}
	}
	check(t, os.WriteFile(path, []byte(is), 0o644))
}

// protocol is the number, and below it each verb with its arguments.
func protocol() string {
	var b strings.Builder
	fmt.Fprintf(&b, "protocol %d\n", control.Protocol)
	all := handlers()
	for _, verb := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "%s %s\n", verb, shape(all[verb].args))
	}
	return b.String()
}

// shape is a type as JSON shows it.
func shape(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct:
		var fields []string
		for _, f := range reflect.VisibleFields(t) {
			if !f.Anonymous {
				fields = append(fields, f.Name+" "+string(f.Tag)+shape(f.Type))
			}
		}
		return "{" + strings.Join(fields, ", ") + "}"
	case reflect.Slice:
		return "[]" + shape(t.Elem())
	case reflect.Pointer:
		return "*" + shape(t.Elem())
	case reflect.Map:
		return "map[" + shape(t.Key()) + "]" + shape(t.Elem())
	}
	return t.Kind().String()
}
