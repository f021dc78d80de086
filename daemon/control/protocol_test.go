package control_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"keepsake/daemon/control"
)

func TestRequestRoundTrip(t *testing.T) {
	for _, r := range []control.Request{
		{Verb: "status"},
		{Verb: "key list", Args: json.RawMessage(`{"path":"/v4="}`),
			Options: control.Options{JSON: true, Quiet: true, Verbose: 2, Color: true, Terminal: true, Width: 132, Dir: []byte("/tmp/\xff")}},
	} {
		b, err := control.MarshalRequest("1.2.3", r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := control.ParseRequest("1.2.3", b)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: %+v, %v", b, got, err)
		}
	}
}

func TestRequestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want error
	}{
		"empty":              {``, control.ErrMalformed},
		"array":              {`[]`, control.ErrMalformed},
		"no protocol":        {`{"verb":"ls"}`, control.ErrProtocol},
		"other protocol":     {`{"protocol":1,"version":"9","verb":{"new":"form"}}`, control.ErrProtocol},
		"unknown field":      {`{"protocol":2,"verb":"ls","sudo":true}`, control.ErrMalformed},
		"unknown option":     {`{"protocol":2,"verb":"ls","options":{"loud":true}}`, control.ErrMalformed},
		"peer":               {`{"protocol":2,"verb":"ls","Peer":{"UID":0}}`, control.ErrMalformed},
		"no verb":            {`{"protocol":2}`, control.ErrMalformed},
		"verb case":          {`{"protocol":2,"verb":"Ls"}`, control.ErrMalformed},
		"verb flag":          {`{"protocol":2,"verb":"key -x"}`, control.ErrMalformed},
		"verb spaces":        {`{"protocol":2,"verb":"key  list"}`, control.ErrMalformed},
		"verb escape":        {`{"protocol":2,"verb":"ls\u001b"}`, control.ErrMalformed},
		"verb long":          {`{"protocol":2,"verb":"` + strings.Repeat("a", 65) + `"}`, control.ErrMalformed},
		"width":              {`{"protocol":2,"verb":"ls","options":{"width":-1}}`, control.ErrMalformed},
		"verbosity":          {`{"protocol":2,"verb":"ls","options":{"verbose":10}}`, control.ErrMalformed},
		"relative dir":       {`{"protocol":2,"verb":"ls","options":{"dir":"YQ=="}}`, control.ErrMalformed},
		"nul in dir":         {`{"protocol":2,"verb":"ls","options":{"dir":"LwA="}}`, control.ErrMalformed},
		"trailing":           {`{"protocol":2,"verb":"ls"} {}`, control.ErrMalformed},
		"deep":               {`{"protocol":2,"verb":"ls","args":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, control.ErrMalformed},
		"too large":          {`{"protocol":2,"verb":"ls","args":"` + strings.Repeat("x", control.MaxRequest) + `"}`, control.ErrTooLarge},
		"overflowing number": {`{"protocol":99999999999999999999,"verb":"ls"}`, control.ErrMalformed},
	} {
		r, err := control.ParseRequest("1", []byte(c.body))
		if !errors.Is(err, c.want) || !reflect.DeepEqual(r, control.Request{}) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestProtocolMismatchSaysWhatToDo(t *testing.T) {
	_, err := control.ParseRequest("1.4.0", []byte(`{"protocol":7,"version":"1.5.0"}`))
	if err == nil || err.Error() != "the running keepsake is version 1.4.0, this is 1.5.0: restart it" {
		t.Error(err)
	}
	_, err = control.ParseRequest("1.4.0", []byte(`{"protocol":7,"version":"1.4.0"}`))
	if err == nil || !strings.Contains(err.Error(), "protocol 2") || !strings.Contains(err.Error(), "protocol 7") {
		t.Error(err)
	}
	_, err = control.ParseRequest("1.4.0", []byte(`{"protocol":7,"version":"\u001b[2J"}`))
	if err == nil || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("%q", err)
	}
}

func TestAccess(t *testing.T) {
	const nobodys, studio = 0, 500
	everything := []string{"status", "snapshots", "backup-now", "ack", "restore", "key remove", "backup", "pause", "dump", "ls", "forget", "status x", ""}
	some := everything[:4]
	for _, c := range []struct {
		name             string
		uid, euid, group uint32
		groups           []uint32
		want             []string
	}{
		{"root", 0, 0, nobodys, []uint32{0}, everything},
		{"root of another's", 0, 1000, studio, []uint32{0}, everything},
		{"the owner", 1000, 1000, studio, []uint32{1000}, everything},
		{"another user", 1001, 1000, nobodys, []uint32{1001, 1000, 0}, nil},
		{"another user of root's", 1000, 0, nobodys, []uint32{1000, 0}, nil},
		{"a user of group root", 1000, 0, nobodys, []uint32{0}, nil},
		{"no member", 1001, 1000, studio, []uint32{1001, 501, 5000}, nil},
		{"a member by primary group", 1001, 1000, studio, []uint32{studio}, some},
		{"a member", 1001, 0, studio, []uint32{1001, 4, studio}, some},
		{"nobody", 65534, 0, studio, []uint32{65534}, nil},
	} {
		for _, verb := range everything {
			if got := control.Allowed(c.uid, c.euid, c.group, c.groups, verb); got != slices.Contains(c.want, verb) {
				t.Errorf("%s asks for %q: %v", c.name, verb, got)
			}
		}
	}
	if control.Trusted(65533, 65532) || !control.Trusted(65533, 65533) || !control.Trusted(0, 65533) {
		t.Error("trust in owners")
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"protocol":2,"version":"1","verb":"ls","args":{"a":[1]},"options":{"json":true,"dir":"Lw=="}}`))
	f.Add([]byte(`{"protocol":2,"verb":"ls","args":null}`))
	f.Add([]byte(`{"protocol":1,"verb":"ls"}`))
	f.Add([]byte(`{"protocol":2,"PROTOCOL":1,"verb":"key list"}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := control.ParseRequest("1", b)
		if err != nil {
			if !reflect.DeepEqual(r, control.Request{}) {
				t.Fatal("a result beside an error")
			}
			return
		}
		once, err := control.MarshalRequest("1", r)
		if errors.Is(err, control.ErrTooLarge) {
			return // escaping made it longer
		}
		if err != nil {
			t.Fatal(err)
		}
		again, err := control.ParseRequest("1", once)
		if err != nil {
			t.Fatalf("%s: %v", once, err)
		}
		twice, err := control.MarshalRequest("1", again)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%s\n%s\n%v", once, twice, err)
		}
	})
}
