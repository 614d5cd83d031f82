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
	adaID := v.find("/o/"+p.Organisation+"/team", regexp.MustCompile(`/team/(p-\w+)">Ada`))
	record := v.find("/operator/audit", regexp.MustCompile(`/audit/(\d+)"`))
	v.do("POST", "/operator/clients/new", "name=provisioning&product=management&template=read")
	clients := "/operator/clients"
	client := clients + "/" + v.find(clients, regexp.MustCompile(`/clients/(op-[a-z0-9-]+)"`))
	v.do("POST", client+"/secrets/new", "name=ci")
	secret := client + "/secrets/" + v.find(client+"/secrets", regexp.MustCompile(`/secrets/([a-z0-9]+)/rotate"`))
	return map[string][]fixture{
		"/operator/clients": {
			{path: clients, status: 200, heading: "Clients", primary: "Create client", who: grace},
			{path: clients + "?q=nothing", status: 200, heading: "Clients", primary: "Create client", who: grace},
		},
		"/operator/clients/new":                               {{path: clients + "/new", status: 200, heading: "Create client", primary: "Create client", who: grace}},
		"/operator/clients/{client}":                          {{path: client, status: 200, heading: "provisioning", who: grace}},
		"/operator/clients/{client}/disable":                  {{path: client + "/disable", status: 200, heading: "Disable client provisioning", primary: "Disable client", who: grace}},
		"/operator/clients/{client}/delete":                   {{path: client + "/delete", status: 200, heading: "Delete client provisioning", primary: "Delete client", who: grace}},
		"/operator/clients/{client}/permissions":              {{path: client + "/permissions", status: 200, heading: "provisioning", title: "Permissions", primary: "Review changes", who: grace}},
		"/operator/clients/{client}/permissions/review":       {{path: client + "/permissions/review?add=echo.call", status: 200, heading: "Review changes", primary: "Apply changes", who: grace}},
		"/operator/clients/{client}/settings":                 {{path: client + "/settings", status: 200, heading: "provisioning", title: "Settings", primary: "Save settings", who: grace}},
		"/operator/clients/{client}/secrets":                  {{path: client + "/secrets", status: 200, heading: "provisioning", title: "Secrets", primary: "Add secret", who: grace}},
		"/operator/clients/{client}/secrets/new":              {{path: client + "/secrets/new", status: 200, heading: "Add secret", primary: "Add secret", who: grace}},
		"/operator/clients/{client}/secrets/{secret}/rotate":  {{path: secret + "/rotate", status: 200, heading: "Rotate secret ci", primary: "Rotate secret", who: grace}},
		"/operator/clients/{client}/secrets/{secret}/disable": {{path: secret + "/disable", status: 200, heading: "Disable secret ci", primary: "Disable secret", who: grace}},
		"/operator/clients/{client}/secrets/{secret}/revoke":  {{path: secret + "/revoke", status: 200, heading: "Revoke secret ci", primary: "Revoke secret", who: grace}},
		"/operator/audit": {
			{path: "/operator/audit", status: 200, heading: "Audit log", primary: "Export CSV", who: grace},
			{path: "/operator/audit?action=key&actor=nobody", status: 200, heading: "Audit log", who: grace},
		},
		"/operator/audit/{record}":         {{path: "/operator/audit/" + record, status: 200, heading: "Record " + record, who: grace}},
		"/operator/people/{person}/factor": {{path: "/operator/people/" + adaID + "/factor", status: 200, heading: "Take away second factor of Ada Lovelace", primary: "Take away second factor", who: grace}},
		"/operator/staff":                  {{path: "/operator/staff", status: 200, heading: "Staff", primary: "Invite person", who: grace}},
		"/operator/staff/invite":           {{path: "/operator/staff/invite", status: 200, heading: "Invite person", primary: "Send invitation", who: grace}},
		"/operator/staff/{person}":         {{path: staff, status: 200, heading: "Grace Hopper", primary: "Change roles", who: grace}},
		"/operator/staff/{person}/remove":  {{path: staff + "/remove", status: 200, heading: "Remove Grace Hopper", who: grace}},
		"/operator/keys":                   {{path: "/operator/keys", status: 200, heading: "Signing keys", who: grace}},
		"/operator/keys/{purpose}/rotate":  {{path: "/operator/keys/production/rotate", status: 200, heading: "Rotate keys: Production", primary: "Rotate now", who: grace}},
		"/operator/keys/{key}/withdraw":    {{path: "/operator/keys/" + key + "/withdraw", status: 200, heading: "Withdraw signing key", primary: "Withdraw key", who: grace}},
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
