package demo_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/demo"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

func TestEveryRouteOfTheSamplesNeedsADeclaredPermission(t *testing.T) {
	products := append(demo.Definitions("http://127.0.0.1:1", "http://127.0.0.1:2"), demo.Catchall("orders", "/orders", "http://127.0.0.1:3"))
	for _, d := range products {
		t.Run(d.Key, func(t *testing.T) {
			for _, route := range d.Routes {
				if route.Public || len(route.Permissions) == 0 {
					t.Errorf("%s %s needs no permission", route.Method, route.Path)
				}
				for _, set := range route.Permissions {
					for _, key := range set {
						if _, ok := d.Permission(key); !ok {
							t.Errorf("%s %s needs %s, which is not declared", route.Method, route.Path, key)
						}
					}
				}
				if _, err := registry.ParsePattern(route.Path); err != nil {
					t.Error(err)
				}
			}
			if _, err := registry.ParsePrefix(d.Prefix); err != nil {
				t.Error(err)
			}
			if !d.Reaches(id.Sandbox) || !d.Reaches(id.Production) {
				t.Error("not to be reached in both environments")
			}
		})
	}
}

func TestCatchallNeedsOnePermissionForEverything(t *testing.T) {
	const upstream = "http://127.0.0.1:3000"
	want := registry.Definition{
		Key: "orders", Name: "orders", Prefix: "/orders",
		Visibility: registry.Published, SandboxAccess: registry.Open, ProductionAccess: registry.Open,
		Upstreams:   map[id.Environment]string{id.Sandbox: upstream, id.Production: upstream},
		Permissions: []registry.Permission{{Key: "orders.call", Description: "Call every method and path.", Assignable: registry.ByCustomer}},
		Routes:      []registry.Route{{Method: "*", Path: "/{path...}", Permissions: [][]string{{"orders.call"}}}},
	}
	if diff := cmp.Diff(want, demo.Catchall("orders", "/orders", upstream)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
