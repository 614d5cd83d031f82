package dashboard_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/usage"
)

func (s *site) held(t *testing.T) []string {
	t.Helper()
	held, err := s.registry.Permissions(t.Context(), s.system, s.client)
	must(t, err)
	return held
}

func TestPermissionsAreTickedReviewedAndApplied(t *testing.T) {
	s := newSite(t)
	s.usage.Record(usage.Attempt{Kind: usage.Call, At: s.clock.Now(), Client: s.client, Organisation: s.organisation, Allowed: true, Status: 200, Permissions: []string{"echo.call"}})
	must(t, s.usage.Flush(t.Context()))
	v := s.as(t, emailOf(actor.AccessManager))
	path := s.at("/a/{account}/clients/{client}/permissions")
	list := v.get(path)
	list.wants(t, http.StatusOK, "Read authentication sessions and their results.", "GET /auth/rest/sessions/{id}", "1 of 1 held", "the operator assigns it", "last used just now")
	ticks := url.Values{"ticks": {"1"}, "was": {hiddenOf(list, "was")}, "base": {hiddenOf(list, "base")}, "permission": {"auth.sessions.read", "auth.sessions.create"}}
	review := v.get(path + "/review?" + ticks.Encode())
	review.wants(t, http.StatusOK, "Read authentication sessions", "These routes open POST /auth/rest/sessions GET /auth/rest/sessions/{id}", "These routes close", "ANY /echo/{path...}", "echo.call was used just now")
	if got := s.held(t); !slices.Equal(got, []string{"echo.call"}) {
		t.Fatalf("looking changed something: %v", got)
	}
	done := v.follow(v.post(path, formOf(review)...))
	done.wants(t, http.StatusOK, "2 added, 1 removed", "Undo")
	if got := s.held(t); !slices.Equal(got, []string{"auth.sessions.create", "auth.sessions.read"}) {
		t.Errorf("held: %v", got)
	}
	v.follow(v.post(path, "remove", "auth.sessions.create", "remove", "auth.sessions.read", "add", "echo.call"))
	if got := s.held(t); !slices.Equal(got, []string{"echo.call"}) {
		t.Errorf("after undoing: %v", got)
	}
}

// formOf are the hidden fields of the page's main part.
func formOf(a answer) (form []string) {
	_, main, _ := strings.Cut(a.body, "<main")
	main, _, _ = strings.Cut(main, "</main>")
	for rest := main; ; {
		_, after, ok := strings.Cut(rest, `<input type="hidden" name="`)
		if !ok {
			return form
		}
		name, after, _ := strings.Cut(after, `" value="`)
		value, after, _ := strings.Cut(after, `"`)
		form, rest = append(form, name, value), after
	}
}

func TestTwoEditorsOfPermissionsSeeEachOthersChange(t *testing.T) {
	s := newSite(t)
	one, two := s.as(t, emailOf(actor.AccessManager)), s.as(t, emailOf(actor.OrganisationAdmin))
	path := s.at("/a/{account}/clients/{client}/permissions")
	ticks := func(v *visitor, permissions ...string) string {
		list := v.get(path)
		return path + "/review?" + url.Values{"ticks": {"1"}, "was": {hiddenOf(list, "was")}, "base": {hiddenOf(list, "base")}, "permission": permissions}.Encode()
	}
	early := ticks(two, "echo.call", "auth.sessions.read")
	reviewed := two.get(early)
	one.follow(one.post(path, formOf(one.get(ticks(one, "auth.sessions.create")))...))

	conflict := two.post(path, formOf(reviewed)...)
	conflict.wants(t, http.StatusConflict, "Somebody changed these permissions", "Their change, in force", "auth.sessions.create", "Removed: Call every method and path.", "Your change", "auth.sessions.read")
	if got := s.held(t); !slices.Equal(got, []string{"auth.sessions.create"}) {
		t.Fatalf("the first change is lost: %v", got)
	}
	two.get(early).wants(t, http.StatusConflict, "Somebody changed these permissions") // and who reviews only now
	two.follow(two.post(path, formOf(conflict)...)).wants(t, http.StatusOK, "1 added")
	if got := s.held(t); !slices.Equal(got, []string{"auth.sessions.create", "auth.sessions.read"}) {
		t.Errorf("held in the end: %v", got)
	}
}

func TestWhoMayNotChangePermissionsAsksForThem(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Developer))
	path := s.at("/a/{account}/clients/{client}/permissions")
	v.get(path).wants(t, http.StatusOK, "not change them", "Ask ")
	review := v.get(path + "/review?add=auth.sessions.read")
	review.wants(t, http.StatusOK, "Ask to apply changes")
	v.follow(v.post(path, append(formOf(review), "why", "for the report")...)).wants(t, http.StatusOK, "Your request is sent")
	list, err := s.registry.Requests(t.Context(), s.system, registry.RequestFilter{}, registry.Page{})
	must(t, err)
	if len(list.Items) != 1 || list.Items[0].Note != "for the report" || len(list.Items[0].Edits) != 1 {
		t.Errorf("requests: %+v", list.Items)
	}
	if got := s.held(t); !slices.Equal(got, []string{"echo.call"}) {
		t.Errorf("held: %v", got)
	}
}

func TestAPermissionThatCannotBeGivenSaysWhy(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.AccessManager))
	path := s.at("/a/{account}/clients/{client}/permissions")
	v.post(path, "add", "auth.sessions.nonsense").wants(t, http.StatusUnprocessableEntity, "Nothing was changed", "no permission")
	v.post(path, "add", "auth.sessions.purge").wants(t, http.StatusForbidden, "assigned by the operator only")
	v.get(path+"/review?add=echo.call").wants(t, http.StatusOK, "There is nothing to change")
	t.Run("twin", func(t *testing.T) {
		v.follow(v.post(path, "add", "auth.sessions.read")).wants(t, http.StatusOK, "1 added")
	})
}

func TestAPermissionOfAProductThatIsGoneCanBeTakenAway(t *testing.T) {
	s := newSite(t)
	must(t, s.registry.PutProducts(t.Context(), actor.NewSystem("test"), registry.Declared, products()[0]))
	v := s.as(t, emailOf(actor.AccessManager))
	path := s.at("/a/{account}/clients/{client}/permissions")
	v.get(path).wants(t, http.StatusOK, "No longer offered here", "echo.call")
	v.follow(v.post(path, "remove", "echo.call")).wants(t, http.StatusOK, "1 removed")
}

func TestClientSettingsAreSavedAndChecked(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Developer))
	path := s.at("/a/{account}/clients/{client}/settings")
	page := v.get(path)
	page.wants(t, http.StatusOK, "about 6 token requests an hour", "accept those it has for up to 10 minutes", "Disable client", "Delete client")
	members, err := s.registry.Members(t.Context(), s.system)
	must(t, err)
	contact := members[0].Person
	form := func(changed ...string) []string {
		fields := map[string]string{"base": hiddenOf(page, "base"), "name": "billing", "lifetime": "60", "contact": string(contact), "note": "In Oslo.\r\nAsk Ada.", "networks": "192.0.2.0/24\r\n2001:db8::1"}
		for i := 0; i < len(changed); i += 2 {
			fields[changed[i]] = changed[i+1]
		}
		var list []string
		for name, value := range fields {
			list = append(list, name, value)
		}
		return list
	}
	for name, c := range map[string]struct{ field, value, says string }{
		"lifetime":      {"lifetime", "0", "1 to 3600"},
		"a long one":    {"lifetime", "3601", "1 to 3600"},
		"network":       {"networks", "192.0.2.1/24", "no network"},
		"nonsense":      {"networks", "home", "no network"},
		"name":          {"name", "", "client's name"},
		"not a member":  {"contact", "p-99999999999999999999", "member"},
		"note too long": {"note", strings.Repeat("x", 5000), "note"},
	} {
		t.Run(name, func(t *testing.T) {
			a := v.post(path, form(c.field, c.value)...)
			a.wants(t, http.StatusUnprocessableEntity, "Nothing was changed", c.says)
			if !strings.Contains(a.body, `href="#f-`+c.field+`"`) {
				t.Errorf("the summary does not lead to %s: %s", c.field, a.text())
			}
		})
	}
	v.follow(v.post(path, form()...)).wants(t, http.StatusOK, "are saved")
	client, err := s.registry.Client(t.Context(), s.system, s.client)
	must(t, err)
	if client.TokenLifetime.Seconds() != 60 || client.Contact != contact || client.Note != "In Oslo.\nAsk Ada." || len(client.Networks) != 2 {
		t.Errorf("saved: %+v", client)
	}
	v.get(s.at("/a/{account}/clients/{client}")).wants(t, http.StatusOK, "192.0.2.0/24", "2001:db8::1/128", "1 minute", "In Oslo.")

	late := v.post(path, form("name", "accounting", "lifetime", "90")...)
	late.wants(t, http.StatusConflict, "Somebody saved other settings", "Name is “billing” now.", "Lifetime is “60” now.")
	v.follow(v.post(path, form("base", hiddenOf(late, "base"), "name", "accounting")...)).wants(t, http.StatusOK, "accounting")
}
