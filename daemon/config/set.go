package config

import (
	"errors"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Set makes c say what a text for a key at the top of the file says, as a flag
// of the same name does. It is read and refused as in the file, without quotes.
func (c *Config) Set(key, text string) error {
	for _, f := range globalKeys() {
		if f.key().Name != key {
			continue
		}
		var wrong error
		next := *c
		f.read(&value{kind: unstable.String, text: text}, func(_ *value, what, remedy string) {
			wrong = errors.Join(wrong, errors.New(Problem{Text: what, Remedy: remedy}.String()))
		}, &next)
		if wrong == nil {
			*c = next
		}
		return wrong
	}
	panic("config: there is no key " + key)
}
