package e2e

import (
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
)

// Who looks at pages: the sample person, the same before they give their second
// factor, the one who works for the operator, and a viewer of the organisation.
const (
	ada   = "ada"
	half  = "half"
	grace = "grace"
	mary  = "mary"
)

const maryEmail = "mary@analytical-engines.example"

// noPages are addresses that answer with something else than a page.
var noPages = []string{"/start", "/a/{account}/clients/{client}/live/events", "/{$}", "/o/{organisation}/audit/export", "/operator/audit/export", "/a/{account}/clients/{client}/postman"}

// fixtures are the pages and states that are looked at, by the router's pattern.
func (p *product) fixtures(t *testing.T) map[string][]fixture {
	organisation, account := "/o/"+p.Organisation, "/a/"+p.Account
	clients := account + "/clients"
	client := clients + "/" + p.Client
	secret := client + "/secrets/" + strings.Split(p.ClientSecret, "_")[2]
	all := map[string][]fixture{
		"/signin": {
			{path: "/signin", status: 200, heading: "Sign in", primary: "Sign in"},
			{path: account, status: 401, heading: "Sign in", primary: "Sign in"},
		},
		"/signup": {{path: "/signup", status: 200, heading: "Create account", primary: "Create account"}},
		"/o/{organisation}": {
			{path: organisation, status: 200, heading: "Sample organisation", who: ada},
		},
		"/o/{organisation}/accounts/new": {
			{path: organisation + "/accounts/new", status: 200, heading: "Create account", primary: "Create account", who: ada},
			{path: organisation + "/accounts/new", status: 200, heading: "Create account", who: mary},
		},
		"/o/{organisation}/requests": {
			{path: organisation + "/requests", status: 200, heading: "Requests", primary: "Approve and make the change", who: ada},
			{path: organisation + "/requests", status: 200, heading: "Requests", who: mary},
			{path: organisation + "/requests?all=1", status: 200, heading: "Requests", who: ada},
		},
		"/o/{organisation}/roles":    {{path: organisation + "/roles", status: 200, heading: "Roles", who: ada}},
		"/o/{organisation}/settings": {{path: organisation + "/settings", status: 200, heading: "Settings", who: ada}, {path: organisation + "/settings", status: 200, heading: "Settings", who: mary}},
		"/a/{account}/settings": {
			{path: account + "/settings", status: 200, heading: "Settings", primary: "Save name", who: ada},
			{path: "/a/" + p.ProductionAccount + "/settings", status: 200, heading: "Settings", who: ada},
		},
		"/a/{account}/delete": {
			{path: account + "/delete", status: 200, heading: "Delete account", primary: "Show the clients", who: ada},
			{path: "/a/" + p.ProductionAccount + "/delete", status: 200, heading: "Delete account", who: ada},
		},
		"/a/{account}": {
			{path: account, status: 200, heading: "Sandbox", primary: "Create client", who: ada},
			{path: "/a/" + p.ProductionAccount, status: 200, heading: "Production", who: ada},
		},
		"/a/{account}/start":                 {{path: account + "/start", status: 200, heading: "First steps", primary: "Create client and secret", who: ada}},
		"/a/{account}/clients/{client}/live": {{path: client + "/live", status: 200, heading: "First call", who: ada}},
		"/a/{account}/clients": {
			{path: clients, status: 200, heading: "Clients", primary: "Create client", who: ada},
			{path: clients, status: 200, heading: "Clients", who: mary},
			{path: clients + "?q=nothing&product=echo&state=disabled&ending=14", status: 200, heading: "Clients", primary: "Create client", who: ada},
		},
		"/a/{account}/clients/new": {{path: clients + "/new", status: 200, heading: "Create client", primary: "Create client and secret", who: ada}, {path: clients + "/new", status: 200, heading: "Create client", who: mary}},
		"/a/{account}/clients/{client}": {
			{path: client, status: 200, heading: "Sample client", who: ada},
			{path: client + "?lang=dotnet", status: 200, heading: "Sample client", who: ada},
			{path: clients + "/prod-round-apple-123", status: 404, heading: "Page not found", primary: "Go to clients", who: ada},
		},
		"/a/{account}/clients/{client}/disable":     {{path: client + "/disable", status: 200, heading: "Disable client Sample client", primary: "Disable client", who: ada}},
		"/a/{account}/clients/{client}/delete":      {{path: client + "/delete", status: 200, heading: "Delete client Sample client", primary: "Delete client", who: ada}, {path: client + "/delete", status: 200, heading: "Delete client Sample client", who: mary}},
		"/a/{account}/clients/{client}/permissions": {{path: client + "/permissions", status: 200, heading: "Sample client", title: "Permissions", primary: "Review changes", who: ada}},
		"/a/{account}/clients/{client}/permissions/review": {
			{path: client + "/permissions/review?add=echo.call&remove=auth.sessions.read", status: 200, heading: "Review changes", primary: "Apply changes", who: ada},
			{path: client + "/permissions/review?ticks=1&permission=echo.call&was=auth.sessions.read&base=1", status: 409, heading: "Review changes", primary: "Apply changes", who: ada},
		},
		"/a/{account}/clients/{client}/settings":                 {{path: client + "/settings", status: 200, heading: "Sample client", title: "Settings", primary: "Save settings", who: ada}, {path: client + "/settings", status: 200, heading: "Sample client", title: "Settings", who: mary}},
		"/a/{account}/clients/{client}/secrets":                  {{path: client + "/secrets", status: 200, heading: "Sample client", title: "Secrets", primary: "Add secret", who: ada}, {path: client + "/secrets", status: 200, heading: "Sample client", title: "Secrets", who: mary}},
		"/a/{account}/clients/{client}/secrets/new":              {{path: client + "/secrets/new", status: 200, heading: "Add secret", primary: "Add secret", who: ada}},
		"/a/{account}/clients/{client}/secrets/{secret}/rotate":  {{path: secret + "/rotate", status: 200, heading: "Rotate secret doorward dev", primary: "Rotate secret", who: ada}},
		"/a/{account}/clients/{client}/secrets/{secret}/disable": {{path: secret + "/disable", status: 200, heading: "Disable secret doorward dev", primary: "Disable secret", who: ada}},
		"/a/{account}/clients/{client}/secrets/{secret}/revoke":  {{path: secret + "/revoke", status: 200, heading: "Revoke secret doorward dev", primary: "Revoke secret", who: ada}},
		"/search": {
			{path: "/search?at=" + account, status: 200, heading: "Search", who: ada},
			{path: "/search?q=sa&at=" + account, status: 200, heading: "Search", who: ada},
			{path: "/search?q=nothing", status: 200, heading: "Search", who: mary},
		},
		"/help":        {{path: "/help", status: 200, heading: "Help"}, {path: "/help", status: 200, heading: "Help", who: ada}},
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
	maps.Copy(all, p.teamFixtures(t))
	maps.Copy(all, p.linkFixtures(t))
	for pattern, list := range p.deedFixtures(t) {
		all[pattern] = append(all[pattern], list...)
	}
	maps.Copy(all, p.operatorFixtures(t))
	maps.Copy(all, p.catalogueFixtures(t))
	p.ask(t, client, organisation)
	return all
}

// ask has the viewer ask for changes of a client and of an account.
func (p *product) ask(t *testing.T, client, organisation string) {
	t.Helper()
	for path, form := range map[string]url.Values{
		client + "/settings":           {"name": {"Sample client"}, "lifetime": {"60"}, "note": {"Runs in Oslo."}, "networks": {"192.0.2.0/24"}, "why": {"The audit asks for it."}},
		organisation + "/accounts/new": {"name": {"Second try"}, "environment": {"sandbox"}},
	} {
		form.Set("ask", "1")
		if response := p.signedIn(t, mary).do("POST", path, form.Encode()); response.StatusCode != 303 {
			t.Fatalf("asking by %s: status %d", path, response.StatusCode)
		}
		p.signedIn(t, mary).do("GET", organisation+"/requests", "") // which says so, once
	}
}

// cookiesOf are those of a browser in which somebody is signed in.
func (p *product) cookiesOf(t *testing.T, who string) []*network.CookieParam {
	t.Helper()
	if who == "" {
		return nil
	}
	return p.signedIn(t, who).jar()
}

// jar are the cookies of the session, for a browser.
func (s *session) jar() (cookies []*network.CookieParam) {
	for name, value := range s.cookies {
		cookies = append(cookies, &network.CookieParam{Name: name, Value: value, URL: s.base})
	}
	return cookies
}

// signedIn is the session of somebody, begun once.
func (p *product) signedIn(t *testing.T, who string) *session {
	t.Helper()
	if s, ok := p.sessions[who]; ok {
		return s
	}
	if who == half {
		p.signedIn(t, ada)
	}
	s := &session{t: t, base: p.DashboardURL}
	form := url.Values{"email": {p.Email}, "password": {p.Password}}
	if who == grace {
		form = url.Values{"email": {p.OperatorEmail}, "password": {p.OperatorPassword}}
	}
	if who == mary {
		p.addViewer(t)
		form.Set("email", maryEmail)
	}
	if response := s.do("POST", "/signin", form.Encode()); response.StatusCode != 303 {
		t.Fatalf("sign in: status %d", response.StatusCode)
	}
	if who == half { // for minutes only, so each time anew
		return s
	}
	s.enrol()
	if p.sessions == nil {
		p.sessions = map[string]*session{}
	}
	p.sessions[who] = s
	return s
}
