package e2e

import (
	"regexp"
	"testing"
)

// operatorFixtures are the pages of the operator's area.
func (p *product) operatorFixtures(t *testing.T) map[string][]fixture {
	v := p.signedIn(t, grace)
	mail := v.find("/operator/mail?all=", regexp.MustCompile(`/operator/mail/(m-\w+)">Your second factor`))
	return map[string][]fixture{
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
