package dashboard_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/actor"
)

func TestARenamedPlaceCanHaveItsNameBack(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.OrganisationAdmin)).proven()
	for pattern, before := range map[string]string{"/o/{organisation}/settings": "Analytical Engines", "/a/{account}/settings": "Try-out"} {
		t.Run(pattern, func(t *testing.T) {
			path := s.at(pattern)
			page := v.follow(v.post(path, "name", "<b>Söhne</b> & Co", "base", "1"))
			page.wants(t, http.StatusOK, "is called <b>Söhne</b> & Co now.", "Undo")
			if !strings.Contains(page.body, `<input type="hidden" name="name" value="`+before+`">`) {
				t.Error("there is no way back")
			}
			v.follow(v.post(path, "name", before)).wants(t, http.StatusOK, "is called "+before+" now.")
		})
	}
}

func TestWhoRenamesWhatSomebodyElseRenamedSeesBothNames(t *testing.T) {
	s := newSite(t)
	v, path := s.as(t, emailOf(actor.OrganisationAdmin)).proven(), s.at("/a/{account}/settings")
	v.post(path, "name", "First", "base", "1")
	a := v.post(path, "name", "Second", "base", "1")
	a.wants(t, http.StatusConflict, "changed meanwhile", "is called “First” now")
	if !strings.Contains(a.body, `value="Second"`) || !strings.Contains(a.body, `name="base" value="2"`) {
		t.Error("the form forgot what was typed, or cannot be sent again")
	}
	t.Run("twin", func(t *testing.T) {
		if a := v.post(path, "name", "Second", "base", "2"); a.status != http.StatusSeeOther {
			t.Errorf("status %d", a.status)
		}
	})
}

func TestAnAccountIsDeletedWhenNothingIsLeftInIt(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.OrganisationAdmin)).proven()
	v.get(s.at("/a/{account}/settings")).wants(t, http.StatusOK, "Delete account")
	v.get(s.at("/a/{account}/delete")).wants(t, http.StatusOK, "has API clients", "Show the clients")
	v.post(s.at("/a/{account}/delete")).wants(t, http.StatusConflict, "was not deleted", "The account has API clients")

	made := v.post(s.at("/o/{organisation}/accounts/new"), "name", "Empty", "environment", "sandbox")
	path := made.header.Get("Location")
	v.get(path+"/delete").wants(t, http.StatusOK, "Delete Empty", "It cannot be restored.")
	v.post(path+"/delete", "base", "99").wants(t, http.StatusConflict)
	v.follow(v.post(path+"/delete", "base", "1")).wants(t, http.StatusOK, "The account Empty is deleted.")
	v.get(path).wants(t, http.StatusNotFound)
}
