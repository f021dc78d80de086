package config

import (
	"bytes"
	"slices"
)

// Amend returns text that says what c says, and otherwise is the text of a file
// that says less: what people wrote in it, comments first of all, stays. Places
// are added at its top and sources at its end. If that does not do, the text is
// written anew.
func (c Config) Amend(text []byte) ([]byte, error) {
	anew, err := c.Marshal()
	if err != nil || len(text) == 0 {
		return anew, err
	}
	before, err := Parse(text)
	if err != nil {
		return anew, nil
	}
	w := &writer{}
	writeFields(w, "", globalKeys(), &c, &before)
	if w.Len() > 0 {
		w.WriteString("\n")
	}
	w.Write(bytes.TrimPrefix(text, []byte("\ufeff")))
	if !bytes.HasSuffix(text, []byte("\n")) {
		w.WriteString("\n")
	}
	for _, s := range c.Sources[min(len(before.Sources), len(c.Sources)):] {
		w.source(s, c.Defaults)
	}
	// A key that stands in the text already cannot be added, and a source that
	// was changed is not one that was added.
	if after, err := Parse(w.Bytes()); err != nil || !after.Equal(c) {
		return anew, nil
	}
	return slices.Clone(w.Bytes()), nil
}
