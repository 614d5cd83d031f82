package access

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
)

func open(method, path string) registry.Route {
	return registry.Route{Method: method, Path: path, Public: true}
}

func guarded(method, path string) registry.Route {
	return registry.Route{Method: method, Path: path, Permissions: [][]string{{"p.read"}}}
}

// products has, beside every guarded route, something open that a lax matcher
// would find instead.
func products() []registry.Definition {
	blob := guarded("GET", "/blobs/{name}/content")
	blob.EncodedSlash = "name"
	files := guarded("GET", "/files/{rest...}")
	files.EncodedSlash = "rest" // names no single segment, so it opens nothing
	return []registry.Definition{
		{Key: "p1", Prefix: "/p1", Routes: []registry.Route{
			open("GET", "/public"), guarded("GET", "/secret"), guarded("GET", "/Case"),
			guarded("GET", "/things/{id}"), guarded("DELETE", "/things/{other}"), guarded("*", "/any"), open("GET", "/any"),
			blob, guarded("GET", "/{x}/{y}/content"), files, guarded("GET", "/files/one"),
		}},
		{Key: "p2", Prefix: "/p2", Routes: []registry.Route{guarded("GET", "/x"), guarded("OPTIONS", "/cors"), guarded("HEAD", "/cors"), guarded("GET", "/")}},
		{Key: "wide", Prefix: "/wide", Routes: []registry.Route{open("*", "/{rest...}"), guarded("GET", "/secret")}},
		{Key: "child", Prefix: "/wide/child", Routes: []registry.Route{guarded("GET", "/x")}},
		{Key: "dots", Prefix: "/p.1/é", Routes: []registry.Route{guarded("GET", "/{rest...}")}},
	}
}

func TestMatchRefusesWhatIsNotDeclared(t *testing.T) {
	tests := []struct {
		name, method, path string
		want               fault.Code
		twin               string // "METHOD /path"
	}{
		{"GW-03 T5 encoded slash where none is taken", "GET", "/p1/things/a%2Fb", fault.RequestMalformed, "GET /p1/things/ab"},
		{"GW-03 encoded slash in another segment", "GET", "/p1/x/a%2Fb/content", fault.RequestMalformed, "GET /p1/blobs/a%2Fb/content"},
		{"GW-03 encoded slash under {rest...}", "GET", "/p1/files/a%2fb", fault.RequestMalformed, "GET /p1/files/a/b"},
		{"GW-03 encoded slash deep under {rest...}", "GET", "/p1/files/a/b%2fc", fault.RequestMalformed, "GET /p1/files/a/b/c"},
		{"GW-03 encoded slash with another method", "POST", "/p1/blobs/a%2Fb/content", fault.RequestMalformed, "GET /p1/blobs/a%2Fb/content"},
		{"GW-03 encoded slash in an open product", "GET", "/wide/a%2Fb", fault.RequestMalformed, "GET /wide/a/b"},
		{"GW-07 encoded slash behind the prefix", "GET", "/p1%2Fsecret", fault.RequestMalformed, "GET /p1/secret"},
		{"GW-07 encoded slash behind the prefix in lower case", "GET", "/p1%2fsecret", fault.RequestMalformed, "GET /p1/secret"},
		{"GW-07 T8 prefix in upper case", "GET", "/P1/secret", fault.ProductUnknown, "GET /p1/secret"},
		{"GW-07 T8 prefix in upper case, encoded", "GET", "/%501/secret", fault.ProductUnknown, "GET /%701/secret"},
		{"GW-07 T8 path in another case", "GET", "/p1/Secret", fault.RouteUnknown, "GET /p1/secret"},
		{"GW-07 T8 path in lower case", "GET", "/p1/case", fault.RouteUnknown, "GET /p1/Case"},
		{"GW-07 T8 path in another case, encoded", "GET", "/p1/%53ecret", fault.RouteUnknown, "GET /p1/%73ecret"},
		{"GW-09 query names an open route", "GET", "/p1/nothing?/p1/public", fault.RouteUnknown, "GET /p1/public?/p1/nothing"},
		{"GW-09 query names another path", "GET", "/p3?x=/p1/public", fault.ProductUnknown, "GET /p1/public?x=/p3"},
		{"T13 trailing slash", "GET", "/p1/secret/", fault.RouteUnknown, "GET /p1/secret"},
		{"T13 trailing slash is not left to an open rest", "GET", "/wide/secret/", fault.RouteUnknown, "GET /wide/other/"},
		{"T13 trailing slash behind a parameter", "GET", "/p1/things/1/", fault.RouteUnknown, "GET /p1/things/1"},
		{"T13 trailing slash beside a rest", "GET", "/p1/files/one/", fault.RouteUnknown, "GET /p1/files/two/"},
		{"T13 prefix without a root", "GET", "/p1/", fault.RouteUnknown, "GET /p2/"},
		{"T15 undeclared path of a product", "GET", "/p2/y", fault.RouteUnknown, "GET /p2/x"},
		{"T15 longer than declared", "GET", "/p2/x/y", fault.RouteUnknown, "GET /p2/x"},
		{"T15 shorter than declared", "GET", "/p1/things", fault.RouteUnknown, "GET /p1/things/1"},
		{"T15 open parent does not answer for its child", "GET", "/wide/child/y", fault.RouteUnknown, "GET /wide/child/x"},
		{"T15 open parent does not answer for its child's root", "GET", "/wide/child", fault.RouteUnknown, "GET /wide/children"},
		{"T15 open rest does not answer another method", "POST", "/wide/secret", fault.MethodNotAllowed, "POST /wide/other"},
		{"T15 prefix ends inside a segment", "GET", "/p11/secret", fault.ProductUnknown, "GET /p1/secret"},
		{"root", "GET", "/", fault.ProductUnknown, "GET /p2"},
		{"GW-21 TRACE", "TRACE", "/wide/x", fault.MethodNotAllowed, "PATCH /wide/x"},
		{"GW-21 CONNECT", "CONNECT", "/wide/x", fault.MethodNotAllowed, "PUT /wide/x"},
		{"GW-21 lower case", "get", "/wide/x", fault.MethodNotAllowed, "GET /wide/x"},
		{"GW-21 unknown", "GETX", "/wide/x", fault.MethodNotAllowed, "OPTIONS /wide/x"},
		{"GW-21 empty", "", "/wide/x", fault.MethodNotAllowed, "DELETE /wide/x"},
		{"GW-21 asterisk", "*", "/wide/x", fault.MethodNotAllowed, "HEAD /wide/x"},
		{"GW-22 OPTIONS is not declared", "OPTIONS", "/p2/x", fault.MethodNotAllowed, "OPTIONS /p2/cors"},
		{"GW-22 POST is not declared", "POST", "/p1/secret", fault.MethodNotAllowed, "HEAD /p1/secret"},
	}
	routes := compiled(t, products()...)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := match(t, routes, tt.method, tt.path)
			if codeOf(err) != tt.want || m.Route != nil {
				t.Errorf("%s %s: route %v, error %v, want code %q", tt.method, tt.path, m.Route, err, tt.want)
			}
			t.Run("twin", func(t *testing.T) {
				method, path, _ := strings.Cut(tt.twin, " ")
				if m, err := match(t, routes, method, path); err != nil || m.Route == nil {
					t.Errorf("%s: error %v", tt.twin, err)
				}
			})
		})
	}
}

func TestMatchFindsTheMostSpecificRoute(t *testing.T) {
	tests := []struct{ method, path, product, route, forwarded string }{
		{"GET", "/p1/public", "p1", "GET /public", "/public"},
		{"HEAD", "/p1/public", "p1", "GET /public", "/public"},
		{"GET", "/p1/%73ecret", "p1", "GET /secret", "/%73ecret"},
		{"GET", "/p1/things/4%202?x", "p1", "GET /things/{id}", "/things/4%202"},
		{"DELETE", "/p1/things/42", "p1", "DELETE /things/{other}", "/things/42"},
		{"GET", "/p1/any", "p1", "GET /any", "/any"},
		{"HEAD", "/p1/any", "p1", "GET /any", "/any"},
		{"OPTIONS", "/p1/any", "p1", "* /any", "/any"},
		{"GET", "/p1/blobs/a%2Fb/content", "p1", "GET /blobs/{name}/content", "/blobs/a%2Fb/content"},
		{"GET", "/p1/other/a/content", "p1", "GET /{x}/{y}/content", "/other/a/content"},
		{"GET", "/p1/files", "p1", "GET /files/{rest...}", "/files"},
		{"GET", "/p1/files/", "p1", "GET /files/{rest...}", "/files/"},
		{"GET", "/p1/files/a/b/", "p1", "GET /files/{rest...}", "/files/a/b/"},
		{"GET", "/p1/files/one", "p1", "GET /files/one", "/files/one"},
		{"GET", "/p1/files/one/two", "p1", "GET /files/{rest...}", "/files/one/two"},
		{"HEAD", "/p2/cors", "p2", "HEAD /cors", "/cors"},
		{"GET", "/p2", "p2", "GET /", "/"},
		{"GET", "/p2/", "p2", "GET /", "/"},
		{"POST", "/wide", "wide", "* /{rest...}", "/"},
		{"GET", "/wide/secret", "wide", "GET /secret", "/secret"},
		{"GET", "/wide/secret/x", "wide", "* /{rest...}", "/secret/x"},
		{"GET", "/wide/child/x", "child", "GET /x", "/x"},
	}
	routes := compiled(t, products()...)
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			target := mustTarget(t, tt.path)
			m, err := routes.Match(tt.method, &target)
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Route.Method + " " + m.Route.Path; m.Product.Key != tt.product || got != tt.route {
				t.Errorf("product %s, route %s, want %s, %s", m.Product.Key, got, tt.product, tt.route)
			}
			if got := target.Stripped(m.Prefix); got != tt.forwarded {
				t.Errorf("forwards %q, want %q", got, tt.forwarded)
			}
		})
	}
}

// The prefix is stripped by segments, however many bytes its escapes take.
func TestT3_prefixIsStrippedBySegments(t *testing.T) {
	routes := compiled(t, products()...)
	for _, prefix := range []string{"/p.1/%C3%A9", "/p%2e1/%c3%a9", "/%70%2E%31/%C3%a9"} {
		target := mustTarget(t, prefix+"/a%2Eb/%C3%A9?q")
		m, err := routes.Match("GET", &target)
		if err != nil || target.Stripped(m.Prefix) != "/a%2Eb/%C3%A9" {
			t.Errorf("prefix %s: forwards %q, error %v", prefix, target.Stripped(m.Prefix), err)
		}
	}
}

func TestMethodNotAllowedNamesTheMethods(t *testing.T) {
	routes := compiled(t, products()...)
	tests := []struct {
		path string
		want []string
	}{
		{"/p1/secret", []string{"GET", "HEAD"}},
		{"/p1/things/1", []string{"GET", "HEAD", "DELETE"}},
		{"/p2/cors", []string{"HEAD", "OPTIONS"}},
		{"/wide/x", []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}},
	}
	for _, tt := range tests {
		m, err := match(t, routes, "TRACE", tt.path)
		refusal, ok := errors.AsType[*fault.Error](err)
		if !ok || m.Product == nil {
			t.Fatalf("%s: error %v, product %v", tt.path, err, m.Product)
		}
		if diff := cmp.Diff(tt.want, refusal.Allow); diff != "" {
			t.Errorf("%s: Allow (-want +got):\n%s", tt.path, diff)
		}
	}
}

func TestMatchCapturesParameters(t *testing.T) {
	routes := compiled(t, products()...)
	tests := []struct{ method, path, name, want string }{
		{"GET", "/p1/things/4%202", "id", "4 2"},
		{"DELETE", "/p1/things/42", "other", "42"},
		{"GET", "/p1/blobs/a%2Fb/content", "name", "a/b"},
		{"GET", "/p1/u/v/content", "y", "v"},
	}
	for _, tt := range tests {
		m, err := match(t, routes, tt.method, tt.path)
		if got, ok := m.Param(tt.name); err != nil || !ok || got != tt.want {
			t.Errorf("%s: Param(%s) = %q, %t, error %v, want %q", tt.path, tt.name, got, ok, err, tt.want)
		}
		for _, name := range []string{"", "things", "rest", "nothing"} {
			if got, ok := m.Param(name); ok {
				t.Errorf("%s: Param(%q) = %q, want none", tt.path, name, got)
			}
		}
	}
}

func TestCompileRefusesWhatRegistryWouldNotStore(t *testing.T) {
	product := func(prefix string, routes ...registry.Route) []registry.Definition {
		return []registry.Definition{{Key: "a", Prefix: prefix, Routes: routes}}
	}
	tests := []struct {
		name       string
		give, twin []registry.Definition
	}{
		{"prefix", product("/a/"), product("/a")},
		{"two products of one prefix", append(product("/a"), product("/a")...), append(product("/a"), product("/a/b")...)},
		{"path", product("/a", open("GET", "/b/../c")), product("/a", open("GET", "/c"))},
		{"method", product("/a", open("get", "/b")), product("/a", open("GET", "/b"))},
		{"TRACE", product("/a", open("TRACE", "/b")), product("/a", open("DELETE", "/b"))},
		{"route twice", product("/a", open("GET", "/{b}"), open("GET", "/{c}")), product("/a", open("GET", "/{b}"), open("PUT", "/{c}"))},
		{"T47 neither public nor guarded", product("/a", registry.Route{Method: "GET", Path: "/b"}), product("/a", open("GET", "/b"))},
		{"T47 empty set of permissions", product("/a", registry.Route{Method: "GET", Path: "/b", Permissions: [][]string{{"a.b"}, {}}}),
			product("/a", registry.Route{Method: "GET", Path: "/b", Permissions: [][]string{{"a.b"}, {"a.c"}}})},
		{"T47 public and guarded", product("/a", registry.Route{Method: "GET", Path: "/b", Public: true, Permissions: [][]string{{"a.b"}}}), product("/a", guarded("GET", "/b"))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Compile(tt.give); err == nil {
				t.Error("no error")
			}
			t.Run("twin", func(t *testing.T) {
				if _, err := Compile(tt.twin); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestEmptyTableKnowsNoProduct(t *testing.T) {
	for _, routes := range []*Routes{{}, compiled(t)} {
		if _, err := match(t, routes, "GET", "/p1/x"); codeOf(err) != fault.ProductUnknown {
			t.Errorf("error %v, want code %q", err, fault.ProductUnknown)
		}
	}
}

func TestMatchTakesNoAllocation(t *testing.T) {
	routes := compiled(t, products()...)
	target := mustTarget(t, "/p1/things/42")
	allocations := testing.AllocsPerRun(100, func() {
		if _, err := routes.Match("GET", &target); err != nil {
			t.Fatal(err)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations, want none", allocations)
	}
}

// The tree decides as a plain walk over all routes does, however many there
// are: no size may switch to another way of matching.
func TestT9_treeAgreesWithPlainMatcher(t *testing.T) {
	for _, size := range []int{1, 100, 101, 5000} {
		t.Run(fmt.Sprintf("T9 %d routes", size), func(t *testing.T) {
			random := rand.New(rand.NewPCG(9, uint64(size)))
			table := randomProducts(random, size)
			routes := compiled(t, table...)
			matched := 0
			for range 1000 {
				method := pick(random, "GET", "HEAD", "POST", "OPTIONS", "TRACE", "get")
				path := randomPath(random, table)
				m, err := match(t, routes, method, path)
				got, want := outcome(&m, err), plainMatch(table, method, path)
				if got != want {
					t.Fatalf("%s %s: %s, plain matcher %s", method, path, got, want)
				}
				if err == nil {
					matched++
				}
			}
			if matched < 20 {
				t.Errorf("%d of 1000 calls matched, want more", matched)
			}
		})
	}
}

// plainMatch decides by looking at every product and route.
func plainMatch(table []registry.Definition, method, path string) string {
	slash := strings.HasSuffix(path, "/")
	segments := strings.Split(strings.Trim(path, "/"), "/")
	var product *registry.Definition
	for i := range table {
		prefix := strings.Split(table[i].Prefix[1:], "/")
		if len(segments) >= len(prefix) && slices.Equal(prefix, segments[:len(prefix)]) && (product == nil || len(product.Prefix) < len(table[i].Prefix)) {
			product = &table[i]
		}
	}
	if product == nil {
		return "product_unknown"
	}
	segments = segments[strings.Count(product.Prefix, "/"):]
	best := ""
	for _, r := range product.Routes {
		if plainMatches(r.Path, segments) && (best == "" || specificity(r.Path) < specificity(best)) {
			best = r.Path
		}
	}
	if best == "" || slash && len(segments) > 0 && !strings.HasSuffix(best, "...}") {
		return "route_unknown"
	}
	for _, declared := range []string{method, strings.Replace(method, "HEAD", "GET", 1), "*"} {
		for _, r := range product.Routes {
			if r.Path == best && r.Method == declared && strings.Contains("GET HEAD POST OPTIONS", method) {
				return product.Key + " " + r.Method + " " + r.Path
			}
		}
	}
	return "method_not_allowed"
}

func plainMatches(pattern string, segments []string) bool {
	parts := strings.Split(strings.Trim(pattern, "/"), "/")
	if pattern == "/" {
		parts = nil
	}
	for i, part := range parts {
		switch {
		case part == "{rest...}":
			return true
		case i >= len(segments), part[0] != '{' && part != segments[i]:
			return false
		}
	}
	return len(parts) == len(segments)
}

// specificity orders unambiguous patterns that match one path: literals before
// parameters before the rest, compared from the left.
func specificity(pattern string) string {
	var order strings.Builder
	for part := range strings.SplitSeq(strings.Trim(pattern, "/"), "/") {
		switch {
		case part == "{rest...}":
			order.WriteByte('3')
		case strings.HasPrefix(part, "{"):
			order.WriteByte('2')
		default:
			order.WriteByte('1')
		}
	}
	return order.String()
}

func randomProducts(random *rand.Rand, size int) []registry.Definition {
	table := []registry.Definition{{Key: "a", Prefix: "/a"}, {Key: "b", Prefix: "/b"}, {Key: "ab", Prefix: "/a/b"}, {Key: "c", Prefix: "/c/a"}}
	var patterns [4][]registry.Pattern
	for count, tries := 0, 0; count < size; tries++ {
		product := random.IntN(min(4, size))
		pattern, err := registry.ParsePattern(randomPattern(random, 2+tries/size))
		if err != nil || slices.ContainsFunc(patterns[product], func(p registry.Pattern) bool { return p.Overlaps(pattern) }) {
			continue
		}
		patterns[product] = append(patterns[product], pattern)
		for _, method := range []string{"GET", "POST", "*"} {
			if count < size && (method != "*" || random.IntN(4) == 0) {
				table[product].Routes = append(table[product].Routes, open(method, pattern.String()))
				count++
			}
		}
	}
	return table
}

// randomPattern draws from an alphabet that grows with letters.
func randomPattern(random *rand.Rand, letters int) string {
	var b strings.Builder
	for i := range random.IntN(6) {
		if random.IntN(5) == 0 {
			fmt.Fprintf(&b, "/{x%d}", i)
		} else {
			b.WriteString("/" + letter(random, letters))
		}
	}
	if random.IntN(4) == 0 || b.Len() == 0 {
		b.WriteString("/{rest...}")
	}
	return b.String()
}

func randomPath(random *rand.Rand, table []registry.Definition) string {
	product := &table[random.IntN(len(table))]
	if len(product.Routes) == 0 || random.IntN(3) == 0 {
		path := "/" + letter(random, 4)
		for range random.IntN(7) {
			path += "/" + letter(random, 6)
		}
		return path + pick(random, "", "", "/")
	}
	path := strings.Builder{}
	for part := range strings.SplitSeq(product.Routes[random.IntN(len(product.Routes))].Path[1:], "/") {
		switch {
		case part == "{rest...}":
			for range random.IntN(3) {
				path.WriteString("/" + letter(random, 6))
			}
		case part == "" || part[0] == '{' || random.IntN(12) == 0:
			path.WriteString("/" + letter(random, 6))
		default:
			path.WriteString("/" + part)
		}
	}
	return product.Prefix + path.String() + pick(random, "", "", "", "/")
}

func letter(random *rand.Rand, letters int) string {
	return string(rune('a' + random.IntN(min(letters, 26))))
}

func pick(random *rand.Rand, choices ...string) string {
	return choices[random.IntN(len(choices))]
}

func outcome(m *Match, err error) string {
	if err != nil {
		return string(codeOf(err))
	}
	return m.Product.Key + " " + m.Route.Method + " " + m.Route.Path
}

func compiled(t *testing.T, products ...registry.Definition) *Routes {
	t.Helper()
	routes, err := Compile(products)
	if err != nil {
		t.Fatal(err)
	}
	return routes
}

func mustTarget(t *testing.T, raw string) Target {
	t.Helper()
	target, err := ParseTarget(raw, "api.example")
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func match(t *testing.T, routes *Routes, method, path string) (Match, error) {
	t.Helper()
	target := mustTarget(t, path)
	return routes.Match(method, &target)
}
