package signin_test

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/signin"
)

func TestWEB09_sessionsEndIdleAndInAll(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		idle := f.signUp(t, "idle@example.com")
		f.clock.add(signin.IdleTime - time.Second)
		t.Run("twin", func(t *testing.T) { f.session(t, idle.Cookie) })
		f.clock.add(signin.IdleTime)
		_, err := f.Session(t.Context(), idle.Cookie)
		wantKind(t, err, fault.Unauthenticated)

		busy := f.signUp(t, "busy@example.com")
		for began := f.clock.Now(); f.clock.Now().Sub(began) < signin.SessionTime; f.clock.add(signin.IdleTime - time.Hour) {
			f.session(t, busy.Cookie)
		}
		_, err = f.Session(t.Context(), busy.Cookie)
		wantKind(t, err, fault.Unauthenticated)
	})
}

func TestWEB07_aSessionThatWasEndedIsOver(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		up := f.verified(t, "ada@example.com")
		other, err := f.signIn(t, "ada@example.com", password)
		if err != nil {
			t.Fatal(err)
		}
		stranger := f.verified(t, "eve@example.com")
		s := f.session(t, up.Cookie)
		all, err := f.Sessions(t.Context(), s)
		if err != nil || len(all) != 2 {
			t.Errorf("sessions = %v, %v", all, err)
		}
		wantKind(t, f.EndSession(t.Context(), f.from, f.session(t, stranger.Cookie), s.ID), fault.NotFound)
		if err := f.EndOtherSessions(t.Context(), f.from, s); err != nil {
			t.Fatal(err)
		}
		_, err = f.Session(t.Context(), other.Cookie)
		wantKind(t, err, fault.Unauthenticated)
		t.Run("twin", func(t *testing.T) { f.session(t, up.Cookie) })
		if err := f.SignOut(t.Context(), f.from, s); err != nil {
			t.Fatal(err)
		}
		_, err = f.Session(t.Context(), up.Cookie)
		wantKind(t, err, fault.Unauthenticated)
	})
}

func TestThatSomebodyWasHereOutlivesTheirSessions(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ada := f.verified(t, "ada@example.com")
		by := actor.NewSystem("test").In(ada.Organisation)
		seen := func() time.Time {
			t.Helper()
			members, err := f.Registry.Members(t.Context(), by)
			if err != nil || len(members) != 1 {
				t.Fatalf("members = %v, %v", members, err)
			}
			return members[0].Access.SeenAt
		}
		if !seen().Equal(f.clock.Now()) {
			t.Errorf("after signing up: %v", seen())
		}
		f.clock.add(time.Hour)
		s := f.session(t, ada.Cookie)
		if err := f.SignOut(t.Context(), f.from, s); err != nil {
			t.Fatal(err)
		}
		last := f.clock.Now()
		f.clock.add(time.Hour)
		if _, err := f.signIn(t, "ada@example.com", "wrong "+password); err == nil {
			t.Fatal("a wrong password is good")
		}
		if !seen().Equal(last) {
			t.Errorf("after signing out: %v, want %v", seen(), last)
		}
	})
}

func TestWEB05_everySignInHasAnIdOfItsOwn(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		up := f.verified(t, "ada@example.com")
		seen := map[string]bool{up.Cookie.Reveal(): true, up.Session.ID: true}
		for range 3 {
			in, err := f.signIn(t, "ada@example.com", password)
			if err != nil {
				t.Fatal(err)
			}
			if seen[in.Cookie.Reveal()] || seen[in.Session.ID] {
				t.Error("WEB-05: an id came twice")
			}
			seen[in.Cookie.Reveal()], seen[in.Session.ID] = true, true
		}
		_, err := f.Session(t.Context(), secret.NewPlaintext("planted"))
		wantKind(t, err, fault.Unauthenticated)
		t.Run("twin", func(t *testing.T) { f.session(t, up.Cookie) })
	})
}

func TestTEN10_theActorHasTheRolesOfTheOrganisationAskedFor(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ada, eve := f.verified(t, "ada@example.com"), f.verified(t, "eve@example.com")
		s := f.session(t, ada.Cookie)
		_, err := f.Actor(s, eve.Organisation, f.from)
		wantKind(t, err, fault.NotFound)
		_, err = f.Actor(s, "", f.from)
		wantKind(t, err, fault.NotFound)
		by := actor.NewSystem("test").In(eve.Organisation)
		if err := f.Registry.Apply(t.Context(), by, registry.AddMember{Person: s.Person.ID, Roles: []actor.RoleGrant{{Role: actor.Viewer}}}); err != nil {
			t.Fatal(err)
		}
		s = f.session(t, ada.Cookie)
		if f.actor(t, s, eve.Organisation).May(actor.ClientWrite, eve.Account) {
			t.Error("TEN-10: the admin of one organisation is that of another")
		}
		t.Run("twin", func(t *testing.T) {
			if !f.actor(t, s, ada.Organisation).May(actor.ClientWrite, ada.Account) {
				t.Error("not even of their own")
			}
		})
	})
}

func TestPRIV11_aRemovedMemberHasNoRightWithTheNextRequest(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ada, eve := f.verified(t, "ada@example.com"), f.verified(t, "eve@example.com")
		in := actor.NewSystem("test").In(ada.Organisation)
		if err := f.Registry.Apply(t.Context(), in, registry.AddMember{Person: eve.Session.Person.ID, Roles: []actor.RoleGrant{{Role: actor.OrganisationAdmin}}}); err != nil {
			t.Fatal(err)
		}
		f.actor(t, f.session(t, eve.Cookie), ada.Organisation)
		if err := f.Registry.Apply(t.Context(), f.actor(t, f.session(t, ada.Cookie), ada.Organisation), registry.RemoveMember{Person: eve.Session.Person.ID}); err != nil {
			t.Fatal(err)
		}
		_, err := f.Session(t.Context(), eve.Cookie)
		wantKind(t, err, fault.Unauthenticated)
		again, err := f.signIn(t, "eve@example.com", password)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Actor(f.session(t, again.Cookie), ada.Organisation, f.from)
		wantKind(t, err, fault.NotFound)
	})
}

func TestPRIV11_whatBeganBeforeADemotionIsNotMadeAfterIt(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ada, eve := f.verified(t, "ada@example.com"), f.verified(t, "eve@example.com")
		admin := []actor.RoleGrant{{Role: actor.OrganisationAdmin}}
		in := actor.NewSystem("test").In(ada.Organisation)
		if err := f.Registry.Apply(t.Context(), in, registry.AddMember{Person: eve.Session.Person.ID, Roles: admin}); err != nil {
			t.Fatal(err)
		}
		underWay := f.actor(t, f.session(t, eve.Cookie), ada.Organisation)
		chief := f.actor(t, f.session(t, ada.Cookie), ada.Organisation)
		demote := registry.ChangeRoles{Person: eve.Session.Person.ID, Roles: []actor.RoleGrant{{Role: actor.Viewer}}}
		if err := f.Registry.Apply(t.Context(), chief, demote); err != nil {
			t.Fatal(err)
		}
		for _, edit := range []registry.Edit{registry.ChangeRoles{Person: eve.Session.Person.ID, Roles: admin}, registry.RemoveMember{Person: ada.Session.Person.ID}} {
			wantKind(t, f.Registry.Apply(t.Context(), underWay, edit), fault.Conflict)
		}
		t.Run("twin", func(t *testing.T) { // whose own roles are as they were
			if err := f.Registry.Apply(t.Context(), chief, registry.ChangeRoles{Person: eve.Session.Person.ID, Roles: admin}); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestPRIV13_aSignInIsRecentForMinutes(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		up := f.signUp(t, "ada@example.com")
		f.clock.add(signin.RecentTime - time.Second)
		t.Run("twin", func(t *testing.T) {
			if !f.actor(t, f.session(t, up.Cookie), up.Organisation).Recent() {
				t.Error("not recent")
			}
		})
		f.clock.add(time.Second)
		if f.actor(t, f.session(t, up.Cookie), up.Organisation).Recent() {
			t.Error("PRIV-13: still recent")
		}
	})
}

func TestAUD06_aBrowsersNameIsOneLineWithoutControlCharacters(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.from.UserAgent = "Mozilla\r\nforged: yes\x1b[31m\x00\x7f\xff " + strings.Repeat("é", 300)
		up := f.signUp(t, "ada@example.com")
		if got := f.session(t, up.Cookie).UserAgent; !strings.HasPrefix(got, "Mozillaforged: yes[31m ") || len(got) > 200 || !utf8.ValidString(got) {
			t.Errorf("AUD-06: %q", got)
		}
		for _, content := range rows(t, f.DB, `SELECT content FROM audit WHERE action = 'sign-in'`) {
			if strings.ContainsFunc(content, unicode.IsControl) {
				t.Errorf("AUD-06: %q", content)
			}
		}
	})
}
