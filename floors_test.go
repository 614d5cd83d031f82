// Package doorward_test holds the rules that the whole module keeps: which
// package may import which, and what the product never uses. They are read from
// the source with go/parser, so that go test's cache notices every change; a
// test that asks `go list` would pass from the cache.
package doorward_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/doorward/doorward/"

// floors is where each package stands. A package imports only lower floors,
// never its own.
var floors = map[string]int{
	"internal/dashboard/chart":   0,
	"internal/dashboard/snippet": 0,
	"internal/egress":            0,
	"internal/fault":             0,
	"internal/id":                0,
	"internal/jwt":               0,
	"internal/metrics":           0,
	"internal/redis":             0,
	"management":                 0,
	"scripts/mutants":            0,
	"scripts/testreport":         0,
	"tokensource":                0,

	"internal/actor":          1,
	"internal/secret":         1, // names what it mints with internal/id
	"internal/sqldb":          1,
	"resourceserver":          1,
	"tokensource/grpctoken":   1,
	"tokensource/oauth2token": 1,
	"tokensource/redistoken":  1,

	"internal/clienttest":               2,
	"internal/journal":                  2,
	"internal/mail":                     2,
	"internal/sqldb/sqldbtest":          2,
	"internal/throttle":                 2,
	"resourceserver/grpcguard":          2,
	"resourceserver/resourceservertest": 2,

	"internal/clienttest/specimen": 3,
	"internal/clienttest/xoauth2":  3,
	"internal/registry":            3,
	"internal/signingkey":          3,
	"internal/usage":               3,

	"internal/access":             4,
	"internal/backup":             4,
	"clients/typescript":          4, // its test of the contract
	"internal/clienttest/conform": 4,
	"internal/dashboard/view":     4,
	"internal/openapi":            4,
	"internal/signin":             4,
	"internal/webhook":            4,

	"internal/api":        5,
	"internal/authserver": 5,
	"internal/dashboard":  5,
	"internal/demo":       5,
	"internal/gateway":    5,

	"internal/server":     6,
	"internal/servertest": 7,
	"cmd/doorward":        8,
}

// testKits may be imported by the external test package of any floor.
var testKits = []string{
	"internal/clienttest",
	"internal/servertest",
	"internal/sqldb/sqldbtest",
	"resourceserver/resourceservertest",
}

// refusedNames say nothing about what a folder holds.
var refusedNames = []string{
	"base", "common", "helper", "helpers", "manager", "managers", "model", "models", "pkg",
	"service", "services", "util", "utils",
}

func TestFloors(t *testing.T) {
	report(t, floorDefects(sources(t, os.DirFS("."))))
}

func TestFloorDefectsAreReported(t *testing.T) {
	for name, test := range map[string]struct{ file, text, want string }{
		"import of a higher floor": {"internal/jwt/jwt.go", importing("internal/registry"), "internal/jwt/jwt.go: internal/jwt [0] imports internal/registry [3]"},
		"import of the same floor": {"internal/access/a.go", importing("internal/signin"), "internal/access/a.go: internal/access [4] imports internal/signin [4]"},
		"import by an inner test":  {"internal/jwt/a_test.go", "package jwt\n" + imports("internal/sqldb/sqldbtest"), "internal/jwt/a_test.go: internal/jwt [0] imports internal/sqldb/sqldbtest [2]"},
		"import of no known floor": {"internal/access/a.go", importing("internal/nowhere"), "internal/access/a.go: internal/access [4] imports internal/nowhere, which has no floor"},
		"package without a floor":  {"internal/other/a.go", "package other", "internal/other: has no row in the table of floors"},
		"name that says nothing":   {"internal/util/a.go", "package util", `internal/util: the name "util" does not say what the folder holds`},
	} {
		t.Run(name, func(t *testing.T) {
			planted := fstest.MapFS{test.file: {Data: []byte(test.text)}}
			if got := floorDefects(sources(t, planted)); !slices.Contains(got, test.want) {
				t.Errorf("defects = %q, want %q", got, test.want)
			}
		})
	}
}

func TestLowerFloorsAndTestKitsMayBeImported(t *testing.T) {
	planted := fstest.MapFS{
		"internal/access/access.go":  {Data: []byte(importing("internal/registry"))},
		"internal/jwt/jwt_test.go":   {Data: []byte("package jwt_test\n" + imports("internal/jwt"))},
		"tokensource/source_test.go": {Data: []byte("package tokensource_test\n" + imports("internal/servertest"))},
		"internal/jwt/testdata/x.go": {Data: []byte("not Go at all")},
		"bench/go.mod":               {Data: []byte("module other")},
		"bench/bench.go":             {Data: []byte(importing("internal/server"))},
	}
	if got := floorDefects(sources(t, planted)); len(got) > 0 {
		t.Errorf("defects = %q, want none", got)
	}
}

func importing(dir string) string { return "package p\n" + imports(dir) }
func imports(dir string) string   { return fmt.Sprintf("import _ %q\n", module+dir) }

// file is a Go source file of the module, with its path below the root.
type file struct {
	path string
	ast  *ast.File
}

func (f file) dir() string { return path.Dir(f.path) }

func (f file) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// isOuterTest tells whether the file is of an external test package.
func (f file) isOuterTest() bool { return f.isTest() && strings.HasSuffix(f.ast.Name.Name, "_test") }

func (f file) imports() []string {
	var all []string
	for _, spec := range f.ast.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic(err) // the parser accepted it
		}
		all = append(all, name)
	}
	return all
}

// moduleImports are the imports of this module, as folders below the root.
func (f file) moduleImports() []string {
	var inside []string
	for _, name := range f.imports() {
		if dir, ok := strings.CutPrefix(name, module); ok {
			inside = append(inside, dir)
		}
	}
	return inside
}

// sources parses the files of this module: not those of modules inside it, nor
// what the go command ignores.
func sources(t *testing.T, root fs.FS) []file {
	t.Helper()
	var files []file
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if ignored(root, name) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // an editor's or a generator's file of a moment
		}
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, file{path: name, ast: parsed})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func ignored(root fs.FS, dir string) bool {
	if dir == "." {
		return false
	}
	name := path.Base(dir)
	if name == "testdata" || name == "node_modules" || name == "build" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return true
	}
	_, err := fs.Stat(root, dir+"/go.mod")
	return err == nil
}

func floorDefects(files []file) []string {
	defects := map[string]bool{}
	for _, f := range files {
		if f.dir() == "." {
			continue
		}
		for _, defect := range append(folderDefects(f.dir()), importDefects(f)...) {
			defects[defect] = true
		}
	}
	return slices.Sorted(maps.Keys(defects))
}

func folderDefects(dir string) []string {
	var defects []string
	if _, ok := floors[dir]; !ok {
		defects = append(defects, dir+": has no row in the table of floors")
	}
	for part := range strings.SplitSeq(dir, "/") {
		if slices.Contains(refusedNames, part) {
			defects = append(defects, fmt.Sprintf("%s: the name %q does not say what the folder holds", dir, part))
		}
	}
	return defects
}

func importDefects(f file) []string {
	var defects []string
	for _, target := range f.moduleImports() {
		if f.isOuterTest() && (target == f.dir() || slices.Contains(testKits, target)) {
			continue
		}
		floor, known := floors[target]
		switch {
		case !known:
			defects = append(defects, fmt.Sprintf("%s: %s [%d] imports %s, which has no floor", f.path, f.dir(), floors[f.dir()], target))
		case floor >= floors[f.dir()]:
			defects = append(defects, fmt.Sprintf("%s: %s [%d] imports %s [%d]", f.path, f.dir(), floors[f.dir()], target, floor))
		}
	}
	return defects
}

func report(t *testing.T, defects []string) {
	t.Helper()
	for _, defect := range defects {
		t.Error(defect)
	}
}
