package dashboard_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard"
	"github.com/doorward/doorward/internal/registry"
)

// pages says what each role finds at each address: P the page with its primary
// action, A the page on which they can ask others for it, - the page with neither,
// F 403, D the form is carried out, C it has to be confirmed. The columns are organisation admin, account admin (of the sandbox), access manager,
// developer, auditor, viewer.
const pages = `
GET  /o/{organisation}               P - - - - -
GET  /o/{organisation}/accounts/new  P - A A A A
POST /o/{organisation}/accounts/new  D F F F F F
GET  /o/{organisation}/audit          P F F F P F
GET  /o/{organisation}/audit/export   - F F F - F
GET  /o/{organisation}/audit/{record} - F F F - F
GET  /o/{organisation}/roles         - - - - - -
GET  /o/{organisation}/requests                   P P P - - -
POST /o/{organisation}/requests/{request}/approve D D D F F F
POST /o/{organisation}/requests/{request}/decline D D D D F F
GET  /o/{organisation}/settings      P - A A A A
POST /o/{organisation}/settings      D F F F F F
GET  /o/{organisation}/delete        P - - - - -
POST /o/{organisation}/delete        C F F F F F
POST /o/{organisation}/restore       D F F F F F
GET  /a/{account}                    P P - P - -
GET  /a/{account}/start              P P - P - -
POST /a/{account}/start              D D F D F F
GET  /a/{account}/products                      - - - - - -
GET  /a/{account}/products/{product}            P P - P - -
POST /a/{account}/products/{product}/request    D D D D D D
GET  /a/{account}/settings           P P A A A A
POST /a/{account}/settings           D D F F F F
GET  /a/{account}/delete             P P - - - -
POST /a/{account}/delete             C C F F F F
`

// clientPages are those of API clients.
const clientPages = `
GET  /a/{account}/clients                                    P P - P - -
GET  /a/{account}/clients/new                                P P A P A A
POST /a/{account}/clients/new                                D D F D F F
GET  /a/{account}/clients/{client}                           - - - - - -
POST /a/{account}/clients/{client}/state                     D D F D F F
GET  /a/{account}/clients/{client}/postman                   - - - - - -
GET  /a/{account}/clients/{client}/disable                   P P A P A A
GET  /a/{account}/clients/{client}/delete                    P P A P A A
POST /a/{account}/clients/{client}/delete                    D D F D F F
GET  /a/{account}/clients/{client}/secrets                   P P - P - -
GET  /a/{account}/clients/{client}/secrets/new               P P - P - -
POST /a/{account}/clients/{client}/secrets/new               D D F D F F
GET  /a/{account}/clients/{client}/live                      - - - - - -
GET  /a/{account}/clients/{client}/live/events               - - - - - -
GET  /a/{account}/clients/{client}/permissions               P P P P P P
POST /a/{account}/clients/{client}/permissions               D D D F F F
GET  /a/{account}/clients/{client}/permissions/review        - - - - - -
GET  /a/{account}/clients/{client}/settings                  P P A P A A
POST /a/{account}/clients/{client}/settings                  D D F D F F
POST /a/{account}/clients/{client}/env                       D D F D F F
GET  /a/{account}/clients/{client}/secrets/{secret}/rotate   P P - P - -
POST /a/{account}/clients/{client}/secrets/{secret}/rotate   D D F D F F
POST /a/{account}/clients/{client}/secrets/{secret}/state    D D F D F F
GET  /a/{account}/clients/{client}/secrets/{secret}/disable  P P A P A A
GET  /a/{account}/clients/{client}/secrets/{secret}/revoke   P P A P A A
POST /a/{account}/clients/{client}/secrets/{secret}/revoke   D D F D F F
`

// forms are what is sent to each address; # stands for the role.
var forms = map[string][]string{
	"/operator/clients/new":                              {"name", "Client of #", "product", "echo", "template", "all"},
	"/operator/clients/{client}/state":                   {"state", "disabled"},
	"/operator/clients/{client}/delete":                  {"name", "{name}"},
	"/operator/clients/{client}/permissions":             {"add", "echo.call"},
	"/operator/clients/{client}/settings":                {"name", "Changed by #", "lifetime", "60"},
	"/operator/clients/{client}/secrets/new":             {"name", "second"},
	"/operator/clients/{client}/env":                     {"secret", "{value}"},
	"/operator/clients/{client}/secrets/{secret}/rotate": {"name", "second", "overlap", "1h"},
	"/operator/clients/{client}/secrets/{secret}/state":  {"state", "disabled"},
	"/operator/clients/{client}/secrets/{secret}/revoke": {"name", "{name}"},

	"/operator/staff/invite":   {"email", "by.#@operator.example", "role", "operator_auditor"},
	"/operator/staff/{person}": {"role", "operator_support"},

	"/operator/organisations/new":                                     {"name", "Organisation of #"},
	"/operator/organisations/{organisation}/state":                    {"state", "active"},
	"/operator/organisations/{organisation}/accounts/{account}/state": {"state", "active"},
	"/operator/organisations/{organisation}/products/give":            {"product", "echo", "environment", "sandbox"},
	"/operator/organisations/{organisation}/products/withdraw":        {"product", "echo", "environment", "sandbox"},

	"/o/{organisation}/accounts/new": {"name", "Account of #", "environment", "sandbox"},
	"/o/{organisation}/settings":     {"name", "Organisation of #"},

	"/o/{organisation}/team/invite":   {"email", "invited.by.#@example.com", "role", "developer", "account", "{account}"},
	"/o/{organisation}/team/{person}": {"role", "viewer", "new_role", "developer", "new_account", "{account}"},

	"/a/{account}/settings": {"name", "Renamed by #"},

	"/operator/requests/{request}/approve":       {"organisation", "{organisation}"},
	"/operator/requests/{request}/decline":       {"organisation", "{organisation}"},
	"/operator/products/new":                     {"key", "by_#", "name", "By #", "prefix", "/by/#", "visibility", "draft"},
	"/operator/products/{product}":               {"name", "Renamed", "prefix", "/{product}", "visibility", "published", "sandbox_access", "open", "production_access", "granted", "sandbox_upstream", "http://127.0.0.1:1"},
	"/operator/products/{product}/test":          {"environment", "sandbox"},
	"/operator/products/{product}/delete":        {"name", "Billing"},
	"/operator/products/{product}/permissions":   {"key", "{product}.more"},
	"/operator/products/{product}/routes/edit":   {"method", "GET", "path", "/more", "permissions", "{product}.read"},
	"/operator/products/{product}/routes/remove": {"was_method", "GET", "was_path", "/invoices"},
	"/operator/products/{product}/import":        {"document", "{openapi: 3.1.0, paths: {/x: {get: {security: []}}}}"},
	"/operator/products/{product}/organisations": {"organisation", "{organisation}", "environment", "production"},

	"/a/{account}/start":                                    {"name", "Start of #", "product", "echo"},
	"/a/{account}/clients/new":                              {"name", "Client of #", "product", "auth", "template", "read"},
	"/a/{account}/clients/{client}/state":                   {"state", "disabled"},
	"/a/{account}/clients/{client}/permissions":             {"add", "echo.call"},
	"/a/{account}/clients/{client}/settings":                {"name", "Changed by #", "lifetime", "60"},
	"/a/{account}/clients/{client}/secrets/new":             {"name", "second"},
	"/a/{account}/clients/{client}/env":                     {"secret", "{value}"},
	"/a/{account}/clients/{client}/secrets/{secret}/rotate": {"name", "second", "overlap", "1h"},
	"/a/{account}/clients/{client}/secrets/{secret}/state":  {"state", "disabled"},
}

// TestPRIV01_eachPageForEachRole also sees to it that other organisations'
// places and strangers are kept apart at every address, which TEN-01 asks for.
func TestPRIV01_eachPageForEachRole(t *testing.T) {
	s := newSite(t)
	rows := map[string][]string{}
	for line := range strings.Lines(strings.TrimSpace(pages + clientPages + teamPages)) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		rows[fields[0]+" "+fields[1]] = fields[2:]
	}
	browsers := map[int]*visitor{}
	for i, role := range roles {
		browsers[i] = s.as(t, emailOf(role)).proven()
	}
	stranger, nobody := s.as(t, "admin@b.example").proven(), s.visitor(t)
	for _, route := range dashboard.Routes() {
		if route.Open || ofOperator(route.Pattern) {
			continue
		}
		t.Run(route.Method+" "+route.Pattern, func(t *testing.T) {
			if !strings.Contains(route.Pattern, "{organisation}") && !strings.Contains(route.Pattern, "{account}") { // for whoever is signed in
				if a := nobody.ask(route, s.at, "nobody"); a.status != http.StatusUnauthorized || a.heading() != "Sign in" {
					t.Errorf("nobody gets status %d", a.status)
				}
				return
			}
			row, ok := rows[route.Method+" "+route.Pattern]
			delete(rows, route.Method+" "+route.Pattern)
			if !ok || len(row) != len(roles) {
				t.Fatal("the table has no full row for this address")
			}
			for i, role := range roles {
				v := browsers[i]
				if strings.HasSuffix(route.Pattern, "/leave") && route.Method == "POST" { // who leaves is gone
					v = s.as(t, s.another(t, actor.RoleGrant{Role: role, Account: accountOf(s, role)})).proven()
				}
				a := v.ask(route, s.fresh(t, route.Pattern), string(role))
				if got := found(route.Method, a); got != row[i] {
					t.Errorf("%s finds %s (status %d, %q), want %s: %s", role.Title(), got, a.status, a.primary(), row[i], a.text())
				}
			}
			if a := nobody.ask(route, s.at, "nobody"); a.status != http.StatusUnauthorized || a.body != "" && a.heading() != "Sign in" {
				t.Errorf("nobody gets status %d", a.status)
			}
			unknown := func(pattern string) string {
				return strings.NewReplacer(string(s.organisation), "o-99999999999999999999", string(s.sandbox), "a-s-99999999999999999999").Replace(s.at(pattern))
			}
			theirs, none := stranger.ask(route, s.at, "stranger"), stranger.ask(route, unknown, "stranger")
			if theirs.status != http.StatusNotFound || none.status != http.StatusNotFound || theirs.text() != none.text() {
				t.Errorf("a stranger gets status %d, %q; for an unknown place %d, %q", theirs.status, theirs.text(), none.status, none.text())
			}
		})
	}
	for row := range rows {
		t.Errorf("the table has %s, which is no address", row)
	}
}

// ask goes to a route, whose places and things at fills in, in the name of who.
func (v *visitor) ask(route dashboard.Route, at func(string) string, who string) answer {
	switch {
	case strings.HasSuffix(route.Pattern, "/events"): // it would not end
		return v.send("HEAD", at(route.Pattern), "")
	case route.Method == "GET":
		return v.get(at(route.Pattern))
	}
	var form []string
	for _, part := range forms[route.Pattern] {
		form = append(form, at(strings.ReplaceAll(part, "#", who)))
	}
	return v.post(at(route.Pattern), form...)
}

// fresh fills in a client of its own with a secret, a viewer or somebody
// invited, so that what one did to them is nothing to the next.
func (s *site) fresh(t *testing.T, pattern string) func(string) string {
	t.Helper()
	switch {
	case strings.Contains(pattern, "{person}"):
		person := s.personOf(t, s.another(t, actor.RoleGrant{Role: actor.Viewer}))
		return func(pattern string) string { return s.at(strings.ReplaceAll(pattern, "{person}", string(person))) }
	case strings.Contains(pattern, "{invitation}"):
		invitation := s.invited(t, s.random()+"@a.example")
		return func(pattern string) string {
			return s.at(strings.ReplaceAll(pattern, "{invitation}", string(invitation)))
		}
	}
	if strings.HasSuffix(pattern, "/products/{product}/request") {
		return func(pattern string) string { return s.at(strings.ReplaceAll(pattern, "{product}", "seal")) }
	}
	key, first, value, err := s.registry.SetUpClient(t.Context(), s.system, registry.Setup{NewClient: registry.NewClient{Account: s.sandbox, Name: "client " + s.random()}, Secret: "ci"})
	must(t, err)
	if strings.Contains(pattern, "{request}") {
		request := s.requested(t, key)
		return func(pattern string) string { return s.at(strings.ReplaceAll(pattern, "{request}", string(request))) }
	}
	return func(pattern string) string {
		return s.at(strings.NewReplacer("{client}", string(key), "{secret}", string(first), "{value}", value.Reveal()).Replace(pattern))
	}
}

func found(method string, a answer) string {
	switch {
	case a.status == http.StatusForbidden && strings.Contains(a.text(), "Ask "):
		return "F"
	case a.status == http.StatusSeeOther || method == "POST" && a.status == http.StatusOK:
		return "D"
	case method == "POST" && (a.status == http.StatusUnprocessableEntity || a.status == http.StatusConflict):
		return "C"
	case a.status != http.StatusOK:
		return "?"
	case len(a.primary()) > 0:
		return "P"
	case strings.Contains(a.body, `name="ask"`):
		return "A"
	}
	return "-"
}

// TestNoLinkLeadsNowhere follows every link of every page that takes no more
// than a place.
func TestNoLinkLeadsNowhere(t *testing.T) {
	s := newOperatorSite(t)
	var queue, operators []string
	for _, route := range dashboard.Routes() {
		switch {
		case route.Method != "GET" || strings.Contains(route.Pattern, "{token}") || strings.HasSuffix(route.Pattern, "/events"):
		case strings.HasSuffix(route.Pattern, "/products/withdraw"): // of a product
		case ofOperator(route.Pattern):
			operators = append(operators, s.freshOperator(t, route.Pattern)(route.Pattern))
		default:
			queue = append(queue, s.at(route.Pattern))
		}
	}
	s.as(t, emailOf(actor.OrganisationAdmin)).proven().follows(append(queue, "/", "/signin", "/signup"))
	s.as(t, emailOf(actor.OperatorAdmin)).proven().follows(append(operators, "/"))
}

// follows goes to all pages to which links lead.
func (v *visitor) follows(queue []string) {
	v.t.Helper()
	seen := map[string]bool{}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] || len(seen) > 400 || strings.HasPrefix(path, "/styleguide") && len(path) > len("/styleguide") {
			continue
		}
		seen[path] = true
		a := v.get(path)
		if a.status == http.StatusSeeOther {
			queue = append(queue, a.header.Get("Location"))
			continue
		}
		if a.status != http.StatusOK {
			v.t.Errorf("a link leads to %s, which has status %d", path, a.status)
		}
		queue = append(queue, links(a.body)...)
	}
}

func links(page string) (paths []string) {
	for rest := page; ; {
		_, after, ok := strings.Cut(rest, `href="`)
		if !ok {
			return paths
		}
		link, _, _ := strings.Cut(after, `"`)
		rest = after
		link, _, _ = strings.Cut(strings.ReplaceAll(link, "&amp;", "&"), "#")
		if strings.HasPrefix(link, "/") && !strings.HasPrefix(link, "/assets/") {
			paths = append(paths, link)
		}
	}
}
