package doorward_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// tenantTables hold rows of organisations. A query of one says which
// organisation it is about, or in its text why it is about any.
var tenantTables = []string{
	"account", "attempt", "audit", "client", "client_permission", "client_secret", "invitation", "last_use", "mail", "member", "member_role",
	"organisation", "product_grant", "request", "revoked_token", "secret_notice", "watch", "webhook", "webhook_outbox",
}

var (
	touches   = regexp.MustCompile(`(?i)\b(from|join|into|update)\s+(` + strings.Join(tenantTables, "|") + `)\b`)
	statement = regexp.MustCompile(`(?is)^\s*(select|insert|update|delete|with)\s`)
	fragment  = regexp.MustCompile(`(?i)(^\s*(select|insert into|delete from|with)\s|^\s*update\s+\w+\s+set\s|\s(from|where|order by|limit|values|returning)\s)`)
	exempt    = regexp.MustCompile(`-- any organisation: \S+`)
	comment   = regexp.MustCompile(`--[^\n]*`)
	quoted    = regexp.MustCompile(`'[^']*'`)
	columns   = regexp.MustCompile(`(?is)^\s*insert\s+into\s+\w+\s*\(([^)]*)\)`)
	asksFor   = map[bool]*regexp.Regexp{
		false: regexp.MustCompile(`(?i)(^|\sand\s+|\swhere\s+|\son\s+|\()\s*(\w+\.)?organisation_id\s*=\s*\$\d`),
		true:  regexp.MustCompile(`(?i)(^|\sand\s+|\swhere\s+|\()\s*(\w+\.)?id\s*=\s*\$\d`),
	}
	either = regexp.MustCompile(`(?i)\sor\s`)
)

func TestTEN15_eachQueryOfATenantTableNamesTheTenant(t *testing.T) {
	files := sqlFiles(sources(t, os.DirFS(".")))
	report(t, queryDefects(files))
	seen := 0
	for dir := range byFolder(files) {
		seen += len(queriesOf(byFolder(files)[dir]))
	}
	if seen < 20 {
		t.Errorf("only %d queries were found: this test no longer sees them", seen)
	}
}

func TestTEN15_queriesWithoutATenantAreReported(t *testing.T) {
	const head = "package registry\nconst all = `id, organisation_id`\nfunc f(tx T, ctx C, name string) {\n"
	for name, c := range map[string]struct{ bad, want, twin string }{
		"TEN-15 select":      {"`SELECT name FROM client WHERE id = $1`", "names no organisation", "`SELECT name FROM client WHERE id = $1 AND organisation_id = $2`"},
		"TEN-15 columns":     {"`SELECT `+all+` FROM client`", "names no organisation", "`SELECT `+all+` FROM client WHERE organisation_id = $1`"},
		"TEN-15 constant":    {"`DELETE FROM client WHERE `+`state = 'organisation_id = $1'`", "names no organisation", "`DELETE FROM client WHERE `+`organisation_id = $1`"},
		"TEN-15 update":      {"`UPDATE client_secret SET organisation_id = $1`", "names no organisation", "`UPDATE client_secret SET name = $1 WHERE organisation_id = $2`"},
		"TEN-15 insert":      {"`INSERT INTO account (id) VALUES ($1)`", "names no organisation", "`INSERT INTO account (id, organisation_id) VALUES ($1, $2)`"},
		"TEN-15 or":          {"`SELECT 1 FROM client WHERE id = $1 OR organisation_id = $2`", "names no organisation", "`SELECT 1 FROM client WHERE organisation_id = $2 AND id = $1`"},
		"TEN-15 either":      {"`SELECT 1 FROM client WHERE organisation_id = $2 OR id = $1`", "names no organisation", "`SELECT 1 FROM client WHERE organisation_id = $2`"},
		"TEN-15 join":        {"`SELECT 1 FROM product p JOIN product_grant g ON g.product = p.key`", "names no organisation", "`SELECT 1 FROM product p JOIN product_grant g ON g.product = p.key WHERE g.organisation_id = $1`"},
		"TEN-15 itself":      {"`SELECT name FROM organisation`", "names no organisation", "`SELECT name FROM organisation WHERE id = $1`"},
		"TEN-15 comment":     {"`SELECT name FROM account -- organisation_id = $1`", "names no organisation", "`SELECT name FROM account -- any organisation: the directory`"},
		"TEN-15 no reason":   {"`SELECT name FROM account -- any organisation:`", "names no organisation", "`SELECT name FROM account_kind`"},
		"STO-01 variable":    {"`SELECT x FROM y WHERE z = '`+name+`'`", "is not constant", "`SELECT x FROM y WHERE z = $1`"},
		"STO-01 order":       {"`SELECT x FROM y ORDER BY `+name", "is not constant", "`SELECT x FROM y ORDER BY x`"},
		"STO-01 sprintf":     {"fmt.Sprintf(`SELECT x FROM %s`, name)", "is not constant", "`SELECT x FROM y`"},
		"STO-01 format":      {"fmt.Sprintf(`%s x`, name)", "is not constant", "all"},
		"STO-01 a parameter": {"name", "is not constant", "all"},
	} {
		t.Run(name, func(t *testing.T) {
			planted := func(argument string) fstest.MapFS {
				return fstest.MapFS{"internal/registry/a.go": {Data: []byte(head + "tx.Query(ctx, " + argument + ")\n}")}}
			}
			got := queryDefects(sqlFiles(sources(t, planted(c.bad))))
			if len(got) == 0 || !strings.Contains(got[0], c.want) {
				t.Errorf("defects = %q, want one that %s", got, c.want)
			}
			t.Run("twin", func(t *testing.T) {
				if got := queryDefects(sqlFiles(sources(t, planted(c.twin)))); len(got) > 0 {
					t.Errorf("defects = %q, want none", got)
				}
			})
		})
	}
}

func TestSTO01_aFunctionThatTakesAQueryIsAskedOfItsCallers(t *testing.T) {
	const helper = "package registry\nfunc all(ctx C, tx T, query string) { tx.Query(ctx, query) }\nfunc f(ctx C, tx T, name string) { all(ctx, tx, %s) }"
	planted := func(argument string) []file {
		return sqlFiles(sources(t, fstest.MapFS{"internal/registry/a.go": {Data: fmt.Appendf(nil, helper, argument)}}))
	}
	if got := queryDefects(planted("name")); len(got) != 1 {
		t.Errorf("defects = %q, want one", got)
	}
	t.Run("twin", func(t *testing.T) {
		if got := queryDefects(planted("`SELECT 1`")); len(got) > 0 {
			t.Errorf("defects = %q, want none", got)
		}
	})
}

// sqlFiles are the sources that speak SQL for the product. What is different
// between the engines is in internal/sqldb, behind which all others speak.
func sqlFiles(files []file) []file {
	return slices.DeleteFunc(files, func(f file) bool {
		return f.isTest() || !strings.HasPrefix(f.path, "internal/") || strings.HasPrefix(f.path, "internal/sqldb/")
	})
}

func byFolder(files []file) map[string][]file {
	folders := map[string][]file{}
	for _, f := range files {
		folders[f.dir()] = append(folders[f.dir()], f)
	}
	return folders
}

// text is a string expression: its value, or constant false.
type text struct {
	path     string
	value    string
	constant bool
}

func queryDefects(files []file) []string {
	defects := map[string]bool{}
	for _, folder := range byFolder(files) {
		for _, query := range queriesOf(folder) {
			switch {
			case !query.constant:
				defects[fmt.Sprintf("%s: the SQL at %q is not constant; give values as parameters", query.path, query.value)] = true
			case !namesTenant(query.value):
				defects[fmt.Sprintf("%s: names no organisation: %s; add organisation_id = $n, or say in it `-- any organisation: why`", query.path, query.value)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(defects))
}

func namesTenant(query string) bool {
	if exempt.MatchString(query) {
		return true
	}
	query = quoted.ReplaceAllString(comment.ReplaceAllString(query, ""), "''")
	tables := touches.FindAllStringSubmatch(query, -1)
	for _, table := range tables {
		if !asksForTenant(query, strings.ToLower(table[2]) == "organisation") {
			return false
		}
	}
	return true
}

// asksForTenant looks in the columns of an INSERT, and behind the WHERE of the
// others, in which no OR may stand beside the organisation.
func asksForTenant(query string, organisation bool) bool {
	if into := columns.FindStringSubmatch(query); into != nil {
		want := map[bool]string{false: "organisation_id", true: "id"}[organisation]
		return slices.Contains(strings.FieldsFunc(into[1], func(r rune) bool { return strings.ContainsRune(", \n\t", r) }), want)
	}
	_, condition, _ := strings.Cut(strings.ToUpper(query), " WHERE ")
	return asksFor[organisation].MatchString(" where "+condition) && !either.MatchString(condition)
}

// queriesOf are the SQL texts of a package, and those that reach a database
// or are put together without being constant.
func queriesOf(files []file) []text {
	constants, takers := map[string]ast.Expr{}, map[string]int{"Exec": 1, "Query": 1, "QueryPlanned": 1, "QueryRow": 1, "ExecContext": 1, "QueryContext": 1, "QueryRowContext": 1}
	for _, f := range files {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GenDecl:
				collectConstants(n, constants)
			case *ast.FuncDecl:
				if at := queryParameter(n); at >= 0 {
					takers[n.Name.Name] = at
				}
			}
			return true
		})
	}
	var all []text
	for _, f := range files {
		all = append(all, queriesIn(f, constants, takers)...)
	}
	return all
}

func collectConstants(declaration *ast.GenDecl, into map[string]ast.Expr) {
	if declaration.Tok != token.CONST {
		return
	}
	for _, spec := range declaration.Specs {
		values := spec.(*ast.ValueSpec)
		for i, name := range values.Names {
			if i < len(values.Values) {
				into[name.Name] = values.Values[i]
			}
		}
	}
}

// queryParameter is the place of a parameter named query, or -1.
func queryParameter(f *ast.FuncDecl) int {
	at := 0
	for _, field := range f.Type.Params.List {
		for _, name := range field.Names {
			if name.Name == "query" && fmt.Sprint(field.Type) == "string" {
				return at
			}
			at++
		}
	}
	return -1
}

func queriesIn(f file, constants map[string]ast.Expr, takers map[string]int) (all []text) {
	found := func(e ast.Expr) {
		value, constant := folded(e, constants)
		all = append(all, text{f.path, value, constant})
	}
	passesOn := false // in a function whose own callers are asked
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			return n.Tok != token.CONST
		case *ast.FuncDecl:
			passesOn = queryParameter(n) >= 0
		case *ast.CallExpr:
			name := called(n)
			at, takes := takers[name]
			if argument := at < len(n.Args); takes && argument && len(n.Args) > 1 {
				if given, ok := n.Args[at].(*ast.Ident); !ok || !passesOn || given.Name != "query" {
					found(n.Args[at])
				}
			}
		case *ast.BinaryExpr:
			if n.Op != token.ADD {
				return true
			}
			if value, constant := folded(n, constants); constant && statement.MatchString(value) || !constant && fragment.MatchString(value) {
				found(n)
			}
			return false
		case *ast.BasicLit:
			if value, _ := folded(n, constants); n.Kind == token.STRING && statement.MatchString(value) && touches.MatchString(value) {
				found(n)
			}
		}
		return true
	})
	return all
}

func called(call *ast.CallExpr) string {
	if name, ok := call.Fun.(*ast.Ident); ok {
		return name.Name
	}
	return selected(call.Fun)
}

// folded is the value of a constant string expression, or the constant parts
// of another.
func folded(e ast.Expr, constants map[string]ast.Expr) (value string, constant bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		value, err := strconv.Unquote(e.Value)
		return value, err == nil && e.Kind == token.STRING
	case *ast.ParenExpr:
		return folded(e.X, constants)
	case *ast.Ident:
		if definition, ok := constants[e.Name]; ok {
			return folded(definition, constants)
		}
	case *ast.BinaryExpr:
		left, constantLeft := folded(e.X, constants)
		right, constantRight := folded(e.Y, constants)
		return left + right, constantLeft && constantRight && e.Op == token.ADD
	}
	return "", false
}
