package e2e

import (
	"net/http"
	"net/url"
	"regexp"
	"testing"
)

// document is what the product of these pages begins with.
const document = `openapi: 3.1.0
info: {title: Billing, version: "1"}
components:
  securitySchemes:
    oauth:
      type: oauth2
      flows: {clientCredentials: {tokenUrl: /, scopes: {"invoices:read": "Read invoices.", "invoices:write": "Write invoices and send them to whom they concern."}}}
paths:
  /invoices:
    get: {security: [{oauth: ["invoices:read"]}]}
    post: {security: [{oauth: ["invoices:write", "invoices:read"]}]}
  /invoices/{id}:
    get: {security: [{oauth: ["invoices:read"]}]}
  /status:
    get: {security: []}
`

// catalogueFixtures are the pages about API products, the customers' and the
// operator's, with one that the operator made and customers have to ask for.
func (p *product) catalogueFixtures(t *testing.T) map[string][]fixture {
	v, products := p.signedIn(t, grace), "/operator/products"
	form := url.Values{
		"key": {"billing"}, "name": {"Billing and dunning"}, "description": {"Invoices, reminders and what was paid of them."}, "prefix": {"/billing/v1"}, "visibility": {"published"},
		"sandbox_access": {"open"}, "production_access": {"granted"}, "sandbox_upstream": {"http://127.0.0.1:1"}, "production_upstream": {"http://127.0.0.1:1"}, "document": {document},
	}
	if response := v.do("POST", products+"/new", form.Encode()); response.StatusCode != http.StatusSeeOther {
		t.Fatalf("a product is not added: status %d", response.StatusCode)
	}
	billing := products + "/billing"
	v.do("POST", billing+"/permissions", url.Values{"key": {"billing.spare"}, "description": {"Spare."}, "assignable": {"operator"}}.Encode())
	v.do("POST", billing+"/organisations", url.Values{"organisation": {p.Organisation}, "environment": {"sandbox"}}.Encode())
	asks := p.signedIn(t, ada)
	production := "/a/" + p.ProductionAccount + "/products"
	asks.do("POST", production+"/billing/request", url.Values{"note": {"We send invoices from May on."}}.Encode())
	asks.find(production+"/billing", regexp.MustCompile(`(Withdraw request)`))
	route := billing + "/routes/edit?" + url.Values{"method": {"POST"}, "path": {"/invoices"}}.Encode()
	withdraw := billing + "/organisations/" + p.Organisation + "/sandbox/withdraw"
	return map[string][]fixture{
		"/a/{account}/products": {
			{path: "/a/" + p.Account + "/products", status: 200, heading: "Products", who: ada},
			{path: production + "?q=nothing", status: 200, heading: "Products", who: ada},
			{path: production, status: 200, heading: "Products", who: ada},
		},
		"/a/{account}/products/{product}": {
			{path: "/a/" + p.Account + "/products/auth", status: 200, heading: "Authentication", primary: "Use in a client", who: ada},
			{path: production + "/management", status: 200, heading: "Management", primary: "Use in a client", who: ada},
			{path: production + "/billing", status: 200, heading: "Billing and dunning", who: ada},
			{path: "/a/" + p.Account + "/products/nothing", status: 404, heading: "Page not found", who: ada},
		},
		products: {
			{path: products, status: 200, heading: "Products", primary: "Add product", who: grace},
			{path: products + "?q=nothing", status: 200, heading: "Products", primary: "Add product", who: grace},
		},
		products + "/new": {{path: products + "/new", status: 200, heading: "Add product", primary: "Add product", who: grace}},
		products + "/{product}": {
			{path: billing, status: 200, heading: "Billing and dunning", primary: "Save settings", who: grace},
			{path: products + "/echo", status: 200, heading: "Echo", who: grace},
			{path: products + "/management", status: 200, heading: "Management", who: grace},
		},
		products + "/{product}/delete":                                              {{path: billing + "/delete", status: 200, heading: "Delete Billing and dunning", primary: "Delete Billing and dunning", who: grace}},
		products + "/{product}/permissions":                                         {{path: billing + "/permissions", status: 200, heading: "Billing and dunning", title: "Permissions", primary: "Add permission", who: grace}},
		products + "/{product}/permissions/{permission}":                            {{path: billing + "/permissions/billing.spare", status: 200, heading: "Permission billing.spare", primary: "Save permission", who: grace}},
		products + "/{product}/routes":                                              {{path: billing + "/routes", status: 200, heading: "Billing and dunning", title: "Routes", primary: "Add route", who: grace}, {path: billing + "/routes?method=POST&path=/billing/v1/invoices", status: 200, heading: "Billing and dunning", title: "Routes", who: grace}, {path: billing + "/routes?method=PUT&path=/billing/v1/invoices", status: 200, heading: "Billing and dunning", title: "Routes", who: grace}},
		products + "/{product}/routes/edit":                                         {{path: billing + "/routes/edit", status: 200, heading: "Add route", primary: "Save route", who: grace}, {path: route, status: 200, heading: "Change route", primary: "Save route", who: grace}},
		products + "/{product}/import":                                              {{path: billing + "/import", status: 200, heading: "Import OpenAPI document", primary: "Show the difference", who: grace}},
		products + "/{product}/versions":                                            {{path: billing + "/versions", status: 200, heading: "Billing and dunning", title: "Versions", who: grace}},
		products + "/{product}/versions/{version}":                                  {{path: billing + "/versions/1", status: 200, heading: "Version 1", primary: "Go back to version 1", who: grace}},
		products + "/{product}/organisations":                                       {{path: billing + "/organisations?q=sample", status: 200, heading: "Billing and dunning", title: "Organisations", who: grace}},
		products + "/{product}/organisations/{organisation}/{environment}/withdraw": {{path: withdraw, status: 200, heading: "Withdraw product", primary: "Withdraw from Sample organisation", who: grace}},
		"/operator/requests":                                                        {{path: "/operator/requests", status: 200, heading: "Requests", primary: "Approve and make the change", who: grace}},
	}
}
