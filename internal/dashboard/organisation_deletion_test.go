package dashboard_test

import (
	"net/http"
	"testing"

	"github.com/doorward/doorward/internal/actor"
)

func TestAnOrganisationIsDeletedAndRestored(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.OrganisationAdmin)).proven()
	path := s.at("/o/{organisation}/delete")
	v.get(s.at("/o/{organisation}/settings")).wants(t, http.StatusOK, "Delete organisation")
	v.post(path, "name", "analytical engines").wants(t, http.StatusUnprocessableEntity, "was not deleted", "Type the name of the organisation")
	v.follow(v.post(path, "name", "Analytical Engines")).wants(t, http.StatusOK, "has stopped", "is being deleted", "Restore Analytical Engines")
	v.post(path, "name", "Analytical Engines").wants(t, http.StatusConflict, "is being deleted already")
	v.get(s.at("/o/{organisation}")).wants(t, http.StatusOK, "being deleted", "Restore it")
	v.follow(v.post(s.at("/o/{organisation}/restore"))).wants(t, http.StatusOK, "Analytical Engines is restored.")
	v.get(path).wants(t, http.StatusOK, "Keep Analytical Engines")
}
