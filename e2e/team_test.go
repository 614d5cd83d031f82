package e2e

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// invited is who is invited, and has not come yet.
const invited = "grace.hopper@analytical-engines.example"

// teamFixtures are the pages about people and invitations.
func (p *product) teamFixtures(t *testing.T) map[string][]fixture {
	team := "/o/" + p.Organisation + "/team"
	v := p.signedIn(t, ada)
	v.do("POST", team+"/invite", url.Values{"email": {invited}, "name": {"Grace Hopper"}, "role": {"developer"}, "account": {p.Account}}.Encode())
	person := team + "/" + v.find(team+"?q="+p.Email, regexp.MustCompile(`/team/(p-\w+)"`))
	audit := "/o/" + p.Organisation + "/audit"
	record := v.find(audit+"?action=client.permissions.add", regexp.MustCompile(`/audit/(\d+)"`))
	return map[string][]fixture{
		"/o/{organisation}/team": {
			{path: team, status: 200, heading: "Team", primary: "Invite person", who: ada},
			{path: team + "?q=nobody", status: 200, heading: "Team", who: ada},
		},
		"/o/{organisation}/team/invite":          {{path: team + "/invite", status: 200, heading: "Invite person", primary: "Send invitation", who: ada}},
		"/o/{organisation}/team/{person}":        {{path: person, status: 200, heading: "Ada Lovelace", primary: "Change roles", who: ada}, {path: person, status: 200, heading: "Ada Lovelace", who: mary}},
		"/o/{organisation}/team/{person}/remove": {{path: person + "/remove", status: 200, heading: "Remove Ada Lovelace", who: ada}},
		"/o/{organisation}/audit": {
			{path: audit, status: 200, heading: "Audit log", primary: "Export CSV", who: ada},
			{path: audit + "?actor=nobody&action=secret.add&object=x&from=2026-01-01&until=2026-01-02", status: 200, heading: "Audit log", who: ada},
			{path: audit + "?from=yesterday", status: 422, heading: "Audit log", who: ada},
		},
		"/o/{organisation}/audit/{record}": {{path: audit + "/" + record, status: 200, heading: "Record " + record, who: ada}},
		"/o/{organisation}/delete":         {{path: "/o/" + p.Organisation + "/delete", status: 200, heading: "Delete organisation", primary: "Delete Sample organisation", who: ada}},
		"/o/{organisation}/leave":          {{path: "/o/" + p.Organisation + "/leave", status: 200, heading: "Leave organisation", who: ada}},
		"/me":                              {{path: "/me", status: 200, heading: "Profile", primary: "Save name", who: ada}},
		"/me/security":                     {{path: "/me/security", status: 200, heading: "Security", who: ada}},
		"/me/sessions":                     {{path: "/me/sessions", status: 200, heading: "Sessions", who: ada}},
		"/me/preferences":                  {{path: "/me/preferences", status: 200, heading: "Preferences", primary: "Save preferences", who: ada}},
		"/me/delete":                       {{path: "/me/delete", status: 200, heading: "Delete yourself", primary: "Delete yourself", who: ada}},
		"/signin/again":                    {{path: "/signin/again?next=/me", status: 200, heading: "Sign in once more", primary: "Sign in again", who: ada}},
		"/signin/factor":                   {{path: "/signin/factor", status: 200, heading: "Second factor", primary: "Sign in", who: half}},
	}
}

// find is what an expression's first group matches on a page.
func (s *session) find(path string, what *regexp.Regexp) string {
	s.t.Helper()
	found := what.FindStringSubmatch(s.text(http.MethodGet, path))
	if found == nil {
		s.t.Fatalf("%s has no %s", path, what)
	}
	return found[1]
}

// enrol sets up a second factor, without which nothing in production is reached.
func (s *session) enrol() {
	s.t.Helper()
	page := s.text("POST", "/me/security/factor")
	match := regexp.MustCompile(`id="factor-secret">([A-Z2-7 ]+)<`).FindStringSubmatch(page)
	if match == nil {
		s.t.Fatalf("no second factor is shown: %s", page)
	}
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(match[1], " ", ""))
	if err != nil {
		s.t.Fatal(err)
	}
	response := s.do("POST", "/me/security/factor/confirm", "code="+totp(seed, time.Now()))
	if response.StatusCode != http.StatusOK {
		s.t.Fatalf("the second factor is refused: status %d", response.StatusCode)
	}
}

// totp is a code of RFC 6238.
func totp(seed []byte, at time.Time) string {
	step := at.Unix() / 30
	mac := hmac.New(sha1.New, seed)
	for shift := 56; shift >= 0; shift -= 8 {
		_, _ = mac.Write([]byte{byte(step >> shift)})
	}
	sum := mac.Sum(nil)
	number := 0
	for _, b := range sum[sum[len(sum)-1]&15:][:4] {
		number = number<<8 | int(b)
	}
	return fmt.Sprintf("%06d", number&0x7fffffff%1_000_000)
}

// text is the page that answers.
func (s *session) text(method, path string) string {
	s.t.Helper()
	return s.send(method, path, "")
}

// send is the page that answers a form.
func (s *session) send(method, path, form string) string {
	s.t.Helper()
	page, err := io.ReadAll(s.do(method, path, form).Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(page)
}
