package control_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"keepsake/daemon/control"
)

func TestFrames(t *testing.T) {
	full := bytes.Repeat([]byte{0xff}, control.MaxPayload)
	for _, c := range []struct {
		line, kind, payload string
		exit                int
	}{
		{"{\"stdout\":\"aGVsbG8K\"}\n", "stdout", "hello\n", 0},
		{"{\"stderr\":\"AA==\"}\n", "stderr", "\x00", 0},
		{"{\"stdout\":\"" + base64.StdEncoding.EncodeToString(full) + "\"}\n", "stdout", string(full), 0},
		{"{\"progress\":{\"done\":1}}\n", "progress", `{"done":1}`, 0},
		{"{\"progress\":null}\n", "progress", "null", 0},
		{"{\"exit\":0}\n", "exit", "", 0},
		{"{\"exit\":255}\n", "exit", "", 255},
	} {
		kind, payload, exit, again, err := control.ReparseFrame([]byte(c.line))
		if err != nil || kind != c.kind || string(payload) != c.payload || exit != c.exit || string(again) != c.line {
			t.Errorf("%.60q: %s %.40q %d %v", c.line, kind, payload, exit, err)
		}
	}
}

func TestFramesRefused(t *testing.T) {
	over := base64.StdEncoding.EncodeToString(make([]byte, control.MaxPayload+1))
	for name, line := range map[string]string{
		"empty":              "",
		"newline":            "\n",
		"not json":           "hello\n",
		"no newline":         `{"exit":0}`,
		"two frames":         "{\"exit\":0}\n{\"exit\":0}\n",
		"exit negative":      "{\"exit\":-1}\n",
		"exit large":         "{\"exit\":256}\n",
		"exit padded":        "{\"exit\":00}\n",
		"exit signed":        "{\"exit\":+1}\n",
		"exit empty":         "{\"exit\":}\n",
		"space":              "{\"exit\": 0}\n",
		"unknown":            "{\"signal\":9}\n",
		"output empty":       "{\"stdout\":\"\"}\n",
		"output no padding":  "{\"stdout\":\"AA\"}\n",
		"output bits":        "{\"stdout\":\"AB==\"}\n",
		"output line break":  "{\"stdout\":\"aGVs\r\r\r\rbG8K\"}\n",
		"output url":         "{\"stdout\":\"__--\"}\n",
		"output over":        "{\"stdout\":\"" + over + "\"}\n",
		"output inner pad":   "{\"stdout\":\"AA==AA==\"}\n",
		"output only pad":    "{\"stdout\":\"====\"}\n",
		"overlap":            "{\"stdout\":\"}\n",
		"progress empty":     "{\"progress\":}\n",
		"progress loose":     "{\"progress\":{ }}\n",
		"progress truncated": "{\"progress\":{\"a\":}\n",
		"progress two":       "{\"progress\":1 2}\n",
		"second key":         "{\"exit\":0,\"exit\":1}\n",
		"frame over":         "{\"progress\":\"" + strings.Repeat("x", control.MaxFrame) + "\"}\n",
	} {
		if kind, _, _, _, err := control.ReparseFrame([]byte(line)); err == nil {
			t.Errorf("%s: read as %s", name, kind)
		} else if !errors.Is(err, control.ErrMalformed) && !errors.Is(err, control.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzFrame(f *testing.F) {
	for _, s := range []string{"{\"stdout\":\"aGVsbG8K\"}\n", "{\"stderr\":\"AA==\"}\n", "{\"stdout\":\"aGVs\r\r\r\rbG8K\"}\n",
		"{\"progress\":{\"done\":[1,2.5e3,\"\\u0000\"]}}\n", "{\"progress\":{ }}\n", "{\"exit\":3}\n", "{\"exit\":256}\n", "", "\n", "{}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		kind, payload, exit, again, err := control.ReparseFrame(line)
		if err != nil {
			if kind != "" || payload != nil || exit != 0 {
				t.Fatal("a result beside an error")
			}
			return
		}
		if !bytes.Equal(again, line) {
			t.Fatalf("%q rendered as %q", line, again)
		}
	})
}
