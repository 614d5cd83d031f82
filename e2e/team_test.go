package e2e

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"testing"
)

// teamFixtures are the pages about people and invitations.
func (p *product) teamFixtures(t *testing.T) map[string][]fixture {
	const ada = "ada"
	team := "/o/" + p.Organisation + "/team"
	v := p.signedIn(t, ada)
	v.do("POST", team+"/invite", url.Values{"email": {"grace.hopper@analytical-engines.example"}, "name": {"Grace Hopper"}, "role": {"developer"}, "account": {p.Account}}.Encode())
	person := team + "/" + v.find(team, regexp.MustCompile(`/team/(p-\w+)"`))
	audit := "/o/" + p.Organisation + "/audit"
	return map[string][]fixture{
		"/o/{organisation}/team": {
			{path: team, status: 200, heading: "Team", primary: "Invite person", who: ada},
			{path: team + "?q=nobody", status: 200, heading: "Team", who: ada},
		},
		"/o/{organisation}/team/invite":          {{path: team + "/invite", status: 200, heading: "Invite person", primary: "Send invitation", who: ada}},
		"/o/{organisation}/team/{person}":        {{path: person, status: 200, heading: "Ada Lovelace", primary: "Change roles", who: ada}},
		"/o/{organisation}/team/{person}/remove": {{path: person + "/remove", status: 200, heading: "Remove Ada Lovelace", who: ada}},
		"/o/{organisation}/audit":                {{path: audit, status: 403, heading: "Second factor needed", who: ada}},
		"/o/{organisation}/audit/{record}":       {{path: audit + "/1", status: 403, heading: "Second factor needed", who: ada}},
		"/o/{organisation}/leave":                {{path: "/o/" + p.Organisation + "/leave", status: 200, heading: "Leave organisation", who: ada}},
		"/invite/{link}":                         {{path: "/invite/i-abcdefghijklmnopqrst.x", status: 404, heading: "This link does not work"}},
	}
}

// find is what an expression's first group matches on a page.
func (s *session) find(path string, what *regexp.Regexp) string {
	s.t.Helper()
	response := s.do(http.MethodGet, path, "")
	page, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	found := what.FindSubmatch(page)
	if found == nil {
		s.t.Fatalf("%s has no %s", path, what)
	}
	return string(found[1])
}
