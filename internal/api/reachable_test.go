package api_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// beyond are the edits that no operation makes, and why.
var beyond = map[string]string{
	"CreatePerson":      "people sign up for themselves",
	"RenamePerson":      "a person's own",
	"ChooseMails":       "a person's own",
	"VerifyPerson":      "a person's own, by a mailed link",
	"SetPassword":       "a person's own",
	"DeletePerson":      "a person's own",
	"LeaveOrganisation": "a person's own",
	"AcceptInvitation":  "a person's own, by a mailed link",
	"AddMember":         "of whoever sets up an organisation by signing up",
	"AddFirstOperator":  "by the link that the first start prints",
	"DeleteNewcomer":    "a job deletes people who never verified",
	"EraseOrganisation": "a job erases what was deleted seven days ago",
	"RevokeToken":       "the token service's own endpoint (RFC 7009)",
}

// TestEveryEditIsReachable reads the code: what the Dashboard can change, a
// machine can.
func TestEveryEditIsReachable(t *testing.T) {
	edits, uses := registrySource(t)
	reached := map[string]bool{}
	var reach func(name string)
	reach = func(name string) {
		if !reached[name] {
			reached[name] = true
			for used := range uses[name] {
				reach(used)
			}
		}
	}
	for _, file := range parseFolder(t, ".") {
		if !strings.HasSuffix(file.name, "_gen.go") {
			for name := range namesIn(file.tree) {
				reach(name)
			}
		}
	}
	var unreached []string
	for _, edit := range edits {
		if !reached[edit] {
			unreached = append(unreached, edit)
		}
	}
	if len(edits) < 40 {
		t.Errorf("only %d edits were found", len(edits))
	}
	slices.Sort(unreached)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(beyond)), unreached); diff != "" {
		t.Error(diff)
	}
}

// registrySource lists the edits of package registry, and the names that each of
// its functions uses.
func registrySource(t *testing.T) (edits []string, uses map[string]map[string]bool) {
	uses = map[string]map[string]bool{}
	for _, file := range parseFolder(t, "../registry") {
		for _, declaration := range file.tree.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Body == nil {
				continue
			}
			if receiver := receiverOf(function); function.Name.Name == "apply" {
				edits = append(edits, receiver)
				continue // to use an edit is not to make what it makes
			}
			name := function.Name.Name
			if uses[name] == nil {
				uses[name] = map[string]bool{}
			}
			maps.Copy(uses[name], namesIn(function.Body))
		}
	}
	return edits, uses
}

func receiverOf(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	name, _ := f.Recv.List[0].Type.(*ast.Ident)
	if name == nil {
		return ""
	}
	return name.Name
}

// namesIn are the functions called and the types made there.
func namesIn(node ast.Node) map[string]bool {
	names := map[string]bool{}
	note := func(e ast.Expr) {
		switch e := e.(type) {
		case *ast.Ident:
			names[e.Name] = true
		case *ast.SelectorExpr:
			names[e.Sel.Name] = true
		}
	}
	ast.Inspect(node, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			note(n.Fun)
		case *ast.CompositeLit:
			note(n.Type)
		}
		return true
	})
	return names
}

type sourceFile struct {
	name string
	tree *ast.File
}

func parseFolder(t *testing.T, folder string) (all []sourceFile) {
	t.Helper()
	set := token.NewFileSet()
	packages, err := parser.ParseDir(set, folder, func(f fs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }, 0) //nolint:staticcheck // one folder, no build tags
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages {
		for name, tree := range p.Files {
			all = append(all, sourceFile{name, tree})
		}
	}
	return all
}
