package e2e

import (
	"net/http"
	"net/url"
	"testing"
)

const newcomer = "emmy.noether@analytical-engines.example"

// linkFixtures are the pages to which mails lead: with a link that works, and
// with one that does not.
func (p *product) linkFixtures(t *testing.T) map[string][]fixture {
	const dead = "This link does not work"
	emmy := p.signUp(t, newcomer, "Noether and daughters")
	p.signedIn(t, ada).do("POST", "/recover", url.Values{"email": {p.Email}}.Encode())
	verify, recover := p.link(newcomer, "Verify your e-mail address"), p.link(p.Email, "Set a new password")
	invite := p.link(invited, "")
	return map[string][]fixture{
		"/verify/{token}": {
			{path: verify, status: 200, heading: "Verify your e-mail address", primary: "Verify address"}, // asks for the password
			{path: verify, status: 200, heading: "Verify your e-mail address", primary: "Verify address", as: emmy},
			{path: "/verify/x", status: 404, heading: dead},
		},
		"/recover": {
			{path: "/recover", status: 200, heading: "Set a new password", primary: "Send link"},
			{path: "/recover", status: 200, heading: "Set a new password", leads: does(write("email", "nobody@example.com"), press("Send link"))},
		},
		"/recover/{token}": {
			{path: recover, status: 200, heading: "Choose a new password", primary: "Set password"},
			{path: recover, status: 422, heading: "Choose a new password", primary: "Set password", leads: does(write("password", "password"), press("Set password"))},
			{path: "/recover/x", status: 404, heading: dead},
		},
		"/invite/{link}": {
			{path: invite, status: 200, heading: "Join Sample organisation", primary: "Join Sample organisation"},
			{path: invite, status: 200, heading: "Join Sample organisation", who: ada},
			{path: "/invite/i-abcdefghijklmnopqrst.x", status: 404, heading: dead},
		},
		"/setup/{token}": {{path: "/setup/x", status: 404, heading: dead}},
	}
}

// signUp is the session of somebody who just signed up.
func (p *product) signUp(t *testing.T, email, organisation string) *session {
	t.Helper()
	s := &session{t: t, base: p.DashboardURL}
	form := url.Values{"email": {email}, "password": {"a phrase of words"}, "organisation": {organisation}}
	if response := s.do("POST", "/signup", form.Encode()); response.StatusCode != http.StatusSeeOther {
		t.Fatalf("sign up: status %d", response.StatusCode)
	}
	return s
}
