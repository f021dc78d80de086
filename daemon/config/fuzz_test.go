package config_test

import (
	"errors"
	"reflect"
	"testing"

	"keepsake/daemon/config"
)

// FuzzParse: whatever a file says, it is read or has problems with lines; what
// is read is written so that it is read again as the same.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		studio,
		"profile = \"development\"\n[defaults]\nkeep = \"everything\"\nat = [\"Mon..Fri 12:00\", \"Sat,Sun 6:15\"]\n",
		"[[source]]\nlabel = \"a\"\npath = \"/a\"\nguards = { shrunk = { on = false }, renamed.most = 0 }\nexclude = [\"*.tmp\", \"!/x/\"]\nbefore = [\"a\", \"b\"]\n",
		"[[source]]\nlabel = \"a\"\ncommand = [\"x\"]\nfile = 'x'\nevery = \"1h\"\nmin-share = 0.25\n[[source.output]]\ncommand = [\"y\"]\nfile = \"\"\"y\"\"\"\n",
		"[[source]]\nlabel = \"a\"\ncommand = [\"x\"]\nfile = \"x\"\nevery = \"1y\"\n[[source.output]]\ncommand = []\nfile = \"y\"\n",
		"source = [{ label = \"a\", path = \"/a\", keep.daily = 0x10 }]\nmax-read = \"1.5MiB/s\"\nmetrics = \"[::1]:1\"\n",
		"defaults.keep.tags = [\"a\\u0000b\"]\nnotify = { command = [\"/x\"], timeout = \"1m30s\" }\n",
		"[source]\npath = 3\n[source.output]\n[[defaults]]\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := config.Parse(text)
		if err != nil {
			problems, ok := errors.AsType[config.Problems](err)
			if !ok || len(problems) == 0 {
				t.Fatalf("an error that has no problems: %v", err)
			}
			for _, p := range problems {
				if p.Line < 1 || p.Text == "" {
					t.Errorf("a problem without line or text: %+v", p)
				}
			}
			if !reflect.DeepEqual(c, config.Config{}) {
				t.Errorf("beside problems there is %+v", c)
			}
			return
		}
		b, err := c.Marshal()
		if err != nil {
			t.Fatalf("%v\n%+v", err, c)
		}
		again, err := config.Parse(b)
		if err != nil {
			t.Fatalf("%v in what was written:\n%s", err, b)
		}
		if !reflect.DeepEqual(again, c) {
			t.Errorf("got  %+v\nwant %+v\nfrom\n%s", again, c, b)
		}
	})
}
