package access

import (
	"testing"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

func TestProductIsGivenPerEnvironment(t *testing.T) {
	f := newSQLiteFixture(t)
	a, b := call{target: "/p2", token: f.token(f.a2)}, call{target: "/p2", token: f.token(f.b1)}
	sandbox := call{target: "/p2", token: f.token(f.s1)}
	on := call{target: "/p2?" + testParameter + "=" + string(f.sandboxA), token: f.token(f.opClient)}
	f.refuses(t,
		refusal{"organisation without the product", b, fault.ProductNotGranted, a},
		refusal{"GW-39 given in production, called in the sandbox", sandbox, fault.ProductNotGranted, a},
		refusal{"operator's client needs no grant, but the right", call{target: "/p2?" + testParameter + "=" + string(f.sandboxA), token: f.token(f.client("", "", "p1.read"))}, fault.PermissionMissing, on},
	)
	if e := asFault(func() error { _, err := f.decide(b); return err }()); fault.KindOf(e) != fault.Forbidden {
		t.Errorf("kind %v, want forbidden", fault.KindOf(e))
	}
}

func TestProductWithdrawnStopsTheNextCall(t *testing.T) {
	f := newSQLiteFixture(t)
	p1, p2 := call{token: f.token(f.a2)}, call{target: "/p2", token: f.token(f.a2)}
	f.wants(t, p2, "")
	f.changes(f.orgA, registry.WithdrawProduct{Product: "p2", Environment: id.Production})
	f.wants(t, p2, fault.ProductNotGranted)
	t.Run("twin", func(t *testing.T) {
		f.wants(t, p1, "")
		f.changes(f.orgA, registry.GrantProduct{Product: "p2", Environment: id.Production})
		f.wants(t, p2, "")
	})
}

// definition returns the test product of that key.
func definition(key string) registry.Definition {
	for _, d := range testProducts() {
		if d.Key == key {
			return d
		}
	}
	panic("no product " + key)
}

func TestProductIsUnknownWhereItIsNotVisible(t *testing.T) {
	f := newSQLiteFixture(t)
	production := f.token(f.a2)
	trial, draft := call{target: "/trial", token: f.token(f.s1)}, call{target: "/draft", token: production}
	f.refuses(t,
		refusal{"GW-39 production token in a sandbox product", call{target: "/trial", token: production}, fault.ProductUnknown, trial},
		refusal{"GW-39 production token on its public route", call{target: "/trial/open", token: production}, fault.ProductUnknown, call{target: "/trial/open", token: trial.token}},
	)
	_, nothing := f.decide(call{target: "/nothing", token: production})
	for name, c := range map[string]call{
		"with a token": draft, "without a token": {target: "/draft"}, "public route": {target: "/draft/open"},
		"path it does not have": {target: "/draft/x", token: production}, "method it does not have": {method: "DELETE", target: "/draft", token: production},
		"sandbox product in production": {target: "/trial", token: production},
	} {
		t.Run("draft answers like no product, "+name, func(t *testing.T) {
			d, err := f.decide(c)
			got, want := asFault(err), asFault(nothing)
			if got == nil || got.Code != fault.ProductUnknown || got.Message != want.Message || len(got.Allow) > 0 {
				t.Errorf("%+v, want what /nothing gets: %+v", got, want)
			}
			if name != "with a token" {
				return
			}
			t.Run("twin", func(t *testing.T) {
				published := definition("draft")
				published.Visibility = registry.Published
				f.must(f.operator, registry.PutProduct{Definition: published, Source: registry.Managed})
				f.refresh()
				f.wants(t, draft, fault.PermissionMissing) // it is there
				f.must(f.operator, registry.PutProduct{Definition: definition("draft"), Source: registry.Managed})
				f.refresh()
			})
			if d.Match.Product == nil {
				t.Error("the decision does not name the product, which logs need")
			}
		})
	}
}

func TestProductWithoutUpstreamIsUnknownThere(t *testing.T) {
	f := newSQLiteFixture(t)
	production, sandbox, open := call{token: f.token(f.a1)}, call{token: f.token(f.s1)}, call{target: "/p1/open"}
	f.wants(t, production, "")
	d := definition("p1")
	d.Upstreams = map[id.Environment]string{id.Sandbox: "http://sandbox.example"}
	f.must(f.operator, registry.PutProduct{Definition: d, Source: registry.Managed})
	f.refresh()
	f.wants(t, production, fault.ProductUnknown)
	if got, err := f.decide(open); err != nil || got.Environment != id.Sandbox {
		t.Errorf("public route: environment %q, %v", got.Environment, err)
	}
	t.Run("twin", func(t *testing.T) { f.wants(t, sandbox, "") })

	d.Upstreams = nil
	f.must(f.operator, registry.PutProduct{Definition: d, Source: registry.Managed})
	f.refresh()
	for _, c := range []call{production, sandbox, open} {
		f.wants(t, c, fault.ProductUnknown)
	}
	f.must(f.operator, registry.PutProduct{Definition: definition("p1"), Source: registry.Managed})
	f.refresh()
	t.Run("back/twin", func(t *testing.T) { f.wants(t, production, "") })
}

func TestRouteIsWhatTheLiveDefinitionSays(t *testing.T) {
	f := newSQLiteFixture(t)
	closing := call{target: "/p1/open"}
	f.wants(t, closing, "")
	d := definition("p1")
	for i, r := range d.Routes {
		if r.Public {
			d.Routes[i].Public, d.Routes[i].Permissions = false, [][]string{{"p1.write"}}
		}
	}
	f.must(f.operator, registry.PutProduct{Definition: d, Source: registry.Managed})
	f.refresh()
	f.wants(t, closing, fault.TokenMissing)
	t.Run("twin", func(t *testing.T) { f.wants(t, call{target: closing.target, token: f.token(f.a2)}, "") })
}
