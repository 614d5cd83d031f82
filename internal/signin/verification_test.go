package signin_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/signin"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// elsewhere is another browser at another place.
func (f *fixture) elsewhere() signin.Origin {
	from := f.from
	from.Browser = secret.Plaintext{}
	return from
}

func TestTheBrowserThatSignedUpVerifiesByTheLinkAlone(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		up := f.signUp(t, "ada@example.com")
		token := f.link(t, "ada@example.com", "/verify/")
		from := f.from
		from.Browser = up.Browser
		v, err := f.OpenVerification(t.Context(), from, token)
		want := signin.Verification{Email: "ada@example.com", SignedUpAt: f.clock.Now(), Organisations: []string{"Analytical Engines"}, Known: true}
		if diff := cmp.Diff(want, v); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
		if in, err := f.Verify(t.Context(), from, token, secret.Plaintext{}); err != nil || !in.Cookie.IsZero() {
			t.Fatalf("verify: %v, with a session: %v", err, !in.Cookie.IsZero())
		}
		s := f.session(t, up.Cookie)
		if s.Person.VerifiedAt.IsZero() || !f.actor(t, s, up.Organisation).Verified() {
			t.Error("not verified")
		}
		_, err = f.Verify(t.Context(), from, token, secret.Plaintext{})
		wantKind(t, err, fault.NotFound)
		wantKind(t, f.SendVerification(t.Context(), from, s), fault.Conflict)
	})
}

func TestElsewhereTheLinkAsksForThePassword(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		up := f.signUp(t, "ada@example.com")
		token := f.link(t, "ada@example.com", "/verify/")
		if v, err := f.OpenVerification(t.Context(), f.elsewhere(), token); err != nil || v.Known {
			t.Errorf("%+v, %v", v, err)
		}
		_, err := f.Verify(t.Context(), f.elsewhere(), token, secret.NewPlaintext("not the password"))
		wantKind(t, err, fault.Unauthenticated)
		if !f.session(t, up.Cookie).Person.VerifiedAt.IsZero() {
			t.Error("whoever reads the mails took over what somebody else signed up for")
		}
		t.Run("twin", func(t *testing.T) {
			in, err := f.Verify(t.Context(), f.elsewhere(), token, secret.NewPlaintext(password))
			if err != nil {
				t.Fatal(err)
			}
			if s := f.session(t, in.Cookie); s.Person.VerifiedAt.IsZero() {
				t.Error("not verified")
			}
		})
	})
}

func TestLinksAreGoodOnceAndForATime(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.signUp(t, "ada@example.com")
		token := f.link(t, "ada@example.com", "/verify/")
		f.clock.add(signin.VerificationTime)
		_, err := f.Verify(t.Context(), f.elsewhere(), token, secret.NewPlaintext(password))
		wantKind(t, err, fault.NotFound)
		for _, made := range []string{"", "x", token.Reveal() + "x"} {
			_, err := f.OpenVerification(t.Context(), f.elsewhere(), secret.NewPlaintext(made))
			wantKind(t, err, fault.NotFound)
			_, err = f.OpenReset(t.Context(), secret.NewPlaintext(made))
			wantKind(t, err, fault.NotFound)
		}
		t.Run("twin", func(t *testing.T) {
			_, err := f.signIn(t, "ada@example.com", password) // elsewhere: the link comes by mail
			wantKind(t, err, fault.Unauthenticated)
			again := f.link(t, "ada@example.com", "/verify/")
			f.clock.add(signin.VerificationTime - time.Second)
			if _, err := f.OpenReset(t.Context(), again); fault.KindOf(err) != fault.NotFound {
				t.Errorf("a link to verify resets: %v", err)
			}
			if _, err := f.Verify(t.Context(), f.elsewhere(), again, secret.NewPlaintext(password)); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestOfTwoUsesOfOneLinkOneWorks(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.verified(t, "ada@example.com")
		token := f.reset(t)
		errs := make([]error, 2)
		var both sync.WaitGroup
		for i, text := range []string{"the first new password", "the second new password"} {
			both.Go(func() { errs[i] = f.Reset(t.Context(), f.from, token, secret.NewPlaintext(text)) })
		}
		both.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("WEB-23: errors = %v, want exactly one", errs)
		}
	})
}

func TestWhoeverSignsUpWithATakenAddressJoinsTheOlderPerson(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		older, newer := f.verified(t, "ada@example.com"), f.signUp(t, "Ada@Example.com")
		token := f.link(t, "Ada@Example.com", "/verify/")
		from := f.from
		from.Browser = newer.Browser
		if v, err := f.OpenVerification(t.Context(), from, token); err != nil || !v.Taken {
			t.Errorf("%+v, %v", v, err)
		}
		_, err := f.Verify(t.Context(), from, token, secret.Plaintext{})
		wantKind(t, err, fault.Conflict)
		stranger := f.verified(t, "eve@example.com")
		wantKind(t, f.Join(t.Context(), f.from, f.session(t, stranger.Cookie), token), fault.Forbidden)
		if err := f.Join(t.Context(), f.from, f.session(t, older.Cookie), token); err != nil {
			t.Fatal(err)
		}
		s := f.session(t, older.Cookie)
		var places []id.Organisation
		for _, m := range s.Memberships {
			places = append(places, m.Organisation)
		}
		want := []id.Organisation{older.Organisation, newer.Organisation}
		slices.Sort(want)
		if diff := cmp.Diff(want, places); diff != "" {
			t.Error(diff)
		}
		if !f.actor(t, s, newer.Organisation).May(actor.ClientWrite, newer.Account) {
			t.Error("without the role")
		}
		_, err = f.Session(t.Context(), newer.Cookie)
		wantKind(t, err, fault.Unauthenticated)
		wantKind(t, f.Join(t.Context(), f.from, s, token), fault.NotFound)
	})
}

func TestJoiningAddsRolesToThoseThatOneHas(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		older := f.verified(t, "ada@example.com")
		f.clock.add(time.Second)
		newer := f.signUp(t, "ada@example.com")
		token := f.link(t, "ada@example.com", "/verify/")
		in := actor.NewSystem("test").In(newer.Organisation)
		if err := f.Registry.Apply(t.Context(), in, registry.AddMember{Person: older.Session.Person.ID, Roles: []actor.RoleGrant{{Role: actor.Viewer}}}); err != nil {
			t.Fatal(err)
		}
		if err := f.Join(t.Context(), f.from, f.session(t, older.Cookie), token); err != nil {
			t.Fatal(err)
		}
		for _, m := range f.session(t, older.Cookie).Memberships {
			if want := []actor.RoleGrant{{Role: actor.OrganisationAdmin}, {Role: actor.Viewer}}; m.Organisation == newer.Organisation && !slices.Equal(m.Roles, want) {
				t.Errorf("roles = %v, want %v", m.Roles, want)
			}
		}
	})
}

func TestWEB18_recoveryAnswersAlikeAndMailsWhomItConcerns(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.verified(t, "ada@example.com")
		f.signUp(t, "waiting@example.com")
		for to, want := range map[string]mail.Kind{"ada@example.com": mail.KindReset, "waiting@example.com": mail.KindVerification, "nobody@example.com": ""} {
			t.Run("WEB-18 "+to, func(t *testing.T) {
				before := len(f.mails(t, to))
				statements := f.DB.Statements()
				if err := f.Recover(t.Context(), f.from, to); err != nil {
					t.Error(err)
				}
				if made := f.DB.Statements() - statements; made != 0 {
					t.Errorf("the request made %d statements", made)
				}
				after := f.mails(t, to)
				if want == "" && len(after) != before || want != "" && (len(after) != before+1 || !slices.ContainsFunc(after, func(e mail.Entry) bool { return e.Kind == want })) {
					t.Errorf("mails: %v", after)
				}
			})
		}
		wantKind(t, f.Recover(t.Context(), f.from, "no address"), fault.Invalid)
	})
}

func TestDOS13_recoveryInALoopMeetsLimits(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.verified(t, "ada@example.com")
		var err error
		asked := 0
		for ; err == nil && asked < 100; asked++ {
			err = f.Recover(t.Context(), f.from, "ada@example.com")
		}
		wantKind(t, err, fault.RateLimited)
		if n := len(f.mails(t, "ada@example.com")); n > 2*mail.PerRecipient || n < mail.PerRecipient {
			t.Errorf("DOS-13: %d mails for %d requests", n, asked)
		}
	})
}

// reset is the token of a link that sets Ada's password.
func (f *fixture) reset(t testing.TB) secret.Plaintext {
	t.Helper()
	const email = "ada@example.com"
	if err := f.Recover(t.Context(), f.from, email); err != nil {
		t.Fatal(err)
	}
	return f.link(t, email, "/recover/")
}

func TestWEB23_aResetLinkSetsThePasswordOnceAndEndsAllSessions(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		up := f.verified(t, "ada@example.com")
		late := f.reset(t)
		f.clock.add(signin.ResetTime)
		_, err := f.OpenReset(t.Context(), late)
		wantKind(t, err, fault.NotFound)
		other := f.reset(t)
		f.clock.add(time.Second)
		token := f.reset(t)
		if email, err := f.OpenReset(t.Context(), token); err != nil || email != "ada@example.com" {
			t.Errorf("%s, %v", email, err)
		}
		const fresh = "an entirely new phrase"
		wantKind(t, f.Reset(t.Context(), f.from, token, secret.NewPlaintext("password")), fault.Invalid)
		if err := f.Reset(t.Context(), f.from, token, secret.NewPlaintext(fresh)); err != nil {
			t.Fatal(err)
		}
		for _, used := range []secret.Plaintext{token, other} {
			wantKind(t, f.Reset(t.Context(), f.from, used, secret.NewPlaintext("another new phrase")), fault.NotFound)
		}
		_, err = f.Session(t.Context(), up.Cookie)
		wantKind(t, err, fault.Unauthenticated)
		_, err = f.signIn(t, "ada@example.com", password)
		wantKind(t, err, fault.Unauthenticated)
		if _, err := f.signIn(t, "ada@example.com", fresh); err != nil {
			t.Error(err)
		}
		if newest := f.mails(t, "ada@example.com"); !slices.ContainsFunc(newest, func(e mail.Entry) bool { return e.Kind == mail.KindPassword }) {
			t.Errorf("nobody was told: %v", newest)
		}
		for _, query := range []string{`SELECT digest FROM link`, `SELECT content FROM audit WHERE content IS NOT NULL`} {
			for _, value := range rows(t, f.DB, query) {
				if value == token.Reveal() || value == fresh {
					t.Errorf("WEB-23: in clear in the database: %s", query)
				}
			}
		}
	})
}

func TestWEB10_whatBeganBeforeThePasswordChangedDoesNotOutliveIt(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		const fresh = "an entirely new phrase"
		e := f.enrol(t)
		waiting, stolen := f.pending(t), f.session(t, e.Cookie)
		if err := f.Reset(t.Context(), f.from, f.reset(t), secret.NewPlaintext(fresh)); err != nil {
			t.Fatal(err)
		}
		_, err := f.ChangePassword(t.Context(), f.from, stolen, secret.NewPlaintext(password), secret.NewPlaintext("the thief's own phrase"))
		wantKind(t, err, fault.Unauthenticated)
		_, err = f.Prove(t.Context(), f.from, stolen, secret.NewPlaintext(password), f.code(t, e.seed, 0))
		wantKind(t, err, fault.Unauthenticated)
		_, err = f.GiveFactor(t.Context(), f.from, waiting, f.code(t, e.seed, 0))
		wantKind(t, err, fault.Unauthenticated)
		if left := rows(t, f.DB, `SELECT id FROM session`); len(left) != 0 {
			t.Errorf("sessions = %v, want none", left)
		}
		t.Run("twin", func(t *testing.T) {
			in, err := f.signIn(t, "ada@example.com", fresh)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.GiveFactor(t.Context(), f.from, f.session(t, in.Cookie), f.code(t, e.seed, 0)); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestWEB10_aSignInUnderWayDoesNotOutliveThePassword(t *testing.T) {
	meanwhile := func() {}
	f := newFixture(t, sqldbtest.New(t), func(c *signin.Config) {
		now := c.Now
		c.Now = func() time.Time { meanwhile(); return now() }
	})
	up := f.verified(t, "ada@example.com")
	other, err := f.PreparePerson(t.Context(), "eve@example.com", "", secret.NewPlaintext("an entirely new phrase"))
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	meanwhile = func() {
		if asked++; asked != 2 { // the first is about the browser; then the person is known, and the throttle asks
			return
		}
		if err := f.Registry.Apply(t.Context(), actor.NewSystem("test"), registry.SetPassword{Person: up.Session.Person.ID, Password: other.Password}); err != nil {
			t.Error(err)
		}
	}
	_, err = f.signIn(t, "ada@example.com", password)
	wantKind(t, err, fault.Unauthenticated)
	if left := rows(t, f.DB, `SELECT id FROM session`); len(left) != 0 || asked < 2 {
		t.Errorf("sessions = %v, want none", left)
	}
}

func TestWEB10_aChangedPasswordEndsTheOtherSessions(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		up := f.verified(t, "ada@example.com")
		other, err := f.signIn(t, "ada@example.com", password)
		if err != nil {
			t.Fatal(err)
		}
		pending := f.reset(t)
		s := f.session(t, up.Cookie)
		const fresh = "an entirely new phrase"
		_, err = f.ChangePassword(t.Context(), f.from, s, secret.NewPlaintext("wrong password"), secret.NewPlaintext(fresh))
		wantKind(t, err, fault.Unauthenticated)
		_, err = f.ChangePassword(t.Context(), f.from, s, secret.NewPlaintext(password), secret.NewPlaintext(password))
		wantKind(t, err, fault.Invalid)
		f.clock.add(signin.RecentTime)
		in, err := f.ChangePassword(t.Context(), f.from, s, secret.NewPlaintext(password), secret.NewPlaintext(fresh))
		if err != nil {
			t.Fatal(err)
		}
		for _, ended := range []secret.Plaintext{up.Cookie, other.Cookie} {
			_, err := f.Session(t.Context(), ended)
			wantKind(t, err, fault.Unauthenticated)
		}
		if s := f.session(t, in.Cookie); !s.Recent(f.clock.Now()) {
			t.Error("who gave the old password has not just signed in")
		}
		_, err = f.OpenReset(t.Context(), pending)
		wantKind(t, err, fault.NotFound)
	})
}
