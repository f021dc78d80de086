package logs

import (
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

const (
	// hidden stands where a value is not shown.
	hidden = "(hidden)"
	// maxValue bounds a message and a value; the stack of a panic fits.
	maxValue = 8 << 10
)

// secretWords end the names of attributes that are not shown.
var secretWords = []string{"password", "passphrase", "secret", "key", "code", "token"}

// clientNames are the attributes that hold names of clients' files.
var clientNames = []string{"path", "file", "name"}

// secretName reports whether a name ends with a word that promises a secret:
// recovery_code and apiToken do, key_file and monkey do not.
func secretName(name string) bool {
	for _, w := range secretWords {
		if len(name) < len(w) || !strings.EqualFold(name[len(name)-len(w):], w) {
			continue
		}
		head, tail := name[:len(name)-len(w)], name[len(name)-len(w):]
		if head == "" {
			return true
		}
		last, first := head[len(head)-1], tail[0]
		upper := 'A' <= first && first <= 'Z'
		if strings.ContainsRune("_-. /0123456789", rune(last)) || upper {
			return true
		}
	}
	return false
}

// replace looks at each attribute on its way to the line; slog resolves values
// and walks groups before it.
func (s *shared) replace(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && s.o.Journal && !s.o.JSON {
		return slog.Attr{}
	}
	if secretName(a.Key) || slices.ContainsFunc(groups, secretName) {
		return slog.String(a.Key, hidden)
	}
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(cut(a.Value.String()))
	case slog.KindAny:
		a.Value = shown(a.Value.Any())
	}
	return a
}

// shown is a value that has no kind of its own: as its text, if it has one.
func shown(v any) slog.Value {
	switch v := v.(type) {
	case nil, slog.Level, *slog.Source:
		return slog.AnyValue(v)
	case error:
		return slog.StringValue(cut(text(v.Error)))
	case fmt.Stringer:
		return slog.StringValue(cut(text(v.String)))
	case encoding.TextMarshaler, json.Marshaler:
		return slog.AnyValue(v)
	}
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
		t = t.Elem()
		if t.Kind() == reflect.Uint8 {
			return slog.StringValue(fmt.Sprintf("(%d bytes)", reflect.ValueOf(v).Len()))
		}
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return slog.StringValue(cut(fmt.Sprint(v)))
	}
	return slog.StringValue(fmt.Sprintf("(a %T, not shown)", v))
}

// text calls a method of a value that may be a nil pointer.
func text(f func() string) (s string) {
	defer func() {
		if p := recover(); p != nil {
			s = "(no text: it panicked)"
		}
	}()
	return f()
}

func cut(s string) string {
	if len(s) <= maxValue {
		return s
	}
	return strings.ToValidUTF8(s[:maxValue], "") + "… (" + strconv.Itoa(len(s)) + " bytes)"
}

// discreet takes the names of clients' files out of a record that asks nobody
// to act.
func (h *Handler) discreet(r slog.Record) slog.Record {
	if r.Level >= slog.LevelWarn || h.o.Level.Level() <= slog.LevelDebug {
		return r
	}
	named := false
	r.Attrs(func(a slog.Attr) bool {
		named = slices.Contains(clientNames, a.Key)
		return !named
	})
	if !named {
		return r
	}
	kept := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if slices.Contains(clientNames, a.Key) {
			a.Value = slog.StringValue(hidden)
		}
		kept.AddAttrs(a)
		return true
	})
	return kept
}
