package dashboard_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/usage"
)

var secretText = regexp.MustCompile(secret.Pattern)

// used records a call of the client.
func (s *site) used(t *testing.T, client id.Client) {
	t.Helper()
	s.usage.Record(usage.Attempt{Kind: usage.Call, At: s.clock.Now(), Client: client, Organisation: s.organisation, Allowed: true, Status: 200})
	must(t, s.usage.Flush(t.Context()))
}

func TestClientsAreSearchedAndPaged(t *testing.T) {
	s := newSite(t)
	for i := range 60 {
		_, err := s.registry.CreateClient(t.Context(), s.system, registry.NewClient{Account: s.sandbox, Name: fmt.Sprintf("worker %02d", i)})
		must(t, err)
		s.clock.add(time.Second)
	}
	v := s.as(t, emailOf(actor.Viewer))
	list := s.at("/a/{account}/clients")
	first := v.get(list)
	first.wants(t, http.StatusOK, "61 clients", "worker 59", "Older")
	older := regexp.MustCompile(`rel="next" href="([^"]*)"`).FindStringSubmatch(first.body)
	second := v.get(strings.ReplaceAll(older[1], "&amp;", "&"))
	second.wants(t, http.StatusOK, "worker 09", "billing", "Newest")
	for _, name := range []string{"worker 59", "worker 10"} {
		if strings.Contains(second.text(), name) {
			t.Errorf("%s is on both pages", name)
		}
	}
	v.get(list+"?q=WORKER+07").wants(t, http.StatusOK, "1 client", "worker 07", "name or id: WORKER 07")
	v.get(list+"?product=echo&ending=14").wants(t, http.StatusOK, "1 client", "billing", "product: Echo", "a secret ends soon")
	v.get(s.at("/o/{organisation}")).wants(t, http.StatusOK, "1 client with a secret that ends soon")
	v.get(list+"?state=disabled&q=x").wants(t, http.StatusOK, "No client fits these filters.")
	v.follow(v.get(list+"?after=nonsense&q=x")).wants(t, http.StatusOK, "name or id: x")
	v.get(list+"?state=nonsense").wants(t, http.StatusUnprocessableEntity, "state")
}

func TestAPartOfAListComesAlone(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Viewer))
	a := v.get(s.at("/a/{account}/clients?q=billing"), "X-Fragment", "clients")
	if a.status != http.StatusOK || a.header.Get("X-Fragment") != "clients" || strings.Contains(a.body, "<html") || !strings.Contains(a.body, `id="clients"`) {
		t.Errorf("status %d, %q: %s", a.status, a.header.Get("X-Fragment"), a.body)
	}
}

func TestAClientIsCreatedInOneStep(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.OrganisationAdmin)).proven()
	page := v.get(s.at("/a/{account}/clients/new"))
	page.wants(t, http.StatusOK, "Authentication", "Only read", "shows the client's secret, once")
	form := []string{"once", hiddenOf(page, "once"), "name", "nightly", "product", "auth", "template", "read"}
	a := v.post(s.at("/a/{account}/clients/new"), form...)
	a.wants(t, http.StatusOK, "Client nightly is created", "only time that the secret is shown")
	value := secretText.FindString(a.body)
	if public, environment, ok := s.registry.Mint.Parse(value); !ok || environment != 's' || public == "" {
		t.Errorf("the page shows no secret of ours: %q", value)
	}
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Encoding") != "" {
		t.Errorf("headers: %v", a.header)
	}
	list, err := s.registry.Clients(t.Context(), s.system, registry.ClientFilter{Text: "nightly"}, registry.Page{})
	must(t, err)
	if len(list.Items) != 1 || !slices.Equal(list.Items[0].Permissions, []string{"auth.sessions.read"}) || list.Items[0].Secrets != 1 {
		t.Errorf("created: %+v", list.Items)
	}
	again := v.follow(v.post(s.at("/a/{account}/clients/new"), form...))
	again.wants(t, http.StatusOK, "created already", "shown once")
	if secretText.MatchString(again.body) {
		t.Error("the secret is shown again")
	}
	if n := s.audit(t, "client.create"); n != 2 { // billing, nightly
		t.Errorf("%d clients were created", n)
	}
}

// hiddenOf is the value of a hidden field of a page.
func hiddenOf(a answer, name string) string {
	match := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(a.body)
	if match == nil {
		return ""
	}
	return match[1]
}

func TestInProductionASecretIsAnActOfItsOwn(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.OrganisationAdmin)).proven()
	production := "/a/" + string(s.production)
	a := v.post(production+"/clients/new", "name", "shop", "product", "echo", "template", "all")
	if secretText.MatchString(a.body) {
		t.Error("a secret came along")
	}
	to := a.header.Get("Location")
	v.follow(a).wants(t, http.StatusOK, "shop", "None that works")
	s.clock.add(20 * time.Minute)
	v.post(to+"/secrets/new", "name", "first").wants(t, http.StatusForbidden, "Sign in once more", "give your password again")
	v.post(to+"/delete", "name", "shop").wants(t, http.StatusForbidden, "Sign in once more")
	v = s.as(t, emailOf(actor.OrganisationAdmin)).proven()
	v.post(to+"/secrets/new", "name", "first").wants(t, http.StatusOK, "Secret first is added")
	v.post(to+"/delete", "name", "shopp").wants(t, http.StatusUnprocessableEntity, "Type the name of the client")
	v.follow(v.post(to+"/delete", "name", "shop")).wants(t, http.StatusOK, "Client shop is deleted.")
}

func TestADeveloperCreatesAClientWithoutPermissions(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Developer))
	v.get(s.at("/a/{account}/clients/new")).wants(t, http.StatusOK, "begins without permissions", "Ask ")
	v.post(s.at("/a/{account}/clients/new"), "name", "mine", "product", "echo", "template", "all").wants(t, http.StatusOK, "Client mine is created")
	list, err := s.registry.Clients(t.Context(), s.system, registry.ClientFilter{Text: "mine"}, registry.Page{})
	must(t, err)
	if len(list.Items[0].Permissions) > 0 {
		t.Errorf("it has %v", list.Items[0].Permissions)
	}
}

func TestANewClientSaysWhatToMend(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.OrganisationAdmin)).proven()
	for name, c := range map[string]struct {
		form   []string
		status int
		field  string
	}{
		"no name":       {[]string{"name", " ", "template", "none"}, 422, "name"},
		"taken":         {[]string{"name", "billing"}, 409, "name"},
		"no lifetime":   {[]string{"name", "x", "lifetime", "0"}, 422, "lifetime"},
		"too long":      {[]string{"name", "x", "lifetime", "3601"}, 422, "lifetime"},
		"no number":     {[]string{"name", "x", "lifetime", "ten"}, 422, "lifetime"},
		"wrong product": {[]string{"name", "x", "product", "nonsense", "template", "all"}, 422, "product"},
	} {
		t.Run(name, func(t *testing.T) {
			a := v.post(s.at("/a/{account}/clients/new"), c.form...)
			a.wants(t, c.status, "Nothing was created")
			if !strings.Contains(a.body, `href="#f-`+c.field+`"`) || !strings.Contains(a.body, `id="f-`+c.field+`"`) {
				t.Error("the summary does not lead to the field")
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		v.post(s.at("/a/{account}/clients/new"), "name", "x", "lifetime", "3600", "product", "auth", "template", "all").wants(t, http.StatusOK)
	})
}

func TestAClientOfAnotherAccountIsNotFoundAndSaysWhy(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Viewer)).proven()
	v.get("/a/"+string(s.production)+"/clients/"+string(s.client)).wants(t, http.StatusNotFound, "belongs to a sandbox account")
	v.get(s.at("/a/{account}/clients/prod-round-apple-999")).wants(t, http.StatusNotFound, "belongs to a production account")
	theirs, none := v.get(s.at("/a/{account}/clients/")+string(s.foreign)), v.get(s.at("/a/{account}/clients/sandbox-round-apple-999"))
	theirs.wants(t, http.StatusNotFound)
	if strings.ReplaceAll(theirs.text(), string(s.foreign), "sandbox-round-apple-999") != none.text() {
		t.Errorf("%q, and for none %q", theirs.text(), none.text())
	}
	v.get(s.at("/a/{account}/clients/nonsense")).wants(t, http.StatusNotFound, "Page not found")
}

func TestTheQuickStartHasTheClientsOwnValues(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Viewer))
	path := s.at("/a/{account}/clients/{client}")
	a := v.get(path)
	a.wants(t, http.StatusOK, "GET /echo/hello", string(s.client), string(s.sandbox), "$CLIENT_SECRET", "curl")
	if secretText.MatchString(a.body) {
		t.Error("a secret stands on the page")
	}
	for key, word := range map[string]string{"go-plain": "package main", "python-library": "Authlib", "node-plain": "call.mjs", "dotnet": "Program.cs"} {
		v.get(path+"?lang="+key).wants(t, http.StatusOK, word, string(s.client))
	}
	v.get(path+"?lang=python-plain").wants(t, http.StatusOK)
	if last := v.get(path); !strings.Contains(last.body, "call.py") || strings.Contains(last.body, "in place of") {
		t.Error("it is not the language of last time, or asks for a value that its call does not need")
	}
	must(t, s.registry.Apply(t.Context(), s.system, registry.RemovePermissions{Client: s.client, Permissions: []string{"echo.call"}}, registry.AddPermissions{Client: s.client, Permissions: []string{"auth.sessions.read"}}))
	v.get(path).wants(t, http.StatusOK, "GET /auth/rest/sessions/{id}", "Put a value of yours in place of", "sessions/ID?")
}

func TestDisablingAClientThatIsUsedAsksFirst(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Developer))
	path := s.at("/a/{account}/clients/{client}")
	off := v.follow(v.post(path+"/state", "state", "disabled"))
	off.wants(t, http.StatusOK, "is disabled", "Undo", "This client is disabled", "Developer disabled it on")
	v.follow(v.post(path+"/state", "state", "enabled")).wants(t, http.StatusOK, "is enabled")
	s.used(t, s.client)
	asked := v.follow(v.post(path+"/state", "state", "disabled"))
	asked.wants(t, http.StatusOK, "Disable client billing", "just now", "Keep client")
	if c, err := s.registry.Client(t.Context(), s.system, s.client); err != nil || c.State != registry.Enabled {
		t.Fatalf("it is %s already (%v)", c.State, err)
	}
	v.follow(v.post(path+"/state", "state", "disabled", "confirm", "1")).wants(t, http.StatusOK, "This client is disabled")
	v.post(path+"/state", "state", "deleted").wants(t, http.StatusBadRequest)
}

func TestASecretIsShownOnceAndSavedAsAFile(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Developer))
	path := s.at("/a/{account}/clients/{client}")
	form := v.get(path + "/secrets/new")
	ends := dateIn(s, 90)
	if !strings.Contains(form.body, `value="`+ends+`"`) {
		t.Errorf("the form does not propose %s", ends)
	}
	a := v.post(path+"/secrets/new", "once", hiddenOf(form, "once"), "name", "server", "ends", ends)
	a.wants(t, http.StatusOK, "Secret server is added", ". ./"+string(s.client)+".env")
	value := secretText.FindString(a.body)
	file := v.post(path+"/env", "secret", value)
	if want := "CLIENT_SECRET=" + value + "\n"; file.status != http.StatusOK || !strings.Contains(file.body, want) || !strings.Contains(file.header.Get("Content-Disposition"), string(s.client)+".env") {
		t.Errorf("file: %d %v", file.status, file.header)
	}
	v.follow(v.post(path+"/secrets/new", "once", hiddenOf(form, "once"), "name", "server", "ends", ends)).wants(t, http.StatusOK, "created already and shown once")
	for _, page := range []string{"", "/secrets", "/secrets/new"} {
		if strings.Contains(v.get(path+page).body, value) {
			t.Errorf("the secret stands on %q again", page)
		}
	}
	for name, wrong := range map[string]string{"made up": value[:len(value)-1] + "!", "another client's": otherSecret(t, s), "none": ""} {
		if a := v.post(path+"/env", "secret", wrong); a.status == http.StatusOK {
			t.Errorf("%s: a file is given", name)
		}
	}
}

func dateIn(s *site, days int) string {
	return s.clock.Now().Add(time.Duration(days) * 24 * time.Hour).Format(time.DateOnly)
}

func otherSecret(t *testing.T, s *site) string {
	t.Helper()
	return s.fresh(t, "")("{value}")
}

func TestASecretThatCannotBeAddedSaysWhy(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Developer))
	path := s.at("/a/{account}/clients/{client}/secrets/new")
	for name, c := range map[string]struct{ form, field string }{
		"no name": {" /" + dateIn(s, 3), "name"}, "a past day": {"x/" + dateIn(s, -3), "ends"}, "no day": {"x/tomorrow", "ends"},
	} {
		t.Run(name, func(t *testing.T) {
			secretName, ends, _ := strings.Cut(c.form, "/")
			a := v.post(path, "name", secretName, "ends", ends)
			a.wants(t, http.StatusUnprocessableEntity, "Nothing was added")
			if !strings.Contains(a.body, `href="#f-`+c.field+`"`) {
				t.Errorf("the summary does not lead to %s: %s", c.field, a.text())
			}
		})
	}
	t.Run("twin", func(t *testing.T) { v.post(path, "name", "x", "ends", dateIn(s, 0)).wants(t, http.StatusOK) })
}

func TestASecretIsRotatedWithOverlap(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Developer))
	path := s.at("/a/{account}/clients/{client}/secrets")
	old := path + "/" + string(s.secret)
	form := v.get(old + "/rotate")
	if hiddenOf(form, "name") == "ci 2" {
		t.Error("the name is hidden")
	}
	form.wants(t, http.StatusOK, "Rotate secret ci")
	v.post(old+"/rotate", "name", "ci 2", "overlap", "").wants(t, http.StatusUnprocessableEntity, "how long the old secret")
	v.post(old+"/rotate", "name", "ci 2", "overlap", "1d").wants(t, http.StatusOK, "Secret ci 2 is added")
	v.get(path).wants(t, http.StatusOK, "Retiring", "Finish rotation", "Keep using it", "in 1 day")
	v.get(old+"/rotate").wants(t, http.StatusOK, "Only an active secret can be rotated")
	v.post(old+"/rotate", "name", "ci 3", "overlap", "1d").wants(t, http.StatusConflict, "Only an active secret")
	v.follow(v.post(old+"/state", "state", "disabled")).wants(t, http.StatusOK, "Secret ci is disabled", "Undo")
	v.follow(v.post(old+"/state", "state", "active")).wants(t, http.StatusOK, "works again", "Retiring")
}

func TestTheLastSecretOfAClientInUseIsNotDisabledUnasked(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Developer))
	path := s.at("/a/{account}/clients/{client}/secrets/{secret}")
	s.used(t, s.client)
	v.follow(v.post(path+"/state", "state", "disabled")).wants(t, http.StatusOK, "It is the last secret that works")
	v.follow(v.post(path+"/state", "state", "disabled", "confirm", "1")).wants(t, http.StatusOK, "Secret ci is disabled")
	t.Run("twin", func(t *testing.T) {
		v.post(path+"/state", "state", "active")
		v.post(s.at("/a/{account}/clients/{client}/secrets/new"), "name", "other")
		v.follow(v.post(path+"/state", "state", "disabled")).wants(t, http.StatusOK, "Secret ci is disabled")
	})
}

func TestARevokedSecretIsHiddenUntilAskedFor(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Developer))
	path := s.at("/a/{account}/clients/{client}/secrets")
	v.get(path+"/"+string(s.secret)+"/revoke").wants(t, http.StatusOK, "Revoke secret ci", "cannot be undone")
	v.follow(v.post(path+"/"+string(s.secret)+"/revoke")).wants(t, http.StatusOK, "Secret ci is revoked", "Without a secret", "Show 1 revoked secret")
	v.get(path+"?all").wants(t, http.StatusOK, "Revoked")
}

func TestAReloadOfAFormWithoutItsKeyIsJustAnotherForm(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Developer))
	path := s.at("/a/{account}/clients/{client}/secrets/new")
	for range 2 {
		v.post(path, "name", "again").wants(t, http.StatusOK, "Secret again is added")
	}
}

func TestTheQuickStartIsThereForPostman(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Developer))
	path := s.at("/a/{account}/clients/{client}/postman")
	if overview := v.get(s.at("/a/{account}/clients/{client}")); !strings.Contains(overview.body, `href="`+path+`"`) {
		t.Error("the overview has no link to it")
	}
	a := v.get(path)
	var collection struct {
		Item []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(a.body), &collection); err != nil || len(collection.Item) != 2 {
		t.Fatalf("status %d, %v: %s", a.status, err, a.body)
	}
	if got := a.header.Get("Content-Disposition"); !strings.Contains(got, string(s.client)+".postman_collection.json") {
		t.Errorf("file = %q", got)
	}
	if !strings.Contains(a.body, string(s.client)) || strings.Contains(a.body, s.value) {
		t.Error("the collection is another client's, or holds a secret")
	}
}
