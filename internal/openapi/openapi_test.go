package openapi_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/openapi"
	"github.com/doorward/doorward/internal/registry"
)

const orders = `
openapi: 3.1.0
info: {title: Orders, version: "1"}
security:
  - oauth: [orders:read]
paths:
  /orders:
    parameters: []
    get: {summary: List, responses: {"200": {description: ok}}}
    post:
      security:
        - oauth: ["orders:read", "orders:write"]
        - oauth: [admin]
          key: []
  /orders/{id}:
    x-internal: true
    get: {x-doorward-account: "path:id"}
    delete: {security: [{oauth: [orders.Delete-All]}]}
  /status:
    get: {security: []}
components:
  securitySchemes:
    key: {type: apiKey, in: header, name: X}
    oauth:
      type: oauth2
      flows:
        clientCredentials:
          tokenUrl: https://api.example.com/auth/open/connect/token
          scopes: {"orders:read": Read orders., "orders:write": Write orders., unused: For later.}
`

func TestScopesBecomePermissionSets(t *testing.T) {
	permissions, routes, err := openapi.Read([]byte(orders), "orders")
	if err != nil {
		t.Fatal(err)
	}
	wantRoutes := []registry.Route{
		{Method: "GET", Path: "/orders", Permissions: [][]string{{"orders.read"}}},
		{Method: "POST", Path: "/orders", Permissions: [][]string{{"orders.read", "orders.write"}, {"orders.admin"}}},
		{Method: "GET", Path: "/orders/{id}", Permissions: [][]string{{"orders.read"}}, Account: "path:id"},
		{Method: "DELETE", Path: "/orders/{id}", Permissions: [][]string{{"orders.delete_all"}}},
		{Method: "GET", Path: "/status", Public: true},
	}
	wantPermissions := []registry.Permission{
		{Key: "orders.admin"}, {Key: "orders.delete_all"}, {Key: "orders.read", Description: "Read orders."},
		{Key: "orders.unused", Description: "For later."}, {Key: "orders.write", Description: "Write orders."},
	}
	if diff := cmp.Diff(wantRoutes, routes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(wantPermissions, permissions); diff != "" {
		t.Error(diff)
	}
}

func TestNothingBecomesPublicByAccident(t *testing.T) {
	for name, c := range map[string]struct{ text, want, twin string }{
		"no security at all": {
			"openapi: 3.0.3\npaths: {/a: {get: {}}}", "says nothing about security", "openapi: 3.0.3\npaths: {/a: {get: {security: []}}}",
		},
		"requirement of nothing": {
			"openapi: 3.0.3\npaths: {/a: {get: {security: [{}]}}}", "without a scope", "openapi: 3.0.3\npaths: {/a: {get: {security: [{o: [x]}]}}}",
		},
		"scheme without a scope": {
			"openapi: 3.0.3\nsecurity: [{bearer: []}]\npaths: {/a: {get: {}}}", "without a scope", "openapi: 3.0.3\nsecurity: [{bearer: [x]}]\npaths: {/a: {get: {}}}",
		},
		"one of two without a scope": {
			"openapi: 3.0.3\npaths: {/a: {get: {security: [{o: [x]}, {k: []}]}}}", "without a scope", "openapi: 3.0.3\npaths: {/a: {get: {security: [{o: [x]}, {k: [y]}]}}}",
		},
		"misspelt method": {
			"openapi: 3.0.3\nsecurity: [{o: [x]}]\npaths: {/a: {gett: {}}}", "gett is not read", "openapi: 3.0.3\nsecurity: [{o: [x]}]\npaths: {/a: {get: {}}}",
		},
		"item elsewhere": {
			"openapi: 3.0.3\nsecurity: [{o: [x]}]\npaths: {/a: {$ref: other.yaml}}", "$ref is not read", "openapi: 3.0.3\nsecurity: [{o: [x]}]\npaths: {/a: {}}",
		},
		"older version": {"swagger: '2.0'\npaths: {}", "no OpenAPI document of version 3", "openapi: 3.0.3\npaths: {}"},
		"no paths":      {"openapi: 3.1.0", "no paths", "openapi: 3.1.0\npaths: {}"},
		"no YAML":       {"openapi: [", "cannot be read", "openapi: 3.1.0\npaths: {}"},
		"security of text": {
			"openapi: 3.0.3\npaths: {/a: {get: {security: none}}}", "cannot be read", "openapi: 3.0.3\npaths: {/a: {get: {security: []}}}",
		},
	} {
		_, _, err := openapi.Read([]byte(c.text), "p")
		if err == nil || !strings.Contains(err.Error(), c.want) || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := openapi.Read([]byte(c.twin), "p"); err != nil {
			t.Errorf("%s: twin: %v", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(orders), "orders")
	f.Add([]byte("openapi: 3.0.3\npaths: {/a: {get: {security: [{o: [x]}]}}}"), "p")
	f.Fuzz(func(t *testing.T, text []byte, product string) {
		_, routes, err := openapi.Read(text, product)
		if err != nil {
			return
		}
		for _, r := range routes {
			if r.Public == (len(r.Permissions) > 0) {
				t.Errorf("%s %s: public %v with %v", r.Method, r.Path, r.Public, r.Permissions)
			}
		}
	})
}
