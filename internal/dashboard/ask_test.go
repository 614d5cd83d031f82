package dashboard_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// wish is what a viewer asks for: on which page, by which button, and whether
// it has come true.
type wish struct {
	name         string
	page, button string
	post         string // "": the page's own address
	form         []string
	says         []string // among the requests
	done         func(t *testing.T, s *site) bool
}

func wishes() []wish {
	client := "/a/{account}/clients/{client}"
	return []wish{
		{"settings", client + "/settings", "Ask to save settings", "", []string{"name", "billing", "lifetime", "60", "note", "In Oslo."},
			[]string{"Update client billing", "Removed: 10 minutes", "Added: 1 minute", "Added: In Oslo."},
			func(t *testing.T, s *site) bool {
				c := s.clientNow(t)
				return c.TokenLifetime == time.Minute && c.Note == "In Oslo."
			}},
		{"disabling a client", client + "/disable", "Ask to disable client", client + "/state", nil, []string{"Disable client billing"},
			func(t *testing.T, s *site) bool { return s.clientNow(t).State == registry.Disabled }},
		{"deleting a client", client + "/delete", "Ask to delete client", "", nil, []string{"Delete client billing"},
			func(t *testing.T, s *site) bool { return s.clientNow(t).ID == "" }},
		{"permissions", client + "/permissions/review?add=auth.sessions.read&remove=echo.call", "Ask to apply changes", client + "/permissions", nil,
			[]string{"Add permissions billing", "Added: auth.sessions.read", "Removed: echo.call"},
			func(t *testing.T, s *site) bool { return slices.Equal(s.held(t), []string{"auth.sessions.read"}) }},
		{"disabling a secret", client + "/secrets/{secret}/disable", "Ask to disable secret", client + "/secrets/{secret}/state", nil, []string{"Disable secret ci"},
			func(t *testing.T, s *site) bool { return s.secretNow(t) == registry.SecretDisabled }},
		{"revoking a secret", client + "/secrets/{secret}/revoke", "Ask to revoke secret", "", nil, []string{"Revoke secret ci"},
			func(t *testing.T, s *site) bool { return s.secretNow(t) == registry.SecretRevoked }},
		{"a client", "/a/{account}/clients/new", "Ask to create client", "", []string{"name", "shipping", "product", "auth", "template", "read"},
			[]string{"Create client", "Added: shipping", "Add permissions", "Added: auth.sessions.read"},
			func(t *testing.T, s *site) bool {
				list, err := s.registry.Clients(t.Context(), s.system, registry.ClientFilter{Text: "shipping"}, registry.Page{})
				must(t, err)
				return len(list.Items) == 1 && slices.Equal(list.Items[0].Permissions, []string{"auth.sessions.read"})
			}},
		{"an account", "/o/{organisation}/accounts/new", "Ask to create account", "", []string{"name", "Second", "environment", "sandbox"}, []string{"Create account", "Added: Second"},
			func(t *testing.T, s *site) bool { return s.accountsNamed(t, "Second") == 1 }},
		{"the name of an account", "/a/{account}/settings", "Ask to save name", "", []string{"name", "Playground"}, []string{"Rename account Try-out", "Added: Playground"},
			func(t *testing.T, s *site) bool { return s.accountsNamed(t, "Playground") == 1 }},
		{"the name of the organisation", "/o/{organisation}/settings", "Ask to save name", "", []string{"name", "Engines"}, []string{"Rename organisation Analytical Engines", "Added: Engines"},
			func(t *testing.T, s *site) bool {
				o, err := s.registry.Organisation(t.Context(), s.system)
				must(t, err)
				return o.Name == "Engines"
			}},
		{"roles", "/o/{organisation}/team/{person}", "Ask to change roles", "", []string{"role", "auditor", "new_role", "developer", "new_account", "{account}"},
			[]string{"Change roles Viewer", "Removed: Viewer", "Added: Auditor", "Added: Developer on Try-out"},
			func(t *testing.T, s *site) bool {
				m, err := s.registry.Member(t.Context(), s.system, s.person)
				must(t, err)
				return slices.Equal(m.Roles, []actor.RoleGrant{{Role: actor.Auditor}, {Role: actor.Developer, Account: s.sandbox}})
			}},
		{"removing a person", "/o/{organisation}/team/{developer}/remove", "Ask to remove Developer", "", nil, []string{"Remove member Developer"},
			func(t *testing.T, s *site) bool {
				members, err := s.registry.Members(t.Context(), s.system)
				must(t, err)
				return !slices.ContainsFunc(members, func(m registry.Member) bool { return m.Name == "Developer" })
			}},
	}
}

func (s *site) clientNow(t *testing.T) registry.Client {
	t.Helper()
	list, err := s.registry.Clients(t.Context(), s.system, registry.ClientFilter{Text: string(s.client)}, registry.Page{})
	must(t, err)
	if len(list.Items) == 0 {
		return registry.Client{}
	}
	return list.Items[0].Client
}

func (s *site) secretNow(t *testing.T) registry.SecretState {
	t.Helper()
	one, err := s.registry.Secret(t.Context(), s.system, s.client, s.secret)
	must(t, err)
	return one.State
}

func (s *site) accountsNamed(t *testing.T, name string) int {
	t.Helper()
	list, err := s.registry.Accounts(t.Context(), s.system, registry.AccountFilter{Text: name}, registry.Page{})
	must(t, err)
	return len(list.Items)
}

func (s *site) pending(t *testing.T) []registry.Request {
	t.Helper()
	list, err := s.registry.Requests(t.Context(), s.system, registry.RequestFilter{Pending: true}, registry.Page{})
	must(t, err)
	return list.Items
}

func TestWhatOneMayNotChangeIsAskedForAndMadeByOthers(t *testing.T) {
	for _, w := range wishes() {
		t.Run(w.name, func(t *testing.T) {
			s := newSite(t)
			at := func(pattern string) string {
				return s.at(strings.ReplaceAll(pattern, "{developer}", string(s.personOf(t, emailOf(actor.Developer)))))
			}
			asker, admin := s.as(t, emailOf(actor.Viewer)).proven(), s.as(t, emailOf(actor.OrganisationAdmin)).proven()
			page := asker.get(at(w.page))
			page.wants(t, http.StatusOK, w.button, "You can look at", "Ask ")
			if w.post == "" {
				w.post = w.page
			}
			form := append(formOf(page), "why", "for the <b>audit</b>")
			for _, part := range w.form {
				form = append(form, at(part))
			}
			asker.follow(asker.post(at(w.post), form...)).wants(t, http.StatusOK, append(w.says, "Your request is sent", "Asked by you", "for the <b>audit</b>", "Withdraw request")...)
			if w.done(t, s) {
				t.Fatal("asking made the change")
			}
			requests := s.pending(t)
			if len(requests) != 1 || requests[0].RequestedBy != "person:"+string(s.person) {
				t.Fatalf("requests: %+v", requests)
			}
			approve := at("/o/{organisation}/requests/" + string(requests[0].ID) + "/approve")
			if a := asker.post(approve); a.status != http.StatusForbidden || w.done(t, s) {
				t.Errorf("who asked approves: status %d", a.status)
			}
			admin.follow(admin.post(approve)).wants(t, http.StatusOK, "The change is made")
			if !w.done(t, s) {
				t.Error("approving did not make the change")
			}
		})
	}
}

func TestNothingIsAskedForThatIsThereAlready(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Viewer)).proven()
	for page, form := range map[string][]string{
		"/a/{account}/settings":                  {"name", "Try-out"},
		"/o/{organisation}/settings":             {"name", "Analytical Engines"},
		"/a/{account}/clients/{client}/settings": {"name", "billing", "lifetime", "600"},
		"/o/{organisation}/team/{person}":        {"role", "viewer"},
	} {
		v.post(s.at(page), append(form, "ask", "1")...).wants(t, http.StatusUnprocessableEntity, "Nothing is different here")
	}
	if list := s.pending(t); len(list) != 0 {
		t.Errorf("requests: %+v", list)
	}
}

// Whatever a form says, what reveals a secret, sends a link or ends an
// organisation is not asked for.
func TestSEC01_noFormAsksForASecret(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Viewer)).proven()
	for _, pattern := range []string{
		"/a/{account}/start", "/a/{account}/clients/{client}/secrets/new", "/a/{account}/clients/{client}/secrets/{secret}/rotate",
		"/a/{account}/clients/{client}/env", "/o/{organisation}/team/invite", "/o/{organisation}/delete", "/o/{organisation}/restore",
	} {
		a := v.ask(dashboard.Route{Method: "POST", Pattern: pattern}, func(text string) string { return s.at(text) }, "viewer")
		form := []string{"ask", "1", "name", "Analytical Engines", "overlap", "1h", "secret", s.value, "email", "x@example.com", "role", "viewer", "product", "echo"}
		if b := v.post(s.at(pattern), form...); a.status != http.StatusForbidden || b.status != http.StatusForbidden {
			t.Errorf("%s: status %d, and %d if one asks", pattern, a.status, b.status)
		}
	}
	if list := s.pending(t); len(list) != 0 {
		t.Errorf("requests: %+v", list)
	}
}

func TestADeveloperCreatesAClientWhosePermissionsOthersGive(t *testing.T) {
	s := newSite(t)
	v, manager := s.as(t, emailOf(actor.Developer)), s.as(t, emailOf(actor.AccessManager))
	path := s.at("/a/{account}/clients/new")
	page := v.get(path)
	page.wants(t, http.StatusOK, "The client begins without permissions", "Access manager", "Create client and secret")
	form := append(formOf(page), "name", "shipping", "product", "auth", "template", "read")
	v.post(path, form...).wants(t, http.StatusOK, "Client shipping is created", "Its permissions are asked for")
	requests := s.pending(t)
	if len(requests) != 1 || requests[0].Account != s.sandbox {
		t.Fatalf("requests: %+v", requests)
	}
	v.follow(v.post(path, form...)) // sent twice
	if list := s.pending(t); len(list) != 1 {
		t.Errorf("requests once the form was sent again: %+v", list)
	}
	manager.follow(manager.post(s.at("/o/{organisation}/requests/"+string(requests[0].ID)+"/approve"))).wants(t, http.StatusOK, "The change is made")
	list, err := s.registry.Clients(t.Context(), s.system, registry.ClientFilter{Text: "shipping"}, registry.Page{})
	must(t, err)
	if len(list.Items) != 1 || !slices.Equal(list.Items[0].Permissions, []string{"auth.sessions.read"}) {
		t.Errorf("clients: %+v", list.Items)
	}
	t.Run("twin", func(t *testing.T) {
		v.post(path, "name", "bare", "product", "auth", "template", "none").wants(t, http.StatusOK, "Client bare is created")
		if list := s.pending(t); len(list) != 0 {
			t.Errorf("requests: %+v", list)
		}
	})
}

// A request does not go round what its change asks of who makes it.
func TestApprovingWhatIsFinalInProductionNeedsARecentSignIn(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		account id.Account
		status  int
	}{{s.sandbox, http.StatusSeeOther}, {s.production, http.StatusForbidden}} {
		client, err := s.registry.CreateClient(t.Context(), s.system, registry.NewClient{Account: c.account, Name: "old"})
		must(t, err)
		asker, admin := s.as(t, emailOf(actor.Viewer)).proven(), s.as(t, emailOf(actor.OrganisationAdmin)).proven()
		asker.follow(asker.post("/a/"+string(c.account)+"/clients/"+string(client)+"/delete", "ask", "1")).wants(t, http.StatusOK, "Your request is sent")
		approve := s.at("/o/{organisation}/requests/" + string(s.pending(t)[0].ID) + "/approve")
		s.clock.add(time.Hour)
		if a := admin.post(approve); a.status != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.account, a.status, c.status, a.text())
		}
		s.clock.add(-time.Hour)
		if c.status == http.StatusForbidden {
			admin.follow(admin.post(approve)).wants(t, http.StatusOK, "The change is made")
		}
	}
}
