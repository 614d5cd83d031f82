package dashboard_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// put makes a product as the operator has it.
func (s *site) put(t testing.TB, d registry.Definition) {
	t.Helper()
	must(t, s.registry.Apply(t.Context(), actor.NewSystem("test"), registry.PutProduct{Definition: d, Source: registry.Managed}))
}

func TestTheCatalogueSaysWhatEachProductIsToTheAccount(t *testing.T) {
	s := newSite(t)
	early, draft := products()[1], products()[1]
	early.Key, early.Name, early.Prefix, early.Visibility, early.Permissions, early.Routes = "early", "Early <b>bird</b>", "/early", registry.SandboxOnly, nil, nil
	draft.Key, draft.Name, draft.Prefix, draft.Visibility, draft.Permissions, draft.Routes = "draft", "Unfinished", "/draft", registry.Draft, nil, nil
	s.put(t, early)
	s.put(t, draft)
	v := s.as(t, emailOf(actor.Developer)).proven()
	page := v.get(s.at("/a/{account}/products"))
	page.wants(t, http.StatusOK, "Authentication /auth/rest Available Use in a client", "Sealing /seal On request", "Early <b>bird</b> /early Available")
	if strings.Contains(page.body, "Unfinished") || strings.Contains(page.body, "<b>bird") {
		t.Error("the page shows a draft, or markup of a name")
	}
	production := "/a/" + string(s.production) + "/products"
	v.get(production).wants(t, http.StatusOK, "/early Not in production")
	v.get(production+"/early").wants(t, http.StatusOK, "It is not offered in production yet")
	v.get(s.at("/a/{account}/products?q=SEAL")).wants(t, http.StatusOK, "Sealing", "text: SEAL")
	v.get(s.at("/a/{account}/products?q=nothing")).wants(t, http.StatusOK, "No product fits this filter")
	for _, key := range []string{"draft", "nothing", "%00"} {
		v.get(s.at("/a/{account}/products/"+key)).wants(t, http.StatusNotFound)
	}
	viewer := s.as(t, emailOf(actor.Viewer)).get(s.at("/a/{account}/products"))
	if strings.Contains(viewer.text(), "Use in a client") {
		t.Error("a viewer is offered to make a client")
	}
}

func TestAProductPageShowsItsPermissionsRoutesAndUsers(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Developer))
	v.get(s.at("/a/{account}/products/auth")).wants(t, http.StatusOK,
		"https://api.example/auth/rest", "Read authentication sessions and their results. auth.sessions.read your organisation GET /auth/rest/sessions/{id}",
		"auth.sessions.purge the operator", "No client of this account holds a permission of it")
	v.get(s.at("/a/{account}/products/echo")).wants(t, http.StatusOK, "billing", string(s.client), "As the client billing:", "https://api.example/echo/hello")
	v.get(s.at("/a/{account}/products/seal")).wants(t, http.StatusOK, "Open to everybody, without a token GET /seal/certificates")
	v.get(s.at("/a/{account}/clients/new?product=auth")).wants(t, http.StatusOK)
}

func TestAccessToAProductIsRequestedAndWithdrawn(t *testing.T) {
	s := newSite(t)
	path := "/a/" + string(s.production) + "/products/seal"
	asker, other := s.as(t, emailOf(actor.Developer)).proven(), s.as(t, emailOf(actor.Viewer)).proven()
	page := asker.get(path)
	page.wants(t, http.StatusOK, "Your organisation does not have this product in production", "Request access")
	asker.follow(asker.post(path+"/request", "note", "for <b>contracts</b>")).wants(t, http.StatusOK,
		"The operator is asked for Sealing", "Access is requested", "You asked", "for <b>contracts</b>", "Withdraw request", "Access requested PRODUCTION")
	asker.follow(asker.post(path+"/request")).wants(t, http.StatusOK, "already: the request waits")
	other.get(path).wants(t, http.StatusOK, "Developer asked to use this product")
	if strings.Contains(other.get(path).body, "/decline") {
		t.Error("somebody else can withdraw it")
	}
	asker.get("/a/"+string(s.production)+"/products").wants(t, http.StatusOK, "Sealing /seal Access requested")
	asker.get(s.at("/a/{account}/products/seal")).wants(t, http.StatusOK, "does not have this product in sandbox")

	requests, err := s.registry.Requests(t.Context(), actor.NewSystem("test"), registry.RequestFilter{}, registry.Page{})
	must(t, err)
	if len(requests.Items) != 1 {
		t.Fatalf("%d requests wait for the operator, want 1", len(requests.Items))
	}
	decline := s.at("/o/{organisation}/requests/") + string(requests.Items[0].ID) + "/decline"
	asker.follow(asker.post(decline, "back", path)).wants(t, http.StatusOK, "Your request is withdrawn", "Request access")
	if a := asker.post(path + "/request"); a.status != http.StatusSeeOther {
		t.Errorf("asked anew: status %d", a.status)
	}
}

func TestARequestForAProductIsDecidedByTheOperator(t *testing.T) {
	s := newSite(t)
	path := s.at("/a/{account}/products/seal")
	asker := s.as(t, emailOf(actor.Developer))
	operator := s.operator(t)
	ask := func() id.Request {
		if a := asker.post(path + "/request"); a.status != http.StatusSeeOther {
			t.Fatalf("status %d: %s", a.status, a.text())
		}
		list, err := s.registry.Requests(t.Context(), actor.NewSystem("test"), registry.RequestFilter{}, registry.Page{})
		must(t, err)
		return list.Items[0].ID
	}
	must(t, s.registry.Apply(t.Context(), operator.In(s.organisation), registry.DeclineRequest{Request: ask(), Reason: "sign the terms first"}))
	asker.get(path).wants(t, http.StatusOK, "The operator declined the last request", "sign the terms first", "Request access")
	asker.get(s.at("/o/{organisation}/requests?all=1")).wants(t, http.StatusOK, "Grant product seal", "Declined by the operator")
	must(t, s.registry.Apply(t.Context(), operator.In(s.organisation), registry.ApproveRequest{Request: ask()}))
	asker.get(path).wants(t, http.StatusOK, "Available SANDBOX", "Use in a client")
	if a := asker.post(path + "/request"); a.status != http.StatusConflict {
		t.Errorf("asked for what one has: status %d", a.status)
	}
}

// operator is an operator admin.
func (s *site) operator(t testing.TB) actor.Actor {
	t.Helper()
	email := s.random() + "@operator.example"
	s.addPerson(t, actor.NewSystem("test"), email, "Olivia Operator", actor.RoleGrant{Role: actor.OperatorAdmin})
	return actor.NewPerson(s.personOf(t, email), "", "s", actor.RoleGrant{Role: actor.OperatorAdmin}).Proven(actor.Proof{SecondFactor: true, Recent: true, Verified: true})
}
