package packaging_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the import path of the repository's root.
const module = "keepsake"

// impure are the parts of the standard library through which a room would reach the machine.
var impure = []string{"os", "net", "syscall", "plugin", xSystem}

// onlyTerminal and onlyExits are identifiers of the standard library that belong to the command line alone:
// a library that used them could be neither tested nor run inside the daemon.
var (
	onlyTerminal = map[string][]string{
		"os": {
			"Getenv", "LookupEnv", "Environ", "ExpandEnv", "Setenv", "Unsetenv", "Clearenv", "Args", "Stdin", "Stdout", "Stderr",
			"UserHomeDir", "UserConfigDir", "UserCacheDir",
		},
		"syscall":               {"Getenv", "Environ", "Setenv"},
		"golang.org/x/sys/unix": {"Getenv", "Environ", "Setenv"},
		"fmt":                   {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
		"log":                   {"Print", "Printf", "Println"},
	}
	onlyExits = map[string][]string{
		"os":                    {"Exit"},
		"syscall":               {"Exit"},
		"golang.org/x/sys/unix": {"Exit"},
		"log":                   {"Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln"},
	}
)

// goFiles lists the Go files of the module below dir, whatever their build constraints, as paths relative to dir.
// Like the go tool it passes over testdata and names that begin with a dot or an underscore.
func goFiles(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if name != dir && d.IsDir() {
			if base == "testdata" || base[0] == '.' || base[0] == '_' {
				return filepath.SkipDir
			}
			if _, err := os.Lstat(filepath.Join(name, "go.mod")); err == nil {
				return filepath.SkipDir
			}
		}
		if !d.IsDir() && filepath.Ext(base) == ".go" && base[0] != '.' && base[0] != '_' {
			rel, err := filepath.Rel(dir, name)
			if err != nil {
				return err
			}
			files = append(files, filepath.ToSlash(rel))
		}
		return nil
	})
	return files, err
}

// violations returns what the file name, a path below the module, does against the table's rules.
func violations(table []room, name string, text []byte) []string {
	at := slices.IndexFunc(table, func(r room) bool { return r.path == path.Dir(name) })
	if at < 0 {
		return []string{fmt.Sprintf("%s: package %s is named in no rule: add it to the table in packaging/imports_test.go", name, path.Dir(name))}
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	c := checker{table: table, at: at, test: strings.HasSuffix(name, "_test.go"), set: set, packages: map[string]string{}}
	for _, spec := range file.Imports {
		c.visitImport(spec)
	}
	if !c.test {
		ast.Inspect(file, c.visit)
	}
	return c.found
}

// checker collects the violations of one file.
type checker struct {
	table    []room
	at       int // the file's room in the table
	test     bool
	set      *token.FileSet
	packages map[string]string // name in the file → import path
	found    []string
}

func (c *checker) report(pos token.Pos, format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf("%s: %s", c.set.Position(pos), fmt.Sprintf(format, args...)))
}

func (c *checker) visitImport(spec *ast.ImportSpec) {
	target, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		c.report(spec.Pos(), "%v", err)
		return
	}
	local := path.Base(target)
	if spec.Name != nil {
		local = spec.Name.Name
	}
	c.packages[local] = target
	if local == "." {
		c.report(spec.Pos(), "import with a dot hides where names come from")
	}
	if reason := c.refuse(target); reason != "" {
		c.report(spec.Pos(), "%s must not import %s: %s", c.table[c.at].path, target, reason)
	}
}

// refuse returns why the file must not import target, or nothing.
func (c *checker) refuse(target string) string {
	r := c.table[c.at]
	first, _, _ := strings.Cut(target, "/")
	switch {
	case target == "C":
		return "the program is built without cgo"
	case first == module:
		return c.refuseRoom(strings.TrimPrefix(strings.TrimPrefix(target, module), "/"))
	case r.pure && !c.test && within(target, impure):
		return "the room is pure"
	case !strings.Contains(first, "."):
		return "" // the standard library
	case within(target, r.modules), c.test && within(target, testModules):
		return ""
	}
	return "its rule does not name that module"
}

func (c *checker) refuseRoom(target string) string {
	r := c.table[c.at]
	i := slices.IndexFunc(c.table, func(other room) bool { return other.path == target })
	switch {
	case i < 0:
		return "no such room in the table"
	case c.test && i == c.at: // an external test package
		return ""
	case c.test && c.table[i].testOnly && strings.HasPrefix(target, r.path+"/"): // a suite that stands on the room it tests
		return ""
	case i >= c.at:
		return "imports point downwards"
	case c.test: // a test may use whatever stands below its room
		return ""
	case c.table[i].testOnly && !r.testOnly:
		return "that room is for tests"
	case slices.Contains(r.rooms, target), slices.Contains(r.rooms, everything):
		return ""
	}
	return "its rule does not name that room"
}

// visit looks for uses of the process and for init functions in files that are part of the program.
func (c *checker) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncDecl:
		if n.Recv == nil && n.Name.Name == "init" {
			c.report(n.Pos(), "init runs unasked: use a constructor")
		}
	case *ast.SelectorExpr:
		name, ok := n.X.(*ast.Ident)
		if !ok {
			break
		}
		r, target := c.table[c.at], c.packages[name.Name]
		if !r.exits && slices.Contains(onlyExits[target], n.Sel.Name) {
			c.report(n.Pos(), "%s.%s: only cmd/keepsake ends the process", target, n.Sel.Name)
		}
		if !r.terminal && slices.Contains(onlyTerminal[target], n.Sel.Name) {
			c.report(n.Pos(), "%s.%s: only cmd/keepsake knows the environment and the terminal", target, n.Sel.Name)
		}
	}
	return true
}

// within reports whether target is one of the modules or a package in one.
func within(target string, modules []string) bool {
	return slices.ContainsFunc(modules, func(m string) bool { return target == m || strings.HasPrefix(target, m+"/") })
}

// unsound returns what is wrong with the table itself.
func unsound(table []room) []string {
	var defects []string
	below := map[string]room{}
	for _, r := range table {
		for _, target := range r.rooms {
			other, ok := below[target]
			switch {
			case target == everything:
			case !ok:
				defects = append(defects, fmt.Sprintf("%s may import %s, which is not below it", r.path, target))
			case other.testOnly && !r.testOnly:
				defects = append(defects, fmt.Sprintf("%s may import %s, which is for tests", r.path, target))
			}
		}
		for _, m := range r.modules {
			for kept, homes := range quarantined {
				if (within(m, []string{kept}) || within(kept, []string{m})) && !slices.Contains(homes, r.path) {
					defects = append(defects, fmt.Sprintf("%s may import %s, which is kept to %s", r.path, m, strings.Join(homes, ", ")))
				}
			}
		}
		if r.exits && r.path != "cmd/keepsake" {
			defects = append(defects, r.path+" may end the process, which is kept to cmd/keepsake")
		}
		if _, twice := below[r.path]; twice {
			defects = append(defects, r.path+" is named twice")
		}
		below[r.path] = r
	}
	return defects
}

// TestViolationsAreFound is the negative control of TestImportRules: each fabricated file breaks one rule, or none.
func TestViolationsAreFound(t *testing.T) {
	imports := func(target string) string { return "package p\nimport _ \"" + target + "\"\n" }
	tests := []struct {
		file, text string
		want       string // part of the only violation; empty if there is none
	}{
		{"crypto/a.go", imports("crypto/aes"), ""},
		{"crypto/a.go", imports("golang.org/x/crypto/argon2"), ""},
		{"crypto/a.go", imports("golang.org/x/cryptography"), "crypto must not import golang.org/x/cryptography: its rule does not name that module"},
		{"crypto/a.go", imports("os"), "the room is pure"},
		{"crypto/a.go", imports("net/http"), "the room is pure"},
		{"crypto/a_test.go", imports("os"), ""},
		{"crypto/a.go", imports("keepsake/store/pack"), "imports point downwards"},
		{"crypto/a_test.go", imports("keepsake/store/pack"), "imports point downwards"},
		{"crypto/a_test.go", imports("keepsake/crypto"), ""},
		{"crypto/a.go", imports("keepsake/packaging/torture"), "that room is for tests"},
		{"crypto/a.go", imports("C"), "without cgo"},
		{"crypto/a_test.go", imports("C"), "without cgo"},
		{"store/pack/a.go", imports("keepsake/crypto"), ""},
		{"store/tree/a.go", imports("keepsake/store/pack"), "its rule does not name that room"},
		{"store/index/a.go", imports(bbolt), ""},
		{"store/a.go", imports(bbolt), "its rule does not name that module"},
		{"store/a_test.go", imports(bbolt), "its rule does not name that module"},
		{"daemon/a.go", imports("github.com/fsnotify/fsnotify"), "its rule does not name that module"},
		{"daemon/capture/a.go", imports("github.com/restic/chunker"), "its rule does not name that module"},
		{"fusefs/a.go", imports(goFUSE + "/fs"), ""},
		{"daemon/a.go", imports(goFUSE + "/fs"), "its rule does not name that module"},
		{"cmd/keepsake/a.go", imports(goFUSE + "/fs"), "its rule does not name that module"},
		{"cmd/keepsake/a_test.go", imports(goFUSE + "/fs"), ""},
		{"store/a.go", imports("keepsake/daemon"), "imports point downwards"},
		{"store/a.go", imports("keepsake/store/backend/backendtest"), "that room is for tests"},
		{"store/a_test.go", imports("keepsake/store/backend/backendtest"), ""},
		{"store/backend/a_test.go", imports("keepsake/store/backend/backendtest"), ""},
		{"store/backend/a.go", imports("keepsake/store/backend/backendtest"), "imports point downwards"},
		{"store/durable/a_test.go", imports("keepsake/store/backend/backendtest"), "imports point downwards"},
		{"store/backend/backendtest/a.go", imports("keepsake/store"), "imports point downwards"},
		{"cmd/keepsake/a.go", imports("keepsake/store/index"), ""},
		{"cmd/keepsake/a.go", imports("keepsake/packaging/torture"), "that room is for tests"},
		{"cmd/keepsake/a.go", imports("keepsake/util"), "no such room in the table"},
		{"cmd/keepsake/a.go", imports("keepsake"), "no such room in the table"},
		{"cmd/keepsake/a.go", imports("github.com/example/left"), "its rule does not name that module"},
		{"util/a.go", imports("fmt"), "package util is named in no rule"},
		{"crypto/secret/a_test.go", imports("fmt"), "package crypto/secret is named in no rule"},
		{"store/a.go", "package p\nimport . \"fmt\"\n", "import with a dot"},
		{"store/a.go", "package p\nimport system \"os\"\nfunc f() { system.Exit(1) }\n", "os.Exit: only cmd/keepsake ends the process"},
		{"store/a.go", "package p\nimport \"log\"\nfunc f() { log.Fatalf(\"\") }\n", "log.Fatalf: only cmd/keepsake ends the process"},
		{"packaging/testreport/a.go", "package p\nimport \"os\"\nfunc f() { os.Exit(1) }\n", "only cmd/keepsake ends the process"},
		{"cmd/keepsake/a.go", "package p\nimport \"os\"\nfunc f() { os.Exit(1) }\n", ""},
		{"store/a_test.go", "package p\nimport \"os\"\nfunc f() { os.Exit(1) }\n", ""},
		{"daemon/a.go", "package p\nimport \"os\"\nvar home = os.Getenv(\"HOME\")\n", "os.Getenv: only cmd/keepsake knows the environment"},
		{"daemon/a.go", "package p\nimport \"fmt\"\nfunc f() { fmt.Println() }\n", "fmt.Println: only cmd/keepsake knows"},
		{"daemon/a.go", "package p\nfunc init() {}\n", "init runs unasked"},
		{"daemon/a.go", "package p\ntype t int\nfunc (t) init() {}\n", ""},
		{"daemon/a.go", "package\n", "expected 'IDENT'"},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			got := violations(house, tt.file, []byte(tt.text))
			switch {
			case tt.want == "" && len(got) > 0:
				t.Errorf("%s\ngot %q, want none", tt.text, got)
			case tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)):
				t.Errorf("%s\ngot %q, want one with %q", tt.text, got, tt.want)
			}
		})
	}
}
