package config

import "reflect"

// Key is what there is to know about one key of the file: the check, config
// show and the reference in the example all come from it.
type Key struct {
	Section string // "", "defaults", "notify", "source", "source.output"
	Name    string // such as "settle" or "keep.daily"
	Type    string // such as "duration"
	Meaning string // what it sets, as the end of "KEY is …"
	// Default and Reason are those of the profile production, Development and
	// its reason those of the other if it differs. Defaults are TOML; empty if
	// the key has none because it must be given.
	Default, Reason                string
	Development, DevelopmentReason string
	// Restart says that a change counts from the next start only.
	Restart bool
	// Only is "path" or "command" if the key has a meaning for that kind of
	// source alone.
	Only string
}

// reason is why the key's default is what it is.
func (k Key) reason(profile string) string {
	if profile == Development && k.DevelopmentReason != "" {
		return k.DevelopmentReason
	}
	return k.Reason
}

// field is a key of a section S: how it is read into S, and written from it.
type field[S any] interface {
	key() Key
	reset(into *S, profile string)
	read(v *value, bad complain, into *S)
	// write returns TOML; nothing if another key says it.
	write(from *S) string
	equal(a, b *S) bool
}

// leaf is a field that holds one value of type T.
type leaf[S, T any] struct {
	Key
	kind        kind[T]
	at          func(*S) *T
	usual       T
	development *T // nil: as usual
}

// setting begins a line of the table of keys.
func setting[S, T any](name string, k kind[T], at func(*S) *T) *leaf[S, T] {
	return &leaf[S, T]{Key: Key{Name: name, Type: k.name}, kind: k, at: at}
}

func (l *leaf[S, T]) means(text string) *leaf[S, T] { l.Meaning = text; return l }

// usually gives the default and its reason.
func (l *leaf[S, T]) usually(x T, why string) *leaf[S, T] {
	l.usual, l.Default, l.Reason = x, l.kind.write(x), why
	return l
}

// developing gives the default of the profile development and its reason.
func (l *leaf[S, T]) developing(x T, why string) *leaf[S, T] {
	l.development, l.Development, l.DevelopmentReason = &x, l.kind.write(x), why
	return l
}

func (l *leaf[S, T]) needsRestart() *leaf[S, T]          { l.Restart = true; return l }
func (l *leaf[S, T]) forOnly(kind string) *leaf[S, T]    { l.Only = kind; return l }
func (l *leaf[S, T]) key() Key                           { return l.Key }
func (l *leaf[S, T]) equal(a, b *S) bool                 { return reflect.DeepEqual(*l.at(a), *l.at(b)) }
func (l *leaf[S, T]) write(from *S) string               { return l.kind.write(*l.at(from)) }
func (l *leaf[S, T]) read(v *value, b complain, into *S) { *l.at(into) = l.kind.read(v, b) }

func (l *leaf[S, T]) reset(into *S, profile string) {
	*l.at(into) = l.usual
	if profile == Development && l.development != nil {
		*l.at(into) = *l.development
	}
}

// inner is a field of a table T inside the section S, as in keep.daily.
type inner[S, T any] struct {
	field[T]
	prefix string
	at     func(*S) *T
	shown  func(*T) bool // nil: always
}

// lift makes the fields of a table inside a section fields of the section.
func lift[S, T any](prefix string, fields []field[T], at func(*S) *T, shown func(*T) bool) []field[S] {
	var all []field[S]
	for _, f := range fields {
		all = append(all, &inner[S, T]{f, prefix, at, shown})
	}
	return all
}

func (i *inner[S, T]) key() Key {
	k := i.field.key()
	k.Name = join(i.prefix, k.Name)
	return k
}
func (i *inner[S, T]) reset(into *S, profile string)      { i.field.reset(i.at(into), profile) }
func (i *inner[S, T]) read(v *value, b complain, into *S) { i.field.read(v, b, i.at(into)) }
func (i *inner[S, T]) equal(a, b *S) bool                 { return i.field.equal(i.at(a), i.at(b)) }
func (i *inner[S, T]) write(from *S) string {
	if i.shown != nil && !i.shown(i.at(from)) {
		return ""
	}
	return i.field.write(i.at(from))
}
