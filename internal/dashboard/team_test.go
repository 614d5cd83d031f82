package dashboard_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/sqldb"
)

// teamPages are those of people and invitations.
const teamPages = `
GET  /o/{organisation}/team                             P P - - - -
GET  /o/{organisation}/team/invite                      P P - - - -
POST /o/{organisation}/team/invite                      D D F F F F
POST /o/{organisation}/invitations/{invitation}/resend  D F F F F F
POST /o/{organisation}/invitations/{invitation}/revoke  D F F F F F
GET  /o/{organisation}/team/{person}                    P P A A A A
POST /o/{organisation}/team/{person}                    D D F F F F
GET  /o/{organisation}/team/{person}/remove             P - A A A A
POST /o/{organisation}/team/{person}/remove             D F F F F F
GET  /o/{organisation}/leave                            - P P P P P
POST /o/{organisation}/leave                            D D D D D D
`

// another adds a person and returns their address.
func (s *site) another(t testing.TB, grant actor.RoleGrant) string {
	t.Helper()
	email := s.random() + "@a.example"
	s.addPerson(t, s.system, email, "", grant)
	return email
}

func (s *site) personOf(t testing.TB, address string) id.Person {
	t.Helper()
	email, err := registry.ParseEmail(address)
	must(t, err)
	p, _, err := s.registry.PersonOf(t.Context(), email)
	must(t, err)
	return p.ID
}

// invited invites somebody as viewer.
func (s *site) invited(t testing.TB, email string) id.Invitation {
	t.Helper()
	key, err := s.registry.Invite(t.Context(), s.system, email, "", []actor.RoleGrant{{Role: actor.Viewer}})
	must(t, err)
	return key
}

// linkTo is the path of the newest link that was mailed to an address.
func (s *site) linkTo(t testing.TB, email string) string {
	t.Helper()
	entries, _, err := s.outbox.List(t.Context(), false, "")
	must(t, err)
	for _, e := range entries {
		if e.Recipient != email {
			continue
		}
		var text string
		must(t, s.db.View(t.Context(), func(tx *sqldb.Tx) error {
			_, text, err = s.outbox.Open(t.Context(), tx, e.ID)
			return err
		}))
		_, path, _ := strings.Cut(text, base)
		path, _, _ = strings.Cut(path, "\n")
		return path
	}
	t.Fatalf("nothing was mailed to %s", email)
	return ""
}

func TestPeopleAreFoundByNameAndPagedThrough(t *testing.T) {
	s := newSite(t)
	for range 60 {
		s.another(t, actor.RoleGrant{Role: actor.Viewer})
	}
	v := s.as(t, emailOf(actor.Viewer))
	path, seen := s.at("/o/{organisation}/team"), map[string]int{}
	for pages := 0; path != "" && pages < 5; pages++ {
		a := v.get(path)
		a.wants(t, http.StatusOK, "66 people")
		path = ""
		for _, link := range links(a.body) {
			if rest, ok := strings.CutPrefix(link, s.at("/o/{organisation}/team/p-")); ok {
				seen[rest]++
			}
			if strings.Contains(link, "?after=") {
				path = link
			}
		}
	}
	if len(seen) != 66 {
		t.Errorf("%d people were seen, want 66", len(seen))
	}
	a := v.get(s.at("/o/{organisation}/team?q=ORGANISATION+ADM"))
	a.wants(t, http.StatusOK, "1 person", "organisation_admin@a.example")
	v.get(s.at("/o/{organisation}/team?q=%25")).wants(t, http.StatusOK, "Nobody fits this filter.")
}

func TestHowPeopleComeInIsForWhoMayChangeThem(t *testing.T) {
	s := newSite(t)
	team := s.at("/o/{organisation}/team")
	a := s.as(t, emailOf(actor.OrganisationAdmin)).get(team)
	a.wants(t, http.StatusOK, "Last seen", "Second factor")
	a = s.as(t, emailOf(actor.Viewer)).get(team)
	a.wants(t, http.StatusOK)
	if strings.Contains(a.body, "Last seen") || strings.Contains(a.body, "Second factor") {
		t.Error("a viewer sees it")
	}
}

func TestRolesAreChangedAndChangedBack(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.OrganisationAdmin)).proven()
	person := s.personOf(t, emailOf(actor.Viewer))
	path := s.at("/o/{organisation}/team/" + string(person))
	a := v.follow(v.post(path, "role", "viewer", "role", "auditor", "new_role", "developer", "new_account", string(s.sandbox), "base", "1"))
	a.wants(t, http.StatusOK, "Viewer has the role Auditor and has the role Developer on Try-out.", "Undo")
	stale := v.post(path, "role", "viewer", "base", "1")
	stale.wants(t, http.StatusConflict, "The roles were not changed", "Roles now", "Developer on Try-out")
	v.follow(v.post(path, "role", "viewer", "base", "2")).wants(t, http.StatusOK, "no longer has the role Auditor and no longer has the role Developer on Try-out.")
	v.post(path, "role", "viewer", "new_role", "developer").wants(t, http.StatusUnprocessableEntity, "Choose the account")
}

func TestPRIV02_nobodyGivesMoreThanTheyHold(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.AccountAdmin)).proven()
	path := s.at("/o/{organisation}/team/" + string(s.personOf(t, emailOf(actor.Viewer))))
	page := v.get(path)
	page.wants(t, http.StatusOK, "Change roles")
	if !strings.Contains(page.body, `<input type="hidden" name="role" value="viewer">`) {
		t.Error("a role that is not theirs to take is not carried along")
	}
	v.post(path, "role", "viewer", "role", "developer").wants(t, http.StatusForbidden)
	v.post(path, "role", "viewer", "new_role", "viewer", "new_account", string(s.production)).wants(t, http.StatusForbidden)
	own := s.at("/o/{organisation}/team/" + string(s.personOf(t, emailOf(actor.AccountAdmin))))
	v.post(own, "role", "organisation_admin").wants(t, http.StatusForbidden)
	t.Run("twin", func(t *testing.T) {
		v.follow(v.post(path, "role", "viewer", "new_role", "viewer", "new_account", string(s.sandbox))).wants(t, http.StatusOK, "has the role Viewer on Try-out")
	})
}

func TestPRIV03_theLastAdminStays(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.OrganisationAdmin)).proven()
	person := s.personOf(t, emailOf(actor.OrganisationAdmin))
	path := s.at("/o/{organisation}/team/" + string(person))
	v.get(s.at("/o/{organisation}/leave")).wants(t, http.StatusOK, "You are its last organisation admin")
	v.post(s.at("/o/{organisation}/leave")).wants(t, http.StatusConflict, "Nobody else is Organisation admin")
	v.post(path, "role", "viewer").wants(t, http.StatusConflict, "Nobody else is Organisation admin")
	v.post(path+"/remove").wants(t, http.StatusConflict, "Nobody else is Organisation admin")
	t.Run("twin", func(t *testing.T) {
		s.another(t, actor.RoleGrant{Role: actor.OrganisationAdmin})
		v.get(s.at("/o/{organisation}/leave")).wants(t, http.StatusOK, "Leave Analytical Engines")
		v.follow(v.post(s.at("/o/{organisation}/leave"))).wants(t, http.StatusOK, "You have left Analytical Engines.")
	})
}

func TestPRIV11_whoIsRemovedIsSignedOut(t *testing.T) {
	s := newSite(t)
	email := s.another(t, actor.RoleGrant{Role: actor.Developer})
	them := s.as(t, email)
	them.get(s.at("/a/{account}")).wants(t, http.StatusOK)
	v := s.as(t, emailOf(actor.OrganisationAdmin)).proven()
	path := s.at("/o/{organisation}/team/" + string(s.personOf(t, email)))
	v.get(path+"/remove").wants(t, http.StatusOK, "loses 1 role in Analytical Engines", "Keep "+email)
	v.follow(v.post(path+"/remove", "base", "1")).wants(t, http.StatusOK, "is no longer in Analytical Engines")
	them.get(s.at("/a/{account}")).wants(t, http.StatusUnauthorized)
	v.get(path).wants(t, http.StatusNotFound)
}

func TestAnInvitationIsSentResentAndRevoked(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.OrganisationAdmin)).proven()
	form := []string{"email", "grace@example.com", "name", "Grace Hopper", "role", "developer", "account", string(s.sandbox)}
	v.follow(v.post(s.at("/o/{organisation}/team/invite"), form...)).wants(t, http.StatusOK, "An invitation to grace@example.com is on its way", "Developer on Try-out", "Grace Hopper")
	v.post(s.at("/o/{organisation}/team/invite"), form...).wants(t, http.StatusConflict, "Nobody was invited", "is waiting already")
	link := s.linkTo(t, "grace@example.com")
	_, rest, _ := strings.Cut(link, "/invite/")
	key, _, _ := strings.Cut(rest, ".")
	s.clock.add(registry.InvitationLifetime)
	v = s.as(t, emailOf(actor.OrganisationAdmin)).proven()
	v.get(s.at("/o/{organisation}/team")).wants(t, http.StatusOK, "Expired")
	v.get(link).wants(t, http.StatusConflict, "has expired")
	v.follow(v.post(s.at("/o/{organisation}/invitations/"+key+"/resend"))).wants(t, http.StatusOK, "A new link is on its way.")
	if link == s.linkTo(t, "grace@example.com") {
		t.Fatal("the link is the same")
	}
	v.get(link).wants(t, http.StatusNotFound, "This link does not work")
	link = s.linkTo(t, "grace@example.com")
	v.get(link).wants(t, http.StatusOK, "Join Analytical Engines")
	v.follow(v.post(s.at("/o/{organisation}/invitations/"+key+"/revoke"))).wants(t, http.StatusOK, "The invitation is revoked.")
	v.get(link).wants(t, http.StatusConflict, "This invitation is over")
}

func TestPRIV07_whoeverIsSignedInAsSomeoneElseChooses(t *testing.T) {
	s := newSite(t)
	s.addPerson(t, actor.NewSystem("test").In(s.other), "guest@example.com", "Guest", actor.RoleGrant{Role: actor.Viewer})
	s.invited(t, "Guest@example.com")
	link := s.linkTo(t, "Guest@example.com")
	v := s.as(t, "admin@b.example")
	page := v.get(link)
	page.wants(t, http.StatusOK, "You are signed in as admin@b.example", "Sign in as Guest@example.com", "Stay admin@b.example")
	if strings.Contains(page.body, `action="`+link+`"`) {
		t.Error("somebody else can join")
	}
	v.post(link).wants(t, http.StatusForbidden)
	if a := v.post("/signout", "next", link); a.header.Get("Location") != link {
		t.Errorf("signing out leads to %q", a.header.Get("Location"))
	}
	v.get(link).wants(t, http.StatusOK, "Sign in to join")
	v.post(link).wants(t, http.StatusUnauthorized)
	t.Run("twin", func(t *testing.T) {
		v.post("/signin", "email", "guest@example.com", "password", password, "next", link)
		v.get(link).wants(t, http.StatusOK, "Join Analytical Engines")
		v.follow(v.post(link)).wants(t, http.StatusOK, "You are in Analytical Engines now.")
		v.get(link).wants(t, http.StatusConflict, "accepted already")
	})
}

func TestNamesInInvitationsAreText(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.OrganisationAdmin)).proven()
	v.post(s.at("/o/{organisation}/settings"), "name", `<img src=x onerror=alert(1)>"`)
	s.invited(t, "guest@example.com")
	if a := v.get(s.linkTo(t, "guest@example.com")); strings.Contains(a.body, "<img src=x") || a.status != http.StatusOK {
		t.Errorf("status %d: WEB-13: the name is markup", a.status)
	}
}

func TestWhoeverIsNewJoinsByTheInvitation(t *testing.T) {
	s := newSite(t)
	s.invited(t, "new@example.com")
	link := s.linkTo(t, "new@example.com")
	v := s.visitor(t)
	v.get(link).wants(t, http.StatusOK, "Join Analytical Engines", "Your name", "New password")
	v.post(link+"/signup", "name", "New Person", "password", "short").wants(t, http.StatusUnprocessableEntity, "You have not joined", "8 to 128 characters")
	v.follow(v.post(link+"/signup", "name", "New Person", "password", "another horse battery")).wants(t, http.StatusOK, "You are in Analytical Engines now.")
	v.get("/me").wants(t, http.StatusOK, "new@example.com", "Verified")
	v.post(link+"/signup", "name", "Again", "password", "another horse battery").wants(t, http.StatusConflict, "This invitation is over")
}
