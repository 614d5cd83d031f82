package e2e

import (
	"net/url"
	"regexp"
	"testing"

	"github.com/chromedp/chromedp"
)

// deedFixtures are pages and states to which something done leads: the page that
// shows a secret, forms that were refused, menus that are open.
func (p *product) deedFixtures(t *testing.T) map[string][]fixture {
	account := "/a/" + p.Account
	secrets := p.otherClient(t) + "/secrets"
	late := chromedp.Tasks{chromedp.Evaluate(`document.querySelector("[name=ends]").min = ""`, nil), chromedp.SetValue(`main [name="ends"]`, "2020-01-01", chromedp.ByQuery)}
	return map[string][]fixture{
		"/a/{account}": {
			{path: account, status: 200, heading: "Sandbox", who: ada, acts: does(press("You: Ada Lovelace"))},
			{path: account, status: 200, heading: "Sandbox", who: ada, acts: does(press("Switch account:"))},
			{path: account, status: 200, heading: "Sandbox", who: ada, acts: does(chromedp.KeyEvent("?"), chromedp.WaitVisible("#keys", chromedp.ByQuery))},
		},
		"/a/{account}/clients/new": {
			{path: account + "/clients/new", status: 409, heading: "Create client", primary: "Create client and secret", who: ada, leads: does(write("name", "Sample client"), press("Create client and secret"))},
		},
		"/a/{account}/clients/{client}/secrets/new": {
			{path: secrets + "/new", status: 200, heading: "Secret ci is added", primary: "Done", who: ada, leads: does(write("name", "ci"), press("Add secret"))},
			{path: secrets + "/new", status: 200, heading: "Secret ci is added", primary: "Done", who: ada,
				leads: does(write("name", "ci"), press("Add secret")), acts: does(press("Copy secret"), press("Without a file"))},
			{path: secrets + "/new", status: 422, heading: "Add secret", primary: "Add secret", who: ada, leads: does(write("name", "ci"), late, press("Add secret"))},
		},
		"/signin": {
			{path: "/signin", status: 401, heading: "Sign in", primary: "Sign in", leads: does(write("email", "nobody@example.com"), write("password", "not the password"), press("Sign in"))},
		},
	}
}

// otherClient is the path of a client that gets secrets while pages are looked
// at: two for each look at the page that shows one.
func (p *product) otherClient(t *testing.T) string {
	t.Helper()
	clients := "/a/" + p.Account + "/clients"
	v := p.signedIn(t, ada)
	v.do("POST", clients+"/new", url.Values{"name": {"nightly import"}, "product": {"auth"}, "permissions": {"none"}}.Encode())
	return clients + "/" + v.find(clients+"?q=nightly", regexp.MustCompile(`/clients/(sandbox-[a-z0-9-]+)">nightly import`))
}
