package e2e

import (
	"testing"

	"github.com/chromedp/cdproto/network"
)

// noPages are addresses that answer with something else than a page.
var noPages = []string{"/{$}"}

// fixtures are the pages and states that are looked at, by the router's pattern.
func (p *product) fixtures(*testing.T) map[string][]fixture {
	return map[string][]fixture{
		"/help":        {{path: "/help", status: 200, heading: "Help"}},
		"/help/errors": {{path: "/help/errors", status: 200, heading: "Error codes"}},
		"/help/api":    {{path: "/help/api", status: 200, heading: "Management API"}},
		"/help/keys":   {{path: "/help/keys", status: 200, heading: "Keys"}},
		"/styleguide": {
			{path: "/styleguide", status: 200, heading: "Style guide", primary: "Create client"},
			{path: "/styleguide?environment=sandbox", status: 200, heading: "Style guide", primary: "Create client"},
			{path: "/styleguide?environment=production", status: 200, heading: "Style guide", primary: "Create client"},
		},
		"/": {{path: "/no/such/page", status: 404, heading: "Page not found", primary: "Go to the start"}},
	}
}

func (p *product) cookiesOf(*testing.T, string) []*network.CookieParam { return nil }
