package e2e

import (
	"regexp"
	"testing"
)

// operatorFixtures are the pages of the operator's area.
func (p *product) operatorFixtures(t *testing.T) map[string][]fixture {
	v := p.signedIn(t, grace)
	mail := v.find("/operator/mail?all=", regexp.MustCompile(`/operator/mail/(m-\w+)">Your second factor`))
	key := v.find("/operator/keys", regexp.MustCompile(`/operator/keys/(production-signing-key-[^/]+)/withdraw`))
	organisations := "/operator/organisations"
	customer := organisations + "/" + p.Organisation
	v.do("POST", customer+"/products/give", "product=echo&environment=sandbox")
	v.do("POST", "/operator/staff/invite", "email=katherine.johnson@example.com&role=operator_support")
	staff := "/operator/staff/" + v.find("/operator/staff", regexp.MustCompile(`/staff/(p-\w+)"`))
	record := v.find("/operator/audit", regexp.MustCompile(`/audit/(\d+)"`))
	return map[string][]fixture{
		"/operator/audit": {
			{path: "/operator/audit", status: 200, heading: "Audit log", primary: "Export CSV", who: grace},
			{path: "/operator/audit?action=key&actor=nobody", status: 200, heading: "Audit log", who: grace},
		},
		"/operator/audit/{record}":        {{path: "/operator/audit/" + record, status: 200, heading: "Record " + record, who: grace}},
		"/operator/staff":                 {{path: "/operator/staff", status: 200, heading: "Staff", primary: "Invite person", who: grace}},
		"/operator/staff/invite":          {{path: "/operator/staff/invite", status: 200, heading: "Invite person", primary: "Send invitation", who: grace}},
		"/operator/staff/{person}":        {{path: staff, status: 200, heading: "Grace Hopper", primary: "Change roles", who: grace}},
		"/operator/staff/{person}/remove": {{path: staff + "/remove", status: 200, heading: "Remove Grace Hopper", who: grace}},
		"/operator/keys":                  {{path: "/operator/keys", status: 200, heading: "Signing keys", who: grace}},
		"/operator/keys/{purpose}/rotate": {{path: "/operator/keys/production/rotate", status: 200, heading: "Rotate keys: Production", primary: "Rotate now", who: grace}},
		"/operator/keys/{key}/withdraw":   {{path: "/operator/keys/" + key + "/withdraw", status: 200, heading: "Withdraw signing key", primary: "Withdraw key", who: grace}},
		"/operator/organisations": {
			{path: organisations, status: 200, heading: "Organisations", primary: "Create organisation", who: grace},
			{path: organisations + "?q=nothing&state=suspended", status: 200, heading: "Organisations", who: grace},
		},
		"/operator/organisations/new":                                       {{path: organisations + "/new", status: 200, heading: "Create organisation", primary: "Create organisation", who: grace}},
		"/operator/organisations/{organisation}":                            {{path: customer, status: 200, heading: "Sample organisation", who: grace}},
		"/operator/organisations/{organisation}/suspend":                    {{path: customer + "/suspend", status: 200, heading: "Suspend Sample organisation", primary: "Suspend organisation", who: grace}},
		"/operator/organisations/{organisation}/accounts/{account}/suspend": {{path: customer + "/accounts/" + p.ProductionAccount + "/suspend", status: 200, heading: "Suspend account Production", primary: "Suspend account", who: grace}},
		"/operator/organisations/{organisation}/products/withdraw":          {{path: customer + "/products/withdraw?product=echo&environment=sandbox", status: 200, heading: "Withdraw Echo", primary: "Withdraw product", who: grace}},
		"/operator": {
			{path: "/operator", status: 200, heading: "Operator home", who: grace},
			{path: "/operator", status: 404, heading: "Page not found", primary: "Go to the start", who: ada},
		},
		"/operator/mail": {
			{path: "/operator/mail?all=", status: 200, heading: "Outbox", who: grace},
			{path: "/operator/mail", status: 200, heading: "Outbox", who: grace},
		},
		"/operator/mail/{mail}": {{path: "/operator/mail/" + mail, status: 200, heading: "Your second factor was set up", who: grace}},
	}
}
