package dashboard_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// requested is a request of a developer for a permission of a client.
func (s *site) requested(t testing.TB, client id.Client) id.Request {
	t.Helper()
	by := actor.NewPerson(s.personOf(t, emailOf(actor.Developer)), s.organisation, "s", actor.RoleGrant{Role: actor.Developer}).Proven(actor.Proof{SecondFactor: true, Recent: true, Verified: true})
	request, err := s.registry.RequestChange(t.Context(), by, "for the <b>report</b>", registry.AddPermissions{Client: client, Permissions: []string{"auth.sessions.read"}})
	must(t, err)
	return request
}

func TestARequestIsApproved(t *testing.T) {
	s := newSite(t)
	request := s.requested(t, s.client)
	path := s.at("/o/{organisation}/requests")
	asker, manager := s.as(t, emailOf(actor.Developer)), s.as(t, emailOf(actor.AccessManager)).proven()
	asker.get(path).wants(t, http.StatusOK, "Asked by you", "Withdraw request", "auth.sessions.read")
	page := manager.get(path)
	page.wants(t, http.StatusOK, "Asked by Developer", "for the <b>report</b>", "Add permissions", string(s.client), "auth.sessions.read", "Approve")
	if strings.Contains(page.body, "<b>report") {
		t.Error("a note is markup")
	}
	if a := asker.post(path + "/" + string(request) + "/approve"); a.status != http.StatusForbidden {
		t.Errorf("who asked approves: status %d", a.status)
	}
	manager.follow(manager.post(path+"/"+string(request)+"/approve")).wants(t, http.StatusOK, "The change is made", "Nothing waits")
	if got := s.held(t); !slices.Contains(got, "auth.sessions.read") {
		t.Errorf("held: %v", got)
	}
	manager.get(path+"?all=1").wants(t, http.StatusOK, "Approved", "by Access manager")
	if a := manager.post(path + "/" + string(request) + "/approve"); a.status != http.StatusConflict {
		t.Errorf("approved again: status %d", a.status)
	}
}

func TestARequestIsDeclinedOrWithdrawn(t *testing.T) {
	s := newSite(t)
	path := s.at("/o/{organisation}/requests")
	asker, manager := s.as(t, emailOf(actor.Developer)), s.as(t, emailOf(actor.AccessManager)).proven()
	manager.follow(manager.post(path+"/"+string(s.requested(t, s.client))+"/decline", "reason", "ask in May")).wants(t, http.StatusOK, "is declined")
	asker.get(path+"?all=1").wants(t, http.StatusOK, "Declined", "ask in May")
	asker.follow(asker.post(path+"/"+string(s.requested(t, s.client))+"/decline")).wants(t, http.StatusOK, "Your request is withdrawn")
	if got := s.held(t); !slices.Equal(got, []string{"echo.call"}) {
		t.Errorf("held: %v", got)
	}
}
