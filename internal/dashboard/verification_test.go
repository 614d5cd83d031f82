package dashboard_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/actor"
)

// signedUp signs up and returns the browser and the link that was mailed.
func (s *site) signedUp(t testing.TB, email string) (v *visitor, link string) {
	t.Helper()
	v = s.visitor(t)
	if a := v.post("/signup", "email", email, "password", password, "organisation", "Hopper & Co"); a.status != http.StatusSeeOther {
		t.Fatalf("status %d: %s", a.status, a.text())
	}
	must(t, s.people.Pass(t.Context()))
	return v, s.linkTo(t, email)
}

func TestAnAddressIsVerifiedWhereItSignedUp(t *testing.T) {
	s := newSite(t)
	v, link := s.signedUp(t, "grace@example.com")
	v.get("/me").wants(t, http.StatusOK, "Not verified", "Send the mail again")
	v.get(link, "Sec-Purpose", "prefetch").wants(t, http.StatusOK, "Hopper & Co")
	page := v.get(link)
	page.wants(t, http.StatusOK, "Verify address", "It was not me who signed up")
	if strings.Contains(page.body, `type="password"`) {
		t.Error("the browser that signed up is asked for the password")
	}
	v.follow(v.post(link)).wants(t, http.StatusOK, "Your e-mail address is verified.", "Verified")
	v.get(link).wants(t, http.StatusNotFound, "This link does not work")
	v.post(link).wants(t, http.StatusNotFound)
	v.post("/me/verification").wants(t, http.StatusConflict, "verified already")
}

func TestAnotherBrowserVerifiesWithThePassword(t *testing.T) {
	s := newSite(t)
	_, link := s.signedUp(t, "grace@example.com")
	v := s.visitor(t)
	v.get(link).wants(t, http.StatusOK, "That you chose when you signed up.")
	v.post(link, "password", "wrong horse battery").wants(t, http.StatusUnauthorized, "It is not verified yet")
	v.follow(v.post(link, "password", password)).wants(t, http.StatusOK, "Your e-mail address is verified.")
}

func TestWhoSignsUpAgainTakesItOver(t *testing.T) {
	s := newSite(t)
	email := emailOf(actor.Developer)
	_, link := s.signedUp(t, email)
	v := s.visitor(t)
	v.get(link).wants(t, http.StatusOK, "Somebody verified this address before", "Sign in to take over")
	v.post(link+"/join").wants(t, http.StatusUnauthorized)
	s.as(t, emailOf(actor.Viewer)).post(link+"/join").wants(t, http.StatusForbidden)
	v = s.as(t, email)
	v.get(link).wants(t, http.StatusOK, "Take it over")
	v.follow(v.post(link+"/join")).wants(t, http.StatusOK, "What you signed up for is yours now.", "Hopper & Co", "Analytical Engines")
}

func TestWhatSomebodyElseSignedUpForIsDeleted(t *testing.T) {
	s := newSite(t)
	other, link := s.signedUp(t, "grace@example.com")
	v := s.visitor(t)
	v.post(link+"/discard").wants(t, http.StatusOK, "It is deleted")
	other.get("/me").wants(t, http.StatusUnauthorized)
	v.post(link+"/discard").wants(t, http.StatusNotFound)
}

func TestWEB23_aPasswordIsSetByAMailedLinkOnce(t *testing.T) {
	s := newSite(t)
	email := emailOf(actor.Viewer)
	v := s.visitor(t)
	v.get("/signin").wants(t, http.StatusOK, "Forgot your password?")
	known, unknown := v.post("/recover", "email", email), v.post("/recover", "email", strings.Replace(email, "viewer", "nobody", 1))
	if known.status != http.StatusOK || strings.ReplaceAll(unknown.text(), "nobody", "viewer") != known.text() {
		t.Errorf("WEB-18: %d %q, and for an unknown address %d %q", known.status, known.text(), unknown.status, unknown.text())
	}
	v.post("/recover", "email", "x").wants(t, http.StatusUnprocessableEntity, "No link was sent")
	must(t, s.people.Pass(t.Context()))
	link := s.linkTo(t, email)
	open := s.as(t, email)
	v.get(link).wants(t, http.StatusOK, "Choose a new password", email)
	v.post(link, "password", "short").wants(t, http.StatusUnprocessableEntity, "The password was not set")
	v.post(link, "password", "another horse battery").wants(t, http.StatusOK, "Your password is set")
	open.get("/me").wants(t, http.StatusUnauthorized)
	v.get(link).wants(t, http.StatusNotFound, "This link does not work")
	v.post("/signin", "email", email, "password", password).wants(t, http.StatusUnauthorized)
	if a := v.post("/signin", "email", email, "password", "another horse battery"); a.status != http.StatusSeeOther {
		t.Errorf("status %d", a.status)
	}
}

func TestWEB37_theFirstOperatorIsMadeByTheLinkOfTheConsole(t *testing.T) {
	s := newSite(t)
	token, needed, err := s.people.SetUpLink(t.Context())
	must(t, err)
	if !needed {
		t.Fatal("there is an operator already")
	}
	link, v := "/setup/"+token.Reveal(), s.visitor(t)
	v.get("/setup/wrong").wants(t, http.StatusNotFound, "This link does not work")
	v.get(link).wants(t, http.StatusOK, "Become the operator")
	v.post(link, "email", "op", "name", "Op", "password", password).wants(t, http.StatusUnprocessableEntity, "Nobody was made the operator")
	v.follow(v.post(link, "email", "op@example.com", "name", "Op", "password", password)).wants(t, http.StatusOK, "You are operator admin.")
	v.get(link).wants(t, http.StatusNotFound)
	s.visitor(t).post(link, "email", "two@example.com", "password", password).wants(t, http.StatusNotFound)
}
