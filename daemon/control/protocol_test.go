package control_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
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
		"other protocol":     {`{"protocol":2,"version":"9","verb":{"new":"form"}}`, control.ErrProtocol},
		"unknown field":      {`{"protocol":1,"verb":"ls","sudo":true}`, control.ErrMalformed},
		"unknown option":     {`{"protocol":1,"verb":"ls","options":{"loud":true}}`, control.ErrMalformed},
		"peer":               {`{"protocol":1,"verb":"ls","Peer":{"UID":0}}`, control.ErrMalformed},
		"no verb":            {`{"protocol":1}`, control.ErrMalformed},
		"verb case":          {`{"protocol":1,"verb":"Ls"}`, control.ErrMalformed},
		"verb flag":          {`{"protocol":1,"verb":"key -x"}`, control.ErrMalformed},
		"verb spaces":        {`{"protocol":1,"verb":"key  list"}`, control.ErrMalformed},
		"verb escape":        {`{"protocol":1,"verb":"ls\u001b"}`, control.ErrMalformed},
		"verb long":          {`{"protocol":1,"verb":"` + strings.Repeat("a", 65) + `"}`, control.ErrMalformed},
		"width":              {`{"protocol":1,"verb":"ls","options":{"width":-1}}`, control.ErrMalformed},
		"verbosity":          {`{"protocol":1,"verb":"ls","options":{"verbose":10}}`, control.ErrMalformed},
		"relative dir":       {`{"protocol":1,"verb":"ls","options":{"dir":"YQ=="}}`, control.ErrMalformed},
		"nul in dir":         {`{"protocol":1,"verb":"ls","options":{"dir":"LwA="}}`, control.ErrMalformed},
		"trailing":           {`{"protocol":1,"verb":"ls"} {}`, control.ErrMalformed},
		"deep":               {`{"protocol":1,"verb":"ls","args":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, control.ErrMalformed},
		"too large":          {`{"protocol":1,"verb":"ls","args":"` + strings.Repeat("x", control.MaxRequest) + `"}`, control.ErrTooLarge},
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
	if err == nil || !strings.Contains(err.Error(), "protocol 1") || !strings.Contains(err.Error(), "protocol 7") {
		t.Error(err)
	}
	_, err = control.ParseRequest("1.4.0", []byte(`{"protocol":7,"version":"\u001b[2J"}`))
	if err == nil || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("%q", err)
	}
}

func TestAccess(t *testing.T) {
	for _, c := range []struct {
		uid, euid uint32
		want      bool
	}{{0, 0, true}, {0, 1000, true}, {1000, 1000, true}, {1001, 1000, false}, {1000, 0, false}, {65534, 0, false}} {
		for _, verb := range []string{"", "status", "key remove"} {
			if got := control.Allowed(c.uid, c.euid, verb); got != c.want {
				t.Errorf("user %d asks %q of an owner of %d: %v", c.uid, verb, c.euid, got)
			}
		}
	}
	if control.Trusted(65533, 65532) || !control.Trusted(65533, 65533) || !control.Trusted(0, 65533) {
		t.Error("trust in owners")
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"protocol":1,"version":"1","verb":"ls","args":{"a":[1]},"options":{"json":true,"dir":"Lw=="}}`))
	f.Add([]byte(`{"protocol":1,"verb":"ls","args":null}`))
	f.Add([]byte(`{"protocol":2,"verb":"ls"}`))
	f.Add([]byte(`{"protocol":1,"PROTOCOL":2,"verb":"key list"}`))
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
