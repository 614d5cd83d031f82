package dashboard_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/signin"
)

// enrol sets up a second factor and returns its seed and the page of recovery
// codes.
func (v *visitor) enrol() (seed string, codes answer) {
	v.t.Helper()
	page := v.post("/me/security/factor")
	page.wants(v.t, http.StatusOK, "Scan this with your authenticator")
	match := regexp.MustCompile(`id="factor-secret">([A-Z2-7 ]+)<`).FindStringSubmatch(page.body)
	if match == nil {
		v.t.Fatal("the page shows no secret")
	}
	seed = strings.ReplaceAll(match[1], " ", "")
	return seed, v.post("/me/security/factor/confirm", "code", v.s.code(v.t, seed))
}

// code is that of a second factor now.
func (s *site) code(t testing.TB, seed string) string {
	t.Helper()
	code, err := totp.GenerateCode(seed, s.clock.Now())
	must(t, err)
	return code
}

func TestASecondFactorIsSetUpAndAskedFor(t *testing.T) {
	s := newSite(t)
	email := emailOf(actor.OrganisationAdmin)
	v := s.as(t, email)
	audit := s.at("/o/{organisation}/audit")
	v.get(audit).wants(t, http.StatusForbidden, "Second factor needed", "Set up a second factor")
	seed, codes := v.enrol()
	codes.wants(t, http.StatusOK, "Your second factor is set up", "the only time that the codes are shown")
	if codes.header.Get("Cache-Control") != "no-store" || codes.header.Get("Content-Encoding") != "" {
		t.Errorf("the page of the codes is kept, or compressed: %v", codes.header)
	}
	v.get(audit).wants(t, http.StatusOK)
	v.get("/me/security").wants(t, http.StatusOK, "10 recovery codes left")

	s.clock.add(time.Minute)
	other := s.visitor(t)
	a := other.post("/signin", "email", email, "password", password, "next", audit)
	if to := a.header.Get("Location"); to != "/signin/factor?next="+strings.ReplaceAll(audit, "/", "%2F") {
		t.Fatalf("signing in leads to %q", to)
	}
	half := *other.cookies["__Host-session"]
	other.get(audit).wants(t, http.StatusUnauthorized, "Second factor", "You sign in as "+email)
	other.post(s.at("/o/{organisation}/settings"), "name", "Half").wants(t, http.StatusUnauthorized, "Second factor")
	other.post("/signin/factor", "code", "000000", "next", audit).wants(t, http.StatusUnauthorized, "You are not signed in yet", "does not fit")
	other.follow(other.post("/signin/factor", "code", s.code(t, seed), "next", audit)).wants(t, http.StatusOK, "Audit log")
	if other.cookies["__Host-session"].Value == half.Value {
		t.Error("WEB-05: the session is the same after the second factor")
	}
	t.Run("a recovery code", func(t *testing.T) {
		code := regexp.MustCompile(`[a-z0-9]{4}(?:-[a-z0-9]{4}){3}`).FindString(codes.text())
		v := s.visitor(t)
		v.post("/signin", "email", email, "password", password)
		v.follow(v.post("/signin/factor", "code", code, "next", "/me/security")).wants(t, http.StatusOK, "9 recovery codes left")
	})
}

func TestWEB28_aWrongCodeSetsUpNothing(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.OrganisationAdmin))
	page := v.post("/me/security/factor")
	wrong := v.post("/me/security/factor/confirm", "code", "000000")
	wrong.wants(t, http.StatusUnauthorized, "It is not set up yet", "Show a new QR code")
	if match := regexp.MustCompile(`id="factor-secret">`).FindString(wrong.body); match != "" || !strings.Contains(page.body, "factor-secret") {
		t.Error("the secret is shown twice")
	}
	v.get("/me/security").wants(t, http.StatusOK, "None")
	v.post("/me/security/factor/remove").wants(t, http.StatusConflict, "Nothing was changed")
}

func TestPRIV13_whoSignsInAgainGoesOnWithWhatTheyBegan(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.OrganisationAdmin)).proven()
	s.clock.add(signin.RecentTime)
	path := s.at("/o/{organisation}/team/{person}")
	asked := v.post(path, "role", "auditor", "role", "viewer", "base", "1")
	asked.wants(t, http.StatusForbidden, "Sign in once more", "Nothing that you typed is lost")
	form := hiddenFields(asked)
	again := v.post("/signin/again", append(form, "password", "wrong horse battery")...)
	again.wants(t, http.StatusUnauthorized, "That did not fit")
	on := v.post("/signin/again", append(hiddenFields(again), "password", password)...)
	on.wants(t, http.StatusOK, "Go on with what you began", "Nothing has been done yet")
	if !strings.Contains(on.body, `action="`+path+`"`) {
		t.Fatal("the form does not go where it was going")
	}
	v.follow(v.post(path, hiddenFields(on)...)).wants(t, http.StatusOK, "has the role Auditor")
	t.Run("WEB-17 elsewhere", func(t *testing.T) {
		on := v.post("/signin/again", "password", password, "path", "//evil.example", "next", "https://evil.example/", "form", "a=b")
		if to := on.header.Get("Location"); to != "/" {
			t.Errorf("status %d to %q", on.status, to)
		}
	})
	t.Run("a password is not carried along", func(t *testing.T) {
		v.enrol()
		s.clock.add(signin.RecentTime)
		a := v.post("/me/security/password", "old", password, "password", "another horse battery")
		a.wants(t, http.StatusForbidden, "Sign in once more", "Code")
		if strings.Contains(a.body, "horse") {
			t.Error("the password stands on the page")
		}
	})
}

// hiddenFields are those of the last form on a page.
func hiddenFields(a answer) (form []string) {
	_, main, _ := strings.Cut(a.body, `<main id="main"`)
	main, _, _ = strings.Cut(main, "</main>")
	for _, match := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(main, -1) {
		form = append(form, match[1], unescaped(match[2]))
	}
	return form
}

func unescaped(text string) string {
	return strings.NewReplacer("&amp;", "&", "&#34;", `"`).Replace(text)
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	s := newSite(t)
	email := emailOf(actor.Developer)
	v, other, third := s.as(t, email), s.as(t, email), s.as(t, email)
	page := v.get("/me/sessions", "User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")
	page.wants(t, http.StatusOK, "This one", "192.0.2.7", "Sign out everywhere else")
	ends := regexp.MustCompile(`/me/sessions/(s-\w+)/end`).FindAllString(page.body, -1)
	if len(ends) != 2 {
		t.Fatalf("%d other sessions", len(ends))
	}
	v.follow(v.post(ends[0])).wants(t, http.StatusOK, "The session is ended.")
	ended := 0
	for _, o := range []*visitor{other, third} {
		if o.get("/me").status == http.StatusUnauthorized {
			ended++
		}
	}
	if ended != 1 {
		t.Errorf("%d sessions ended, want 1", ended)
	}
	stranger := s.as(t, emailOf(actor.Viewer))
	stranger.post(ends[1]).wants(t, http.StatusNotFound)
	v.follow(v.post("/me/sessions/others")).wants(t, http.StatusOK, "signed out everywhere else")
	for _, o := range []*visitor{other, third} {
		o.get("/me").wants(t, http.StatusUnauthorized)
	}
}

func TestWEB10_aNewPasswordEndsOtherSessions(t *testing.T) {
	s := newSite(t)
	email := s.another(t, actor.RoleGrant{Role: actor.Viewer})
	v, other := s.as(t, email), s.as(t, email)
	v.post("/me/security/password", "old", "wrong horse battery", "password", "another horse battery").wants(t, http.StatusUnauthorized, "Nothing was changed")
	v.post("/me/security/password", "old", password, "password", "short").wants(t, http.StatusUnprocessableEntity, "8 to 128 characters")
	v.follow(v.post("/me/security/password", "old", password, "password", "another horse battery")).wants(t, http.StatusOK, "Your password is changed.")
	other.get("/me").wants(t, http.StatusUnauthorized)
}

func TestProfileAndPreferencesAreKept(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Viewer))
	v.follow(v.post("/me", "name", `<i>"Grace"</i>`)).wants(t, http.StatusOK, "Your name is saved.", "Analytical Engines")
	v.get(s.at("/o/{organisation}/team")).wants(t, http.StatusOK, `<i>"Grace"</i>`)
	page := v.follow(v.post("/me/preferences", "theme", "dark"))
	page.wants(t, http.StatusOK, "Your preferences are saved.")
	if !strings.Contains(page.body, `data-theme="dark"`) || !strings.Contains(page.body, `data-keys="off"`) || strings.Contains(page.body, `name="mails" value="on" checked`) {
		t.Error("the preferences are not in force")
	}
	page = v.follow(v.post("/me/preferences", "theme", "system", "keys", "on", "mails", "on"))
	if strings.Contains(page.body, "data-theme") || strings.Contains(page.body, "data-keys") || !strings.Contains(page.body, `name="mails" value="on" checked`) {
		t.Error("the preferences of before are still in force")
	}
}

func TestWhoDeletesThemselvesIsGone(t *testing.T) {
	s := newSite(t)
	email := s.another(t, actor.RoleGrant{Role: actor.Developer})
	person := s.personOf(t, email)
	v := s.as(t, email)
	v.get("/me/delete").wants(t, http.StatusOK, "This cannot be undone", "Analytical Engines")
	v.post("/me/delete").wants(t, http.StatusUnprocessableEntity, "Type your e-mail address")
	v.post("/me/delete", "email", email).wants(t, http.StatusOK, "You are deleted")
	v.get("/me").wants(t, http.StatusUnauthorized)
	if _, err := s.registry.Person(t.Context(), person); err == nil {
		t.Error("the person is still there")
	}
	admin := s.as(t, emailOf(actor.OrganisationAdmin)).proven()
	admin.get(s.at("/o/{organisation}/audit?actor="+string(person))).wants(t, http.StatusOK, string(person))
	t.Run("but not the last admin", func(t *testing.T) {
		admin.post("/me/delete", "email", emailOf(actor.OrganisationAdmin)).wants(t, http.StatusConflict, "nobody else is Organisation admin")
	})
}
