package dashboard_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/signin"
	"github.com/doorward/doorward/internal/sqldb"
)

func TestSigningUpLeadsIntoASandbox(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	v.get("/signup").wants(t, http.StatusOK, "Create account", "8 to 128 characters")
	a := v.post("/signup", "email", "grace@example.com", "password", password, "organisation", "Hopper & Co")
	if to := a.header.Get("Location"); a.status != http.StatusSeeOther || !strings.HasPrefix(to, "/a/a-s-") {
		t.Fatalf("status %d to %q: %s", a.status, to, a.text())
	}
	home := v.follow(a)
	home.wants(t, http.StatusOK, "First steps", "Create client and secret")
	if !strings.Contains(home.body, "Hopper &amp; Co") || !strings.Contains(home.body, `data-environment="sandbox"`) {
		t.Error("the page does not say where it is")
	}
}

func TestSigningUpSaysWhatToMend(t *testing.T) {
	s := newSite(t)
	good := map[string]string{"email": "new@example.com", "password": password, "organisation": "New"}
	for name, c := range map[string]struct{ field, value, says string }{
		"no address":      {"email", "new", "e-mail"},
		"short password":  {"password", "short", "8 to 128 characters"},
		"common password": {"password", "password123", "anybody would try"},
		"no organisation": {"organisation", " ", "organisation's name"},
	} {
		t.Run(name, func(t *testing.T) {
			send := func(field, value string) answer {
				v := s.visitor(t)
				v.address = "198.51.100.1:1"
				var form []string
				for key, text := range good {
					if key == field {
						text = value
					}
					form = append(form, key, text)
				}
				return v.post("/signup", form...)
			}
			a := send(c.field, c.value)
			a.wants(t, http.StatusUnprocessableEntity, "Nothing was created", c.says)
			if !strings.Contains(a.body, `href="#f-`+c.field+`"`) {
				t.Error("the summary does not lead to the field")
			}
			if c.field == "password" && strings.Contains(a.body, `value="`+c.value+`"`) {
				t.Error("the password stands on the page")
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		v := s.visitor(t)
		if a := v.post("/signup", "email", good["email"], "password", good["password"], "organisation", good["organisation"]); a.status != http.StatusSeeOther {
			t.Errorf("status %d: %s", a.status, a.text())
		}
	})
}

func TestSigningInComesBackToThePage(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	path := s.at("/a/{account}")
	asked := v.get(path)
	asked.wants(t, http.StatusUnauthorized, "Sign in")
	if !strings.Contains(asked.body, `name="next" value="`+path+`"`) || asked.header.Get("WWW-Authenticate") == "" {
		t.Error("the form does not lead back")
	}
	email := emailOf(actor.Viewer)
	wrong := v.post("/signin", "email", email, "password", "wrong horse battery", "next", path)
	wrong.wants(t, http.StatusUnauthorized, "You are not signed in", "do not fit")
	if !strings.Contains(wrong.body, `value="`+email+`"`) || !strings.Contains(wrong.body, `name="next" value="`+path+`"`) {
		t.Error("the form forgot what was typed")
	}
	v.follow(v.post("/signin", "email", email, "password", password, "next", path)).wants(t, http.StatusOK, "Try-out")
}

func TestWEB18_anUnknownAddressLooksLikeAWrongPassword(t *testing.T) {
	s := newSite(t)
	known, unknown := s.visitor(t).post("/signin", "email", emailOf(actor.Viewer), "password", "wrong horse battery"), s.visitor(t).post("/signin", "email", "nobody@a.example", "password", "wrong horse battery")
	if known.status != unknown.status || known.text() != unknown.text() {
		t.Errorf("%d %q, and for an unknown address %d %q", known.status, known.text(), unknown.status, unknown.text())
	}
}

func TestWEB05_everySignInHasASessionOfItsOwn(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	v.cookies["__Host-session"] = &http.Cookie{Name: "__Host-session", Value: "planted"} //nolint:gosec // G124: sent by a browser
	v.post("/signin", "email", emailOf(actor.Viewer), "password", password)
	first := *v.cookies["__Host-session"]
	if first.Value == "planted" {
		t.Fatal("a planted session was adopted")
	}
	v.post("/signin", "email", emailOf(actor.Viewer), "password", password)
	if v.cookies["__Host-session"].Value == first.Value {
		t.Error("the session is the same after signing in again")
	}
	old := s.visitor(t)
	old.cookies[first.Name] = &first
	if a := old.get(s.at("/a/{account}")); a.status != http.StatusUnauthorized {
		t.Errorf("the session before still works: status %d", a.status)
	}
}

func TestWEB06_cookiesAreBoundToTheHost(t *testing.T) {
	s := newSite(t)
	a := s.visitor(t).post("/signin", "email", emailOf(actor.Viewer), "password", password)
	cookies := a.header.Values("Set-Cookie")
	if len(cookies) != 2 {
		t.Fatalf("%d cookies", len(cookies))
	}
	for _, c := range cookies {
		if !strings.HasPrefix(c, "__Host-") || !strings.Contains(c, "; Path=/;") || !strings.HasSuffix(c, "; HttpOnly; Secure; SameSite=Lax") {
			t.Errorf("cookie = %q", c)
		}
	}
}

func TestWEB07_aSessionThatWasSignedOutIsOver(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Viewer))
	cookie := v.cookies["__Host-session"]
	before := v.get(s.at("/a/{account}"))
	before.wants(t, http.StatusOK)
	if got := before.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control = %q", got)
	}
	if a := v.post("/signout"); a.status != http.StatusSeeOther || v.cookies["__Host-session"] != nil {
		t.Errorf("status %d, cookie %v", a.status, v.cookies["__Host-session"])
	}
	v.cookies[cookie.Name] = cookie
	v.get(s.at("/a/{account}")).wants(t, http.StatusUnauthorized, "Sign in")
}

func TestWEB09_aSessionEnds(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Viewer))
	s.clock.add(signin.IdleTime)
	v.get(s.at("/a/{account}")).wants(t, http.StatusUnauthorized, "Your session has ended")
	t.Run("twin", func(t *testing.T) {
		v := s.as(t, emailOf(actor.Viewer))
		s.clock.add(signin.IdleTime - time.Second)
		v.get(s.at("/a/{account}")).wants(t, http.StatusOK)
	})
}

func TestTooManyWrongPasswordsSayHowLongToWait(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	var last answer
	for range 11 {
		last = v.post("/signin", "email", emailOf(actor.Viewer), "password", "wrong horse battery")
	}
	last.wants(t, http.StatusTooManyRequests, "Wait 30 s")
	if last.header.Get("Retry-After") != "30" {
		t.Errorf("Retry-After = %q", last.header.Get("Retry-After"))
	}
}

func TestWEB17_signingInLeadsToOurOwnPagesOnly(t *testing.T) {
	s := newSite(t)
	for _, next := range []string{"//evil.example", `/\evil.example`, "https:evil.example", "https://dashboard.example.evil.example/", "/..//evil.example"} {
		a := s.visitor(t).post("/signin", "email", emailOf(actor.Viewer), "password", password, "next", next)
		if to := a.header.Get("Location"); to != "/" {
			t.Errorf("next=%q leads to %q", next, to)
		}
	}
}

func TestTheStartLeadsToTheOnlyAccountOrTheOrganisation(t *testing.T) {
	s := newSite(t)
	if to := s.visitor(t).get("/").header.Get("Location"); to != "/signin" {
		t.Errorf("nobody is led to %q", to)
	}
	if to := s.as(t, "admin@b.example").get("/").header.Get("Location"); to != "/a/"+string(s.elsewhere) {
		t.Errorf("who has one account is led to %q", to)
	}
	if to := s.as(t, emailOf(actor.Viewer)).get("/").header.Get("Location"); to != "/o/"+string(s.organisation) {
		t.Errorf("who has two accounts is led to %q", to)
	}
}

func TestProductionAsksForASecondFactor(t *testing.T) {
	s := newSite(t)
	path := "/a/" + string(s.production)
	v := s.as(t, emailOf(actor.OrganisationAdmin))
	v.get(path).wants(t, http.StatusOK, "production account") // its name may be seen
	v.proven().get(path).wants(t, http.StatusOK)
}

func TestWhatWasDoneIsSaidOnce(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.OrganisationAdmin)).proven()
	done := v.post(s.at("/o/{organisation}/accounts/new"), "name", "Second", "environment", "sandbox")
	if done.status != http.StatusSeeOther {
		t.Fatalf("status %d: %s", done.status, done.text())
	}
	to := done.header.Get("Location")
	planted := v.cookies["__Host-flash"]
	v.get(to, "Sec-Purpose", "prefetch").wants(t, http.StatusOK)
	v.get(to).wants(t, http.StatusOK, "Account Second is created.")
	if text := v.get(to).text(); strings.Contains(text, "is created") {
		t.Error("it is said twice")
	}
	other := s.as(t, emailOf(actor.Viewer))
	other.cookies[planted.Name] = planted
	if text := other.get(to).text(); strings.Contains(text, "is created") {
		t.Error("what one did is said to another")
	}
}

func TestAPasswordAloneDoesNotTellWhoseItIs(t *testing.T) {
	s := newSite(t)
	email := emailOf(actor.Viewer)
	must(t, s.registry.Apply(t.Context(), actor.NewSystem("test").In(s.other), registry.AddMember{Person: s.personOf(t, email), Roles: []actor.RoleGrant{{Role: actor.Viewer}}}))
	v := s.as(t, email)
	must(t, s.db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO factor (person_id, seed, last_step, pending_until) VALUES ($1, $2, 0, 0)`, s.personOf(t, email), []byte("any"))
		return err
	}))
	shows := func() bool { return strings.Contains(v.get("/help").body, email) }
	if shows() {
		t.Error("a page shows the person before the second factor was given")
	}
	t.Run("twin", func(t *testing.T) {
		v.proven()
		if !shows() {
			t.Error("the page does not show who is signed in")
		}
	})
}
