package signin_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/signin"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// enrolled is a verified person with a second factor.
type enrolled struct {
	signin.SignedUp
	seed  string
	codes []secret.Plaintext // for recovery
}

// enrol makes a person, ada@example.com, with a second factor.
func (f *fixture) enrol(t testing.TB) enrolled {
	t.Helper()
	e := enrolled{SignedUp: f.verified(t, "ada@example.com")}
	s := f.session(t, e.Cookie)
	begun, err := f.BeginFactor(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	e.seed = begun.Secret.Reveal()
	in, codes, err := f.ConfirmFactor(t.Context(), f.from, s, f.code(t, e.seed, 0))
	if err != nil {
		t.Fatal(err)
	}
	e.SignedIn, e.codes = in, codes
	f.clock.add(time.Minute) // the code of now is used
	return e
}

// code is the one of so many time steps from now.
func (f *fixture) code(t testing.TB, seed string, steps int) string {
	t.Helper()
	code, err := totp.GenerateCode(seed, f.clock.Now().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// pending is a sign-in that waits for the second factor.
func (f *fixture) pending(t testing.TB) *signin.Session {
	t.Helper()
	in, err := f.signIn(t, "ada@example.com", password)
	if err != nil {
		t.Fatal(err)
	}
	return f.session(t, in.Cookie)
}

func TestASecondFactorOpensProduction(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		e := f.enrol(t)
		s := f.session(t, e.Cookie)
		production, err := f.Registry.CreateAccount(t.Context(), f.actor(t, s, e.Organisation), id.Production, "Production")
		if err != nil {
			t.Fatal(err)
		}
		if by := f.actor(t, f.session(t, e.Cookie), e.Organisation); !by.May(actor.ClientWrite, production) {
			t.Error("the factor does not reach production")
		}
	})
}

func TestAPendingSessionIsGoodForNothingElse(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		e := f.enrol(t)
		s := f.pending(t)
		_, asMember := f.Actor(s, e.Organisation, f.from)
		_, sessions := f.Sessions(t.Context(), s)
		_, begun := f.BeginFactor(t.Context(), s)
		_, removed := f.RemoveFactor(t.Context(), f.from, s)
		_, codes := f.NewRecoveryCodes(t.Context(), f.from, s)
		_, changed := f.ChangePassword(t.Context(), f.from, s, secret.NewPlaintext(password), secret.NewPlaintext("an entirely new phrase"))
		_, proved := f.Prove(t.Context(), f.from, s, secret.NewPlaintext(password), f.code(t, e.seed, 0))
		for name, err := range map[string]error{
			"acts": asMember, "lists sessions": sessions, "enrols": begun, "removes the factor": removed, "renews codes": codes, "changes the password": changed, "proves": proved,
			"ends sessions": f.EndOtherSessions(t.Context(), f.from, s), "ends a session": f.EndSession(t.Context(), f.from, s, e.Session.ID), "joins": f.Join(t.Context(), f.from, s, secret.NewPlaintext("x")),
		} {
			if !errors.Is(err, actor.ErrSecondFactor) {
				t.Errorf("a pending session %s: %v", name, err)
			}
		}
		if self := f.Self(s, f.from); self.Kind() != "" {
			t.Errorf("it acts as %s", self)
		}
		t.Run("twin", func(t *testing.T) {
			if err := f.SignOut(t.Context(), f.from, s); err != nil {
				t.Errorf("it cannot even end itself: %v", err)
			}
		})
		late := f.pending(t)
		in, err := f.GiveFactor(t.Context(), f.from, f.pending(t), f.code(t, e.seed, 0))
		if err != nil {
			t.Fatal(err)
		}
		f.clock.add(signin.PendingTime)
		f.session(t, in.Cookie)
		if sessions, err := f.Sessions(t.Context(), f.session(t, in.Cookie)); err != nil || len(sessions) != 2 {
			t.Errorf("%d sessions are left, %v; want the enrolled one and the last", len(sessions), err)
		}
		_ = late
	})
}

func TestWEB05_theSecondFactorAndProvingGiveTheSessionANewID(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		e := f.enrol(t)
		in, err := f.signIn(t, "ada@example.com", password)
		if err != nil {
			t.Fatal(err)
		}
		given, err := f.GiveFactor(t.Context(), f.from, f.session(t, in.Cookie), f.code(t, e.seed, 0))
		if err != nil {
			t.Fatal(err)
		}
		f.clock.add(time.Minute)
		proved, err := f.Prove(t.Context(), f.from, f.session(t, given.Cookie), secret.NewPlaintext(password), f.code(t, e.seed, 0))
		if err != nil {
			t.Fatal(err)
		}
		for _, old := range []secret.Plaintext{in.Cookie, given.Cookie} {
			_, err := f.Session(t.Context(), old)
			wantKind(t, err, fault.Unauthenticated)
		}
		t.Run("twin", func(t *testing.T) {
			if s := f.session(t, proved.Cookie); s.Pending() || !s.CreatedAt.Equal(in.Session.CreatedAt) {
				t.Errorf("session = %+v", s)
			}
		})
	})
}

func TestWEB26_noCodeIsTakenTwice(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		e := f.enrol(t)
		code := f.code(t, e.seed, 0)
		sessions := []*signin.Session{f.pending(t), f.pending(t)}
		nodes := []*signin.People{f.People, signin.New(f.Config)}
		errs := make([]error, 2)
		var both sync.WaitGroup
		for i := range nodes {
			both.Go(func() { _, errs[i] = nodes[i].GiveFactor(t.Context(), f.from, sessions[i], code) })
		}
		both.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("WEB-26: errors = %v, want exactly one", errs)
		}
		f.clock.add(30 * time.Second) // the code is still within the drift
		_, err := f.GiveFactor(t.Context(), f.from, f.pending(t), code)
		wantKind(t, err, fault.Unauthenticated)
		_, err = f.Prove(t.Context(), f.from, f.session(t, e.Cookie), secret.NewPlaintext(password), code)
		wantKind(t, err, fault.Unauthenticated)
		t.Run("twin", func(t *testing.T) {
			if _, err := f.GiveFactor(t.Context(), f.from, f.pending(t), f.code(t, e.seed, 0)); err != nil {
				t.Errorf("the next code: %v", err)
			}
		})
	})
}

func TestWEB26_aClockMayBeOffByOneStep(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		e := f.enrol(t)
		for _, c := range []struct {
			steps int
			right bool
		}{{-2, false}, {2, false}, {-1, true}, {1, true}} {
			f.clock.add(2 * time.Minute)
			_, err := f.GiveFactor(t.Context(), f.from, f.pending(t), " "+f.code(t, e.seed, c.steps)[:3]+" "+f.code(t, e.seed, c.steps)[3:])
			if (err == nil) != c.right {
				t.Errorf("WEB-26: %d steps off: %v", c.steps, err)
			}
		}
		for _, wrong := range []string{"", "000000", "abcdef", "0000000", "１２３４５６"} {
			_, err := f.GiveFactor(t.Context(), f.from, f.session(t, e.Cookie), wrong)
			wantKind(t, err, fault.Unauthenticated)
		}
	})
}

func TestWEB28_aFactorIsInForceWhenItWasConfirmed(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		up := f.verified(t, "ada@example.com")
		other, err := f.signIn(t, "ada@example.com", password)
		if err != nil {
			t.Fatal(err)
		}
		s := f.session(t, up.Cookie)
		begun, err := f.BeginFactor(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if f.pending(t).Pending() {
			t.Error("WEB-28: in force before it was confirmed")
		}
		_, err = f.GiveFactor(t.Context(), f.from, s, f.code(t, begun.Secret.Reveal(), 0))
		wantKind(t, err, fault.Conflict)
		_, _, err = f.ConfirmFactor(t.Context(), f.from, s, "000000")
		wantKind(t, err, fault.Unauthenticated)
		in, codes, err := f.ConfirmFactor(t.Context(), f.from, s, f.code(t, begun.Secret.Reveal(), 0))
		if err != nil || len(codes) != signin.RecoveryCodes {
			t.Fatal(codes, err)
		}
		if _, err := f.Session(t.Context(), other.Cookie); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("WEB-10: a session from before is still good: %v", err)
		}
		if s := f.session(t, in.Cookie); s.Pending() || !s.Recent(f.clock.Now()) {
			t.Errorf("session = %+v", s)
		}
		if !f.pending(t).Pending() {
			t.Error("the next sign-in asks for no factor")
		}
		_, _, err = f.ConfirmFactor(t.Context(), f.from, f.session(t, in.Cookie), f.code(t, begun.Secret.Reveal(), 1))
		wantKind(t, err, fault.Conflict)
	})
}

func TestWEB28_aFactorIsReplacedWithTheOldOneAlone(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		e := f.enrol(t)
		if _, err := f.BeginFactor(t.Context(), f.pending(t)); !errors.Is(err, actor.ErrSecondFactor) {
			t.Errorf("WEB-28: with the password alone: %v", err)
		}
		f.clock.add(signin.RecentTime)
		if _, err := f.BeginFactor(t.Context(), f.session(t, e.Cookie)); !errors.Is(err, actor.ErrRecentSignIn) {
			t.Errorf("PRIV-13: with an old factor: %v", err)
		}
		in, err := f.GiveFactor(t.Context(), f.from, f.session(t, e.Cookie), f.code(t, e.seed, 0))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.BeginFactor(t.Context(), f.session(t, in.Cookie)); !errors.Is(err, actor.ErrRecentSignIn) {
			t.Errorf("PRIV-13: with an old password: %v", err)
		}
		f.clock.add(time.Minute)
		if in, err = f.Prove(t.Context(), f.from, f.session(t, in.Cookie), secret.NewPlaintext(password), f.code(t, e.seed, 0)); err != nil {
			t.Fatal(err)
		}
		s := f.session(t, in.Cookie)
		begun, err := f.BeginFactor(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		f.clock.add(signin.EnrolmentTime)
		if in, err = f.Prove(t.Context(), f.from, s, secret.NewPlaintext(password), f.code(t, e.seed, 0)); err != nil {
			t.Fatalf("the old factor is in force until then: %v", err)
		}
		s = f.session(t, in.Cookie)
		_, _, err = f.ConfirmFactor(t.Context(), f.from, s, f.code(t, begun.Secret.Reveal(), 0))
		wantKind(t, err, fault.Conflict) // too late
		if begun, err = f.BeginFactor(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if _, _, err := f.ConfirmFactor(t.Context(), f.from, s, f.code(t, begun.Secret.Reveal(), 0)); err != nil {
			t.Fatal(err)
		}
		f.clock.add(time.Minute)
		_, err = f.GiveFactor(t.Context(), f.from, f.pending(t), f.code(t, e.seed, 0))
		wantKind(t, err, fault.Unauthenticated)
		_, err = f.GiveFactor(t.Context(), f.from, f.pending(t), e.codes[0].Reveal())
		wantKind(t, err, fault.Unauthenticated)
		t.Run("twin", func(t *testing.T) {
			if _, err := f.GiveFactor(t.Context(), f.from, f.pending(t), f.code(t, begun.Secret.Reveal(), 0)); err != nil {
				t.Errorf("the new one: %v", err)
			}
		})
	})
}

func TestARecoveryCodeTakesTheFactorsPlaceOnce(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		e := f.enrol(t)
		typed := strings.ToUpper(strings.ReplaceAll(e.codes[3].Reveal(), "-", " "))
		in, err := f.GiveFactor(t.Context(), f.from, f.pending(t), typed)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.GiveFactor(t.Context(), f.from, f.pending(t), e.codes[3].Reveal())
		wantKind(t, err, fault.Unauthenticated)
		s := f.session(t, in.Cookie)
		if left, err := f.CountRecoveryCodes(t.Context(), s); err != nil || left != signin.RecoveryCodes-1 {
			t.Errorf("%d codes are left, %v", left, err)
		}
		fresh, err := f.NewRecoveryCodes(t.Context(), f.from, s)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.GiveFactor(t.Context(), f.from, f.pending(t), e.codes[4].Reveal())
		wantKind(t, err, fault.Unauthenticated)
		if _, err := f.GiveFactor(t.Context(), f.from, f.pending(t), fresh[0].Reveal()); err != nil {
			t.Error(err)
		}
		for _, query := range []string{`SELECT digest FROM recovery_code`, `SELECT seed FROM factor`, `SELECT content FROM audit WHERE content IS NOT NULL`} {
			for _, value := range rows(t, f.DB, query) {
				if strings.Contains(value, e.seed) || strings.Contains(value, strings.ReplaceAll(fresh[1].Reveal(), "-", "")) {
					t.Errorf("SEC-04: in clear: %s", query)
				}
			}
		}
	})
}

func TestCodesCanBeTriedSoManyTimes(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		e := f.enrol(t)
		s := f.pending(t)
		for range 10 {
			_, err := f.GiveFactor(t.Context(), f.from, s, "000000")
			wantKind(t, err, fault.Unauthenticated)
		}
		_, err := f.GiveFactor(t.Context(), f.from, s, "000000")
		wantKind(t, err, fault.RateLimited)
		_, err = f.GiveFactor(t.Context(), f.from, s, f.code(t, e.seed, 0))
		wantKind(t, err, fault.RateLimited)
		t.Run("twin", func(t *testing.T) {
			f.clock.add(2 * time.Minute)
			if _, err := f.GiveFactor(t.Context(), f.from, s, f.code(t, e.seed, 0)); err != nil {
				t.Errorf("later: %v", err)
			}
		})
	})
}

func TestManyCodesAtOnceAreNoMoreThanOneAfterAnother(t *testing.T) {
	f := newFixture(t, sqldbtest.New(t), nil)
	f.enrol(t)
	s := f.pending(t)
	var guesses sync.WaitGroup
	for range 40 {
		guesses.Go(func() { _, _ = f.GiveFactor(t.Context(), f.from, s, "000000") })
	}
	guesses.Wait()
	refused := rows(t, f.DB, `SELECT action FROM audit WHERE action = 'sign-in.factor.refuse' -- any organisation: a test`)
	if len(refused) != 10 {
		t.Errorf("%d codes were compared, want 10", len(refused))
	}
}

func TestWEB33_theFactorStaysWhereOneIsNeededAndChangesAreMailed(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		e := f.enrol(t)
		if _, err := f.Registry.CreateAccount(t.Context(), f.actor(t, f.session(t, e.Cookie), e.Organisation), id.Production, "Production"); err != nil {
			t.Fatal(err)
		}
		_, err := f.RemoveFactor(t.Context(), f.from, f.session(t, e.Cookie))
		wantKind(t, err, fault.Conflict)
		t.Run("twin", func(t *testing.T) {
			in := actor.NewSystem("test").In(e.Organisation)
			other := f.verified(t, "grace@example.com")
			err := f.Registry.Apply(t.Context(), in, registry.AddMember{Person: other.Session.Person.ID, Roles: []actor.RoleGrant{{Role: actor.OrganisationAdmin}}})
			err = errors.Join(err, f.Registry.Apply(t.Context(), f.actor(t, f.session(t, e.Cookie), e.Organisation), registry.LeaveOrganisation{}))
			if err != nil {
				t.Fatal(err)
			}
			removed, err := f.RemoveFactor(t.Context(), f.from, f.session(t, e.Cookie))
			if err != nil {
				t.Fatal(err)
			}
			if s := f.session(t, removed.Cookie); s.Factor || s.Pending() || f.pending(t).Pending() {
				t.Error("the factor is still asked for")
			}
		})
		var told int
		for _, m := range f.mails(t, "ada@example.com") {
			if m.Kind == mail.KindFactor {
				told++
			}
		}
		if told != 2 {
			t.Errorf("WEB-33: %d mails about two changes", told)
		}
	})
}

func TestWEB23_afterAResetTheSecondFactorIsStillAskedFor(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.enrol(t)
		const fresh = "an entirely new phrase"
		if err := f.Reset(t.Context(), f.from, f.reset(t), secret.NewPlaintext(fresh)); err != nil {
			t.Fatal(err)
		}
		in, err := f.signIn(t, "ada@example.com", fresh)
		if err != nil || !f.session(t, in.Cookie).Pending() {
			t.Errorf("WEB-23: signed in without the factor: %v", err)
		}
	})
}

func TestAnOperatorAdminHelpsWhoLostTheFactor(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		e := f.enrol(t)
		person := e.Session.Person.ID
		proven := func(who id.Person, organisation id.Organisation, role actor.Role) actor.Actor {
			return actor.NewPerson(who, organisation, "s-1", actor.RoleGrant{Role: role}).Proven(actor.Proof{SecondFactor: true, Recent: true, Verified: true})
		}
		admin := proven("p-operator", "", actor.OperatorAdmin)
		for name, by := range map[string]actor.Actor{
			"the admin of the organisation": proven("p-1", e.Organisation, actor.OrganisationAdmin),
			"operator support":              proven("p-1", "", actor.OperatorSupport),
			"themselves":                    proven(person, "", actor.OperatorAdmin),
			"without a second factor":       admin.Proven(actor.Proof{Recent: true}),
			"after an old sign-in":          admin.Proven(actor.Proof{SecondFactor: true}),
			"nobody":                        {},
		} {
			t.Run(name, func(t *testing.T) { wantKind(t, f.DropFactor(t.Context(), by, person), fault.Forbidden) })
		}
		wantKind(t, f.DropFactor(t.Context(), admin, "p-99999999999999999999"), fault.NotFound)
		t.Run("twin", func(t *testing.T) {
			if err := f.DropFactor(t.Context(), admin.In(e.Organisation), person); err != nil {
				t.Fatal(err)
			}
			_, err := f.Session(t.Context(), e.Cookie)
			wantKind(t, err, fault.Unauthenticated)
			if f.pending(t).Pending() {
				t.Error("the lost factor is still asked for")
			}
			if got := rows(t, f.DB, `SELECT actor FROM audit WHERE action = 'factor.drop' AND subject = $1`, person); len(got) != 1 || got[0] != "person:p-operator" {
				t.Errorf("records: %v", got)
			}
		})
	})
}

func TestAnEnrolmentCanBeScanned(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		up := f.verified(t, "ada@example.com")
		e, err := f.BeginFactor(t.Context(), f.session(t, up.Cookie))
		if err != nil {
			t.Fatal(err)
		}
		uri := e.URI.Reveal()
		if !strings.HasPrefix(uri, "otpauth://totp/Example%20APIs:ada@example.com?") || !strings.Contains(uri, "secret="+e.Secret.Reveal()) {
			t.Errorf("URI %s", uri)
		}
		side := len(e.QR)
		if side < 21 || len(e.QR[side-1]) != side || !e.QR[0][0] || e.QR[7][7] {
			t.Errorf("no QR code of %d modules", side)
		}
		if _, err := f.BeginFactor(t.Context(), f.stale(t, up)); !errors.Is(err, actor.ErrRecentSignIn) {
			t.Errorf("PRIV-13: after an old sign-in: %v", err)
		}
	})
}

// stale is the session of somebody who signed in a while ago.
func (f *fixture) stale(t testing.TB, up signin.SignedUp) *signin.Session {
	t.Helper()
	f.clock.add(signin.RecentTime)
	return f.session(t, up.Cookie)
}

func TestASealedFactorOpensForItsPersonAlone(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		e := f.enrol(t)
		thief := f.verified(t, "eve@example.com")
		err := f.DB.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO factor (person_id, seed, last_step, pending_until) SELECT $1, seed, 0, 0 FROM factor WHERE person_id = $2`, thief.Session.Person.ID, e.Session.Person.ID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.GiveFactor(t.Context(), f.from, f.session(t, thief.Cookie), f.code(t, e.seed, 0))
		if !errors.Is(err, secret.ErrOpen) {
			t.Errorf("a copied seed opens: %v", err)
		}
	})
}
