package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

func put(d registry.Definition) registry.PutProduct {
	return registry.PutProduct{Definition: d, Source: registry.Managed}
}

// definition is P2 changed.
func definition(change func(d *registry.Definition)) registry.PutProduct {
	d := productTwo()
	change(&d)
	return put(d)
}

func route(change func(r *registry.Route)) registry.PutProduct {
	return definition(func(d *registry.Definition) {
		r := registry.Route{Method: "GET", Path: "/x/{id}", Permissions: [][]string{{"p2.read"}}}
		change(&r)
		d.Routes = append(d.Routes, r)
	})
}

func routes(pairs ...string) registry.PutProduct {
	return definition(func(d *registry.Definition) {
		d.Routes = nil
		for _, pair := range pairs {
			method, path, _ := strings.Cut(pair, " ")
			d.Routes = append(d.Routes, registry.Route{Method: method, Path: path, Permissions: [][]string{{"p2.read"}}})
		}
	})
}

func upstream(env id.Environment, url string) registry.PutProduct {
	return definition(func(d *registry.Definition) { d.Upstreams[env] = url })
}

func permission(p registry.Permission) registry.PutProduct {
	return definition(func(d *registry.Definition) { d.Permissions = append(d.Permissions, p) })
}

func TestADefinitionThatCouldBeReadInTwoWaysIsRefused(t *testing.T) {
	f := newFixture(t, sqldbtest.New(t))
	field := func(set func(d *registry.Definition, text string)) func(string) registry.PutProduct {
		return func(text string) registry.PutProduct {
			return definition(func(d *registry.Definition) { set(d, text) })
		}
	}
	key := field(func(d *registry.Definition, s string) {
		d.Key, d.Prefix, d.Permissions, d.Routes = s, "/other", nil, nil
	})
	name := field(func(d *registry.Definition, s string) { d.Name = s })
	description := field(func(d *registry.Definition, s string) { d.Description = s })
	prefix := field(func(d *registry.Definition, s string) { d.Prefix = s })
	visibility := field(func(d *registry.Definition, s string) { d.Visibility = registry.Visibility(s) })
	sandbox := field(func(d *registry.Definition, s string) { d.SandboxAccess = registry.Access(s) })
	production := field(func(d *registry.Definition, s string) { d.ProductionAccess = registry.Access(s) })
	method := func(s string) registry.PutProduct { return route(func(r *registry.Route) { r.Method = s }) }
	path := func(s string) registry.PutProduct { return route(func(r *registry.Route) { r.Path = s }) }
	account := func(s string) registry.PutProduct { return route(func(r *registry.Route) { r.Account = s }) }
	slash := func(s string) registry.PutProduct { return route(func(r *registry.Route) { r.EncodedSlash = s }) }
	sets := func(public bool, sets ...[]string) registry.PutProduct {
		return route(func(r *registry.Route) { r.Public, r.Permissions = public, sets })
	}
	count := func(n int) registry.PutProduct {
		return definition(func(d *registry.Definition) {
			for i := range n - len(d.Routes) {
				d.Routes = append(d.Routes, registry.Route{Method: "GET", Path: fmt.Sprint("/", i), Public: true})
			}
		})
	}
	for _, c := range []struct {
		name      string
		bad, twin registry.PutProduct
	}{
		{"empty key", key(""), key("k")},
		{"capital in the key", key("K"), key("k")},
		{"key beginning with a digit", key("2k"), key("k2")},
		{"dot in the key", key("k.l"), key("k_l")},
		{"long key", key(strings.Repeat("k", 25)), key(strings.Repeat("k", 24))},
		{"management's key", key("management"), key("managements")},
		{"no name", name(""), name("N")},
		{"control character in the name", name("a\x00b"), name("a b")},
		{"description of no text", description("a\xffb"), description("ä\nb 𝄞")},
		{"long description", description(strings.Repeat("ö", 4001)), description(strings.Repeat("ö", 4000))},
		{"prefix of everything", prefix("/"), prefix("/everything")},
		{"prefix with a parameter", prefix("/p2/{x}"), prefix("/p2/x")},
		{"prefix with an end slash", prefix("/p2/"), prefix("/p2")},
		{"prefix of another product", prefix("/p1"), prefix("/p1/nested")},
		{"issuer's prefix", prefix("/auth/open"), prefix("/auth/other")},
		{"prefix above the issuer's", prefix("/auth"), prefix("/author")},
		{"prefix beneath the issuer's", prefix("/auth/open/x"), prefix("/auth/x")},
		{"management's prefix in capitals", prefix("/Management"), prefix("/managements")},
		{"token prefix", prefix("/token/x"), prefix("/tokens/x")},
		{"well-known prefix", prefix("/.well-known"), prefix("/well-known")},
		{"unknown visibility", visibility("hidden"), visibility("draft")},
		{"unknown access in sandbox", sandbox("closed"), sandbox("granted")},
		{"unknown access in production", production("public"), production("open")},
		{"upstream of another environment", upstream("staging", "http://x.example"), upstream(id.Sandbox, "http://x.example")},
		{"upstream of another scheme", upstream(id.Sandbox, "ftp://x.example"), upstream(id.Sandbox, "https://x.example")},
		{"upstream without a host", upstream(id.Sandbox, "http:///x"), upstream(id.Sandbox, "http://h/x")},
		{"upstream with a user", upstream(id.Sandbox, "http://u:p@x.example"), upstream(id.Sandbox, "http://x.example:8080")},
		{"upstream with a query", upstream(id.Sandbox, "http://x.example/?a=b"), upstream(id.Sandbox, "http://x.example/a")},
		{"upstream with a fragment", upstream(id.Sandbox, "http://x.example/#a"), upstream(id.Sandbox, "http://x.example/a/b")},
		{"upstream of no text", upstream(id.Sandbox, "http://x.example/\xff"), upstream(id.Sandbox, "http://x.example/%ff")},
		{"permission of one part", permission(registry.Permission{Key: "p2"}), permission(registry.Permission{Key: "p2.a"})},
		{"permission of five parts", permission(registry.Permission{Key: "p2.a.b.c.d"}), permission(registry.Permission{Key: "p2.a.b.c"})},
		{"long permission", permission(registry.Permission{Key: "p2." + strings.Repeat("a", 23) + "." + strings.Repeat("b", 22)}),
			permission(registry.Permission{Key: "p2." + strings.Repeat("a", 23) + "." + strings.Repeat("b", 21)})},
		{"empty part", permission(registry.Permission{Key: "p2..a"}), permission(registry.Permission{Key: "p2.b.a"})},
		{"another product's permission", permission(registry.Permission{Key: "p1.read"}), permission(registry.Permission{Key: "p2.read2"})},
		{"permission of a longer key", permission(registry.Permission{Key: "p22.read"}), permission(registry.Permission{Key: "p2.p22"})},
		{"permission twice", permission(registry.Permission{Key: "p2.read"}), permission(registry.Permission{Key: "p2.read_"})},
		{"unknown assignable", permission(registry.Permission{Key: "p2.x", Assignable: "admin"}), permission(registry.Permission{Key: "p2.x", Assignable: "operator"})},
		{"permission's description of no text", permission(registry.Permission{Key: "p2.y", Description: "\xff"}), permission(registry.Permission{Key: "p2.y", Description: "ÿ"})},
		{"unknown method", method("get"), method("PATCH")},
		{"TRACE", method("TRACE"), method("*")},
		{"path without a slash", path("x"), path("/x")},
		{"path with a dot segment", path("/x/../y"), path("/x/.../y")},
		{"path with an escape", path("/%2e"), path("/2e")},
		{"neither permission nor public", sets(false), sets(false, []string{"p2.read"})},
		{"both permission and public", sets(true, []string{"p2.read"}), sets(true)},
		{"empty permission set", sets(false, []string{"p2.read"}, nil), sets(false, []string{"p2.read"}, []string{"p2.read"})},
		{"undeclared permission", sets(false, []string{"p2.read", "p2.write"}), sets(false, []string{"p2.read"})},
		{"unknown account place", account("query:id"), account("path:id")},
		{"account in no segment", account("path:account"), account("none")},
		{"account in no header", account("header:X Y"), account("header:X-Y")},
		{"account in a header of 65", account("header:" + strings.Repeat("x", 65)), account("header:" + strings.Repeat("x", 64))},
		{"encoded slash in no segment", slash("x"), slash("id")},
		{"route twice", routes("GET /a/{x}", "GET /a/{y}"), routes("GET /a/{x}", "POST /a/{y}")},
		{"overlap", routes("GET /a/{x}", "POST /{y}/b"), routes("GET /a/{x}", "POST /a/b")},
		{"overlap of rests", routes("GET /a/{x...}", "GET /{y}/{z...}", "GET /{y}/b"), routes("GET /a/{x...}", "GET /a/{y}")},
		{"5001 routes", count(5001), count(300)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := f.tried(t, f.operator, c.bad); got != "invalid" && got != "conflict" {
				t.Errorf("outcome: %s", got)
			}
			t.Run("twin", func(t *testing.T) {
				if got := f.tried(t, f.operator, c.twin); got != "allowed" {
					t.Errorf("outcome: %s: %v", got, f.Apply(t.Context(), f.operator, c.twin))
				}
			})
		})
	}
}

func (f *fixture) product(t *testing.T, key string) registry.Product {
	t.Helper()
	products, err := f.LiveProducts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range products {
		if p.Definition.Key == key {
			return p
		}
	}
	t.Fatalf("no product %s is live", key)
	return registry.Product{}
}

func TestEachEditOfAProductIsAVersionSetLive(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		changed := productTwo()
		changed.Description, changed.Prefix = "<b>größer</b> & \u2028", "/p1/nested"
		f.must(t, f.operator, put(changed), put(changed))
		got := f.product(t, "p2")
		changed.Visibility, changed.SandboxAccess, changed.ProductionAccess = registry.Published, registry.Open, registry.Granted
		changed.Permissions = []registry.Permission{{Key: "p2.read", Assignable: registry.ByCustomer}}
		if diff := cmp.Diff(registry.Product{Definition: changed, Source: registry.Managed, Version: 2}, got); diff != "" {
			t.Error(diff)
		}
		if rows := query(t, f.DB, `SELECT version FROM product_version WHERE product = 'p2' ORDER BY version`); len(rows) != 2 {
			t.Errorf("versions = %v, want 1 and 2: what is live already is no new version", rows)
		}
	})
}

func TestAHeldPermissionIsRetiredAndNotRemoved(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		without := definition(func(d *registry.Definition) { d.Permissions, d.Routes = nil, nil })
		retired := definition(func(d *registry.Definition) { d.Permissions[0].Retired = true })
		f.refuses(t, refusal{name: "held", by: f.operator, edit: without, want: fault.Conflict, twin: retired})
		if diff := cmp.Diff([]string{"p1.read", "p2.read"}, f.held(t, f.adminA, f.a2)); diff != "" {
			t.Errorf("retiring took it from a client: %s", diff)
		}
		wantKind(t, f.Apply(t.Context(), f.adminA, add(f.a1, "p2.read")), fault.Conflict)
		t.Run("twin", func(t *testing.T) { // a deleted client holds nothing
			f.must(t, f.adminA, registry.SetClientState{Client: f.a2, State: registry.Deleted})
			f.must(t, f.operator, without)
		})
	})
}

func TestAProductIsChangedByItsSourceAlone(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		declared := definition(func(d *registry.Definition) { d.Key, d.Prefix, d.Permissions, d.Routes = "p5", "/p5", nil, nil })
		if err := f.PutProducts(t.Context(), f.system, registry.Declared, declared.Definition); err != nil {
			t.Fatal(err)
		}
		from := func(source registry.Source, d registry.Definition, name string) registry.Edit {
			d.Name = name
			return registry.PutProduct{Definition: d, Source: source}
		}
		p5, p2, management := declared.Definition, productTwo(), managementProduct()
		f.refuses(t,
			refusal{name: "a declared product managed", by: f.operator, edit: from(registry.Managed, p5, "1"), want: fault.Conflict, twin: from(registry.Managed, p2, "1")},
			refusal{name: "a managed product declared", by: f.system, edit: from(registry.Declared, p2, "2"), want: fault.Conflict, twin: from(registry.Declared, p5, "2")},
			refusal{name: "a person speaking for the file", by: f.operator, edit: from(registry.Declared, p5, "3"), want: fault.Forbidden, twin: from(registry.Declared, p5, "3"), twinBy: f.system},
			refusal{name: "a person speaking for the binary", by: f.operator, edit: from(registry.Builtin, management, "4"), want: fault.Forbidden, twin: from(registry.Builtin, management, "4"), twinBy: f.system},
			refusal{name: "management from a file", by: f.system, edit: from(registry.Declared, management, "5"), want: fault.Invalid, twin: from(registry.Builtin, management, "5")},
			refusal{name: "another built-in", by: f.system, edit: from(registry.Builtin, p5, "6"), want: fault.Invalid, twin: from(registry.Declared, p5, "6")},
			refusal{name: "unknown source", by: f.system, edit: from("import", p2, "7"), want: fault.Invalid, twin: from(registry.Managed, p2, "7")},
		)
	})
}

func TestPuttingDeclaredProductsAgainChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		d := definition(func(d *registry.Definition) { d.Key, d.Prefix, d.Permissions, d.Routes = "p5", "/p5", nil, nil }).Definition
		e := d
		e.Key, e.Prefix = "p6", "/p6"
		for range 2 {
			if err := f.PutProducts(t.Context(), f.system, registry.Declared, d, e); err != nil {
				t.Fatal(err)
			}
		}
		if got := f.product(t, "p6"); got.Version != 1 || got.Source != registry.Declared {
			t.Errorf("p6 = %+v", got)
		}
		before := dump(t, f.DB)
		e.Name, d.Prefix = "new", "/p1"
		wantKind(t, f.PutProducts(t.Context(), f.system, registry.Declared, e, d), fault.Conflict)
		if diff := cmp.Diff(before, dump(t, f.DB)); diff != "" {
			t.Errorf("half of the file was applied:\n%s", diff)
		}
	})
}

func TestAProductIsDeletedOnceNobodyHoldsItsPermissions(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		p2 := registry.DeleteProduct{Product: "p2"}
		f.must(t, f.system, registry.PutProduct{Definition: registry.Definition{Key: "p5", Name: "P5", Prefix: "/p5", Visibility: registry.Draft}, Source: registry.Declared})
		stale := f.operator.Proven(actor.Proof{SecondFactor: true, Verified: true})
		f.must(t, f.operator.In(f.orgA), registry.SetClientState{Client: f.a2, State: registry.Disabled})
		f.refuses(t,
			refusal{name: "unknown", by: f.operator, edit: registry.DeleteProduct{Product: "p9"}, want: fault.NotFound, twin: registry.DeleteProduct{Product: "p4"}},
			refusal{name: "held", by: f.operator, edit: p2, want: fault.Conflict, twin: registry.RemovePermissions{Client: f.a2, Permissions: []string{"p2.read"}}, twinBy: f.operator.In(f.orgA)},
			refusal{name: "of the configuration file", by: f.operator, edit: registry.DeleteProduct{Product: "p5"}, want: fault.Conflict, twin: registry.RenameOrganisation{Name: "A"}, twinBy: f.adminA},
			refusal{name: "built in", by: f.operator, edit: registry.DeleteProduct{Product: registry.ManagementKey}, want: fault.Conflict, twin: registry.RenameOrganisation{Name: "A"}, twinBy: f.adminA},
			refusal{name: "of another version", by: f.operator, edit: registry.DeleteProduct{Product: "p2", Base: 7}, want: fault.Conflict, twin: registry.RenameOrganisation{Name: "A"}, twinBy: f.adminA},
			refusal{name: "PRIV-13 after an old sign-in", by: stale, edit: p2, want: fault.Forbidden, twin: p2, twinBy: f.operator},
		)
		_, err := f.Product(t.Context(), f.system, "p2")
		wantKind(t, err, fault.NotFound)
		entry, err := f.OrganisationEntry(t.Context(), f.orgA)
		if err != nil {
			t.Fatal(err)
		}
		f.must(t, f.operator, registry.PutProduct{Definition: productTwo(), Source: registry.Managed})
		again, err := f.OrganisationEntry(t.Context(), f.orgA)
		if diff := cmp.Diff(entry, again); diff != "" || err != nil {
			t.Errorf("%v: a grant came back with the product:\n%s", err, diff)
		}
		wantKind(t, f.Apply(t.Context(), f.adminA, registry.AddPermissions{Client: f.a1, Permissions: []string{"p2.read"}}), fault.Forbidden)
		if changes := query(t, f.DB, `SELECT count(*) FROM change WHERE kind = 'organisation' AND key = $1 AND seq > (SELECT max(seq) - 5 FROM change)`, f.orgA); changes[0][0] == "0" {
			t.Error("nodes that hold the grant in memory are not told")
		}
	})
}
