package config

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// value is a TOML value with the line that it stands on. A decoder into structs
// stops at the first wrong type and forgets lines; this keeps both for all.
type value struct {
	line  int
	kind  unstable.Kind // Table stands for inline tables, too
	text  string        // a string without its quotes; any other scalar as it is written
	items []*value      // of an array, or of an array of tables
	table *table
}

// table is the entries of a table in the order of the file.
type table struct {
	line    int
	entries []entry
	byName  map[string]*value
}

type entry struct {
	name  string
	line  int
	value *value
}

func (t *table) get(name string) *value { return t.byName[name] }

func (t *table) put(name string, line int, v *value) {
	if t.byName == nil {
		t.byName = map[string]*value{}
	}
	t.byName[name] = v
	t.entries = append(t.entries, entry{name, line, v})
}

// says is what a value is, as people call it.
func (v *value) says() string {
	switch v.kind {
	case unstable.String:
		return "a text"
	case unstable.Integer, unstable.Float:
		return "a number"
	case unstable.Bool:
		return "true or false"
	case unstable.Array:
		return "a list"
	case unstable.ArrayTable:
		return "a list of tables"
	case unstable.Table:
		return "a table"
	}
	return "a date or time"
}

// syntaxRemedy goes with every error of syntax: the parser says what it expected
// there, this says what people forget.
const syntaxRemedy = `texts stand in double quotes, lists in [ ], and a line ends after its value`

// document parses TOML into values with lines. Text that is not TOML has one
// problem: nothing after it can be trusted.
func document(b []byte) (*table, Problems) {
	b = bytes.TrimPrefix(b, []byte("\ufeff")) // Windows' editors put it there
	if at := notUTF8(b); at >= 0 {
		return nil, Problems{{Line: 1 + bytes.Count(b[:at], []byte("\n")), Text: fmt.Sprintf("has the byte %#02x, which is not UTF-8", b[at]), Remedy: "save the file as UTF-8"}}
	}
	// The decoder knows all rules of TOML, such as keys that stand twice.
	var all map[string]any
	if err := toml.Unmarshal(b, &all); err != nil {
		return nil, Problems{syntaxProblem(err)}
	}
	d := &builder{root: &table{line: 1}, lines: newlines(b)}
	d.current = d.root
	d.parser.Reset(b)
	for d.parser.NextExpression() {
		if err := d.add(d.parser.Expression()); err != nil {
			return nil, Problems{{Line: 1, Text: err.Error(), Remedy: syntaxRemedy}}
		}
	}
	if err := d.parser.Error(); err != nil {
		return nil, Problems{syntaxProblem(err)}
	}
	return d.root, nil
}

func syntaxProblem(err error) Problem {
	p := Problem{Line: 1, Text: strings.TrimPrefix(err.Error(), "toml: "), Remedy: syntaxRemedy}
	if wrong, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, column := wrong.Position()
		p.Line = max(line, 1)
		p.Text = fmt.Sprintf("column %d: %s", column, p.Text)
	}
	return p
}

// notUTF8 returns where the first byte stands that is no UTF-8, -1 if none is.
func notUTF8(b []byte) int {
	for at := 0; at < len(b); {
		r, n := utf8.DecodeRune(b[at:])
		if r == utf8.RuneError && n < 2 {
			return at
		}
		at += n
	}
	return -1
}

func newlines(b []byte) []int {
	var at []int
	for i, c := range b {
		if c == '\n' {
			at = append(at, i)
		}
	}
	return at
}

// builder makes the tree of values from the parser's expressions.
type builder struct {
	parser  unstable.Parser
	lines   []int // offsets of the line ends
	root    *table
	current *table // that key = value lines go to
}

// line is where a range begins; the parser gives none for lists, which take
// that of what they belong to.
func (d *builder) line(r unstable.Range, otherwise int) int {
	if r.Length == 0 {
		return otherwise
	}
	return 1 + sort.SearchInts(d.lines, int(r.Offset))
}

// errClash cannot happen in what the decoder has accepted.
var errClash = errors.New("a key is used both as a table and as a value")

func (d *builder) add(n *unstable.Node) error {
	switch n.Kind {
	case unstable.KeyValue:
		return d.addKeyValue(d.current, n, d.line(n.Raw, 1))
	case unstable.Table:
		t, err := d.descend(d.root, n.Key(), true)
		d.current = t
		return err
	case unstable.ArrayTable:
		return d.addArrayTable(n)
	}
	return nil
}

// addKeyValue adds a.b.c = value to a table.
func (d *builder) addKeyValue(t *table, n *unstable.Node, line int) error {
	parent, err := d.descend(t, n.Key(), false)
	if err != nil {
		return err
	}
	name := last(n.Key())
	v, err := d.value(n.Value(), line)
	if err != nil {
		return err
	}
	parent.put(string(name.Data), d.line(name.Raw, line), v)
	return nil
}

// addArrayTable begins a further element of [[a.b]].
func (d *builder) addArrayTable(n *unstable.Node) error {
	parent, err := d.descend(d.root, n.Key(), false)
	if err != nil {
		return err
	}
	name := last(n.Key())
	line := d.line(name.Raw, 1)
	list := parent.get(string(name.Data))
	if list == nil {
		list = &value{line: line, kind: unstable.ArrayTable}
		parent.put(string(name.Data), line, list)
	}
	if list.kind != unstable.ArrayTable {
		return errClash
	}
	d.current = &table{line: line}
	list.items = append(list.items, &value{line: line, kind: unstable.Table, table: d.current})
	return nil
}

// descend walks a dotted key, to its end or to the table above its last part,
// and makes tables on its way. In an array of tables it takes the last.
func (d *builder) descend(t *table, key unstable.Iterator, whole bool) (*table, error) {
	for key.Next() {
		if !whole && key.IsLast() {
			break
		}
		n := key.Node()
		line := d.line(n.Raw, t.line)
		v := t.get(string(n.Data))
		if v == nil {
			v = &value{line: line, kind: unstable.Table, table: &table{line: line}}
			t.put(string(n.Data), line, v)
		}
		if v.kind == unstable.ArrayTable {
			v = v.items[len(v.items)-1]
		}
		if v.table == nil {
			return nil, errClash
		}
		t = v.table
	}
	return t, nil
}

func last(key unstable.Iterator) *unstable.Node {
	var n *unstable.Node
	for key.Next() {
		n = key.Node()
	}
	return n
}

// value copies a value out of the parser, which uses its nodes again.
func (d *builder) value(n *unstable.Node, line int) (*value, error) {
	v := &value{line: line, kind: n.Kind}
	switch n.Kind {
	case unstable.Array:
		for it := n.Children(); it.Next(); {
			item, err := d.value(it.Node(), line)
			if err != nil {
				return nil, err
			}
			v.items = append(v.items, item)
			line = item.line
		}
	case unstable.InlineTable:
		v.kind, v.table = unstable.Table, &table{line: line}
		for it := n.Children(); it.Next(); {
			if err := d.addKeyValue(v.table, it.Node(), d.line(it.Node().Raw, line)); err != nil {
				return nil, err
			}
		}
	default:
		v.line, v.text = d.line(n.Raw, line), string(n.Data)
	}
	return v, nil
}
