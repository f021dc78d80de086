package config

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Setting is one key with the value that counts, and where it comes from.
type Setting struct {
	Key
	Source string // label, for the sections "source" and "source.output"
	Output string // file, for the section "source.output"
	Value  string // as TOML
	Line   int    // of the file that says it; 0 for a default
	// From is who says it: "line 12", "[defaults], line 5", "profile
	// development", "default".
	From string
	// Reason is why a default is what it is; empty for what the file says.
	Reason string
}

// JSON returns the value as JSON: durations and sizes stay texts.
func (s Setting) JSON() json.RawMessage {
	var all map[string]any
	if err := toml.Unmarshal([]byte("value = "+s.Value), &all); err != nil {
		return json.RawMessage("null") // only our own TOML is in it
	}
	b, err := json.Marshal(all["value"])
	if err != nil {
		return json.RawMessage("null") // TOML has no infinity that a key accepts
	}
	return b
}

// Show reads a configuration file and returns every setting there is, with its
// value; an empty path stands for a file that says nothing. Places fill in what
// the file leaves to the environment.
func Show(path string, p Places) (Config, []Setting, error) {
	r := parse(nil)
	if path != "" {
		var err error
		if _, r, err = load(path, func(r *reading) {
			r.judge()
			r.arrange(p, Resolve)
		}); err != nil {
			return Config{}, nil, err
		}
	}
	shown := r.config
	shown.Repository, shown.Mount, shown.KeyFile = or(shown.Repository, p.Repository), or(shown.Mount, p.Mount), or(shown.KeyFile, p.KeyFile)
	all := show(r, "", "", globalKeys(), &shown)
	all = append(all, show(r, "notify", "notify", notifyKeys(), &shown.Notify)...)
	all = append(all, show(r, "defaults", "defaults", defaultKeys(), &shown.Defaults)...)
	for i := range shown.Sources {
		all = append(all, r.showSource(fmt.Sprintf("source[%d]", i), &shown.Sources[i])...)
	}
	return r.config, all, nil
}

func (r *reading) showSource(at string, s *Source) []Setting {
	all := show(r, at, "source", sourceKeys(), s)
	for i := 1; i < len(s.Outputs); i++ {
		beside := show(r, fmt.Sprintf("%s.output[%d]", at, i-1), "source.output", outputKeys(), &s.Outputs[i])
		for k := range beside {
			beside[k].Output = s.Outputs[i].File
		}
		all = append(all, beside...)
	}
	kind := map[bool]string{false: "path", true: "command"}[s.IsCommand()]
	heeded := all[:0]
	for _, one := range all {
		one.Source = s.Label
		if (one.Only == "" || one.Only == kind) && !(one.Name == "path" && kind == "command") {
			heeded = append(heeded, one)
		}
	}
	return heeded
}

// show returns the settings of one section.
func show[S any](r *reading, at, section string, fields []field[S], from *S) []Setting {
	var all []Setting
	for _, f := range fields {
		s := Setting{Key: f.key(), Value: f.write(from)}
		if s.Value == "" {
			continue
		}
		s.Section = section
		r.origin(&s, at)
		all = append(all, s)
	}
	return all
}

// origin says where a setting comes from.
func (r *reading) origin(s *Setting, at string) {
	_, ofSource := strings.CutPrefix(at, "source[")
	why, own := r.because[join(at, s.Name)]
	switch {
	case own:
		s.From, s.Reason = "its kind", why
	case r.given(at, s.Name):
		s.Line = r.line(at, s.Name)
		s.From = fmt.Sprintf("line %d", s.Line)
	case ofSource && r.given("defaults", s.Name):
		s.Line = r.line("defaults", s.Name)
		s.From = fmt.Sprintf("[defaults], line %d", s.Line)
	case ofSource && strings.HasPrefix(s.Name, "keep.") && r.given("defaults", "keep"):
		s.Line = r.line("defaults", "keep") // "everything", which has no such rule
		s.From = fmt.Sprintf("[defaults], line %d", s.Line)
	case s.Development != "":
		s.From = "profile " + r.config.Profile
		s.Reason = s.reason(r.config.Profile)
	default:
		s.From = "default"
		s.Reason = s.Key.Reason
	}
}
