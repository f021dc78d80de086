package store

import (
	"bytes"
	"testing"

	"keepsake/crypto"
)

// FuzzConfig holds the parser to the rule of all formats: it takes any bytes,
// and what it accepts it would write the same way.
func FuzzConfig(f *testing.F) {
	f.Add(config{id: crypto.RepositoryID{1, 2, 3}, settings: []byte("sealed")}.marshal())
	f.Add([]byte("KEEPCONF"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseConfig(b)
		if err != nil {
			return
		}
		if again := c.marshal(); !bytes.Equal(again, b) {
			t.Errorf("parsed %x, which is written as %x", b, again)
		}
	})
}
