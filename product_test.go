package doorward_test

import (
	"fmt"
	"go/ast"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// targetFile is the one place that takes a request's target apart. What it
// yields is matched, logged, counted and sent upstream; a second reading of the
// same URL is how path checks of gateways are passed by.
const targetFile = "internal/access/target.go"

func TestProductRules(t *testing.T) {
	report(t, productDefects(sources(t, os.DirFS("."))))
}

func TestProductDefectsAreReported(t *testing.T) {
	const proxy = "package gateway\nimport \"net/http/httputil\"\n"
	for name, test := range map[string]struct{ file, text, want string }{
		"client library beyond the standard library": {
			"tokensource/a.go", "package tokensource\nimport _ \"golang.org/x/oauth2\"",
			"tokensource/a.go: imports golang.org/x/oauth2; a public client package needs the standard library only",
		},
		"client library with our other packages": {
			"resourceserver/a.go", importing("internal/fault"),
			"resourceserver/a.go: imports " + module + "internal/fault; a public client package needs the standard library only",
		},
		"client library by way of our package": {
			"internal/jwt/a.go", "package jwt\nimport _ \"github.com/go-jose/go-jose/v4\"",
			"internal/jwt/a.go: imports github.com/go-jose/go-jose/v4; a public client package needs the standard library only",
		},
		"cgo": {
			"internal/egress/a.go", "package egress\nimport \"C\"",
			"internal/egress/a.go: uses cgo, and the product is built without it",
		},
		"Director in a literal": {
			"internal/gateway/a.go", proxy + "var p = httputil.ReverseProxy{Director: nil}",
			"internal/gateway/a.go: a ReverseProxy without Rewrite",
		},
		"Director set later": {
			"internal/gateway/a.go", proxy + "func f(p *httputil.ReverseProxy) { p.Director = nil }",
			"internal/gateway/a.go: uses Director, which can lose headers that the proxy sets; use Rewrite",
		},
		"proxy made with a Director": {
			"internal/gateway/a.go", proxy + "var p = httputil.NewSingleHostReverseProxy(nil)",
			"internal/gateway/a.go: uses NewSingleHostReverseProxy, which can lose headers that the proxy sets; use Rewrite",
		},
		"T14 second reading of the path": {
			"internal/gateway/a.go", "package gateway\nvar p = r.URL.Path",
			"internal/gateway/a.go: reads URL.Path; only " + targetFile + " takes the target apart",
		},
		"T14 second reading of the raw path": {
			"internal/access/a.go", "package access\nvar p = r.URL.RawPath",
			"internal/access/a.go: reads URL.RawPath; only " + targetFile + " takes the target apart",
		},
	} {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{
				test.file:               {Data: []byte(test.text)},
				"cmd/doorward/main.go":  {Data: []byte("package main\n" + imports("internal/server"))},
				"internal/server/a.go":  {Data: []byte("package server\n" + imports("internal/egress"))},
				"internal/egress/ok.go": {Data: []byte("package egress")},
			}
			if got := productDefects(sources(t, files)); !slices.Equal(got, []string{test.want}) {
				t.Errorf("defects = %q, want %q", got, test.want)
			}
		})
	}
}

func TestProductMayDoWhatTheRulesLeaveOpen(t *testing.T) {
	files := fstest.MapFS{
		targetFile:                   {Data: []byte("package access\nvar p = r.URL.Path")},
		"internal/gateway/a.go":      {Data: []byte("package gateway\nimport \"net/http/httputil\"\nvar p = &httputil.ReverseProxy{Rewrite: nil}\nvar q = in.Out.URL.Path")},
		"internal/gateway/a_test.go": {Data: []byte("package gateway\nvar p = r.URL.Path")},
		"internal/dashboard/a.go":    {Data: []byte("package dashboard\nvar p = r.URL.Path")},
		"scripts/mutants/a.go":       {Data: []byte("package main\nimport \"C\"")}, // not of the product
		"tokensource/a_test.go":      {Data: []byte("package tokensource_test\nimport \"github.com/google/go-cmp/cmp\"")},
		"resourceserver/a.go":        {Data: []byte("package resourceserver\nimport \"net/http\"\n" + imports("internal/jwt"))},
	}
	if got := productDefects(sources(t, files)); len(got) > 0 {
		t.Errorf("defects = %q, want none", got)
	}
}

// productDefects are the breaches of the rules for code that ships.
func productDefects(files []file) []string {
	files = slices.DeleteFunc(files, file.isTest)
	product := reachable(files, "cmd/doorward")
	var defects []string
	for _, f := range files {
		if isClientLibrary(f.dir()) {
			defects = append(defects, dependencyDefects(f)...)
		}
		if product[f.dir()] && slices.Contains(f.imports(), "C") {
			defects = append(defects, f.path+": uses cgo, and the product is built without it")
		}
		defects = append(defects, proxyDefects(f)...)
		if takesTargets(f) {
			defects = append(defects, targetDefects(f)...)
		}
	}
	return defects
}

// reachable is the set of folders that the package in start imports, directly
// or not.
func reachable(files []file, start string) map[string]bool {
	imports := map[string][]string{}
	for _, f := range files {
		imports[f.dir()] = append(imports[f.dir()], f.moduleImports()...)
	}
	seen := map[string]bool{}
	for queue := []string{start}; len(queue) > 0; queue = queue[1:] {
		if dir := queue[0]; !seen[dir] {
			seen[dir] = true
			queue = append(queue, imports[dir]...)
		}
	}
	return seen
}

// isClientLibrary tells whether others build the folder's package into
// programs of theirs. With internal/jwt these are closed: none imports anything
// else of the module. What needs more is in folders below them.
func isClientLibrary(dir string) bool {
	return dir == "tokensource" || dir == "resourceserver" || dir == "internal/jwt"
}

func dependencyDefects(f file) []string {
	var defects []string
	for _, name := range f.imports() {
		host, _, _ := strings.Cut(name, "/")
		if strings.Contains(host, ".") && name != module+"internal/jwt" {
			defects = append(defects, fmt.Sprintf("%s: imports %s; a public client package needs the standard library only", f.path, name))
		}
	}
	return defects
}

func proxyDefects(f file) []string {
	if !slices.Contains(f.imports(), "net/http/httputil") {
		return nil
	}
	var defects []string
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			if selected(n.Type) == "ReverseProxy" && !slices.ContainsFunc(n.Elts, setsRewrite) {
				defects = append(defects, f.path+": a ReverseProxy without Rewrite")
			}
		case *ast.SelectorExpr:
			if name := n.Sel.Name; name == "Director" || name == "NewSingleHostReverseProxy" {
				defects = append(defects, fmt.Sprintf("%s: uses %s, which can lose headers that the proxy sets; use Rewrite", f.path, name))
			}
		}
		return true
	})
	return defects
}

func setsRewrite(element ast.Expr) bool {
	pair, ok := element.(*ast.KeyValueExpr)
	if !ok {
		return false
	}
	key, ok := pair.Key.(*ast.Ident)
	return ok && key.Name == "Rewrite"
}

// takesTargets tells whether the file is of a package that decides by the path
// of a request, and not the one that may read it.
func takesTargets(f file) bool {
	return (f.dir() == "internal/access" || f.dir() == "internal/gateway") && f.path != targetFile
}

// targetDefects finds readings of an incoming request's URL. The URL of the
// outbound request (ProxyRequest.Out) is ours to set.
func targetDefects(f file) []string {
	readings := []string{"Path", "RawPath", "EscapedPath", "RequestURI", "Query", "RawQuery"}
	var defects []string
	ast.Inspect(f.ast, func(n ast.Node) bool {
		reading, ok := n.(*ast.SelectorExpr)
		if !ok || !slices.Contains(readings, reading.Sel.Name) || selected(reading.X) != "URL" {
			return true
		}
		if request := reading.X.(*ast.SelectorExpr).X; selected(request) != "Out" {
			defects = append(defects, fmt.Sprintf("%s: reads URL.%s; only %s takes the target apart", f.path, reading.Sel.Name, targetFile))
		}
		return true
	})
	return defects
}

// selected is Name of an expression x.Name, else empty.
func selected(e ast.Expr) string {
	if selector, ok := e.(*ast.SelectorExpr); ok {
		return selector.Sel.Name
	}
	return ""
}
