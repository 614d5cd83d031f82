package signin_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/signin"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

func newcomer(email string) signin.Newcomer {
	return signin.Newcomer{Email: email, Password: secret.NewPlaintext(password), Name: "Grace"}
}

func TestUnverifiedPeopleAreDeletedAfterThirtyDays(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		gone := f.signUp(t, "gone@example.com")
		kept := f.verified(t, "kept@example.com")
		f.clock.add(time.Second)
		later := f.signUp(t, "later@example.com")
		f.clock.add(registry.UnverifiedLifetime - time.Second)
		if err := f.Registry.DeleteUnverified(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{string(kept.Session.Person.ID), string(later.Session.Person.ID)}, rows(t, f.DB, `SELECT id FROM person WHERE deleted_at = 0 ORDER BY created_at`)); diff != "" {
			t.Error(diff)
		}
		for _, query := range []string{`SELECT id FROM organisation`, `SELECT organisation_id FROM account`, `SELECT organisation_id FROM member`} {
			for _, left := range rows(t, f.DB, query) {
				if left == string(gone.Organisation) {
					t.Errorf("their organisation is still there: %s", query)
				}
			}
		}
		if _, err := journal.Verify(t.Context(), f.DB); err != nil {
			t.Error(err)
		}
		if err := f.Clean(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestWhoSharesAnOrganisationLeavesItToTheOthers(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		up, other := f.signUp(t, "gone@example.com"), f.verified(t, "kept@example.com")
		in := actor.NewSystem("test").In(up.Organisation)
		if err := f.Registry.Apply(t.Context(), in, registry.AddMember{Person: other.Session.Person.ID, Roles: []actor.RoleGrant{{Role: actor.OrganisationAdmin}}}); err != nil {
			t.Fatal(err)
		}
		f.clock.add(registry.UnverifiedLifetime)
		if err := f.Registry.DeleteUnverified(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := rows(t, f.DB, `SELECT person_id FROM member WHERE organisation_id = $1`, up.Organisation); len(got) != 1 || got[0] != string(other.Session.Person.ID) {
			t.Errorf("members = %v", got)
		}
	})
}

func TestWhoeverDidNotSignUpDiscardsIt(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		up := f.signUp(t, "ada@example.com")
		token := f.link(t, "ada@example.com", "/verify/")
		if err := f.Discard(t.Context(), f.elsewhere(), token); err != nil {
			t.Fatal(err)
		}
		_, err := f.Session(t.Context(), up.Cookie)
		wantKind(t, err, fault.Unauthenticated)
		if got := rows(t, f.DB, `SELECT id FROM organisation`); len(got) != 0 {
			t.Errorf("organisations left: %v", got)
		}
		wantKind(t, f.Discard(t.Context(), f.elsewhere(), token), fault.NotFound)
		t.Run("twin", func(t *testing.T) { // the address is free for its owner
			f.clock.add(time.Second)
			up := f.signUp(t, "ada@example.com")
			from := f.from
			from.Browser = up.Browser
			if _, err := f.Verify(t.Context(), from, f.link(t, "ada@example.com", "/verify/"), secret.Plaintext{}); err != nil {
				t.Error(err)
			}
		})
	})
}

// invite has somebody invited by the admin of an organisation, and returns the
// end of the link.
func (f *fixture) invite(t testing.TB, up *signin.SignedUp, email string, roles ...actor.Role) string {
	t.Helper()
	var grants []actor.RoleGrant
	for _, role := range roles {
		grants = append(grants, actor.RoleGrant{Role: role})
	}
	if _, err := f.Registry.Invite(t.Context(), f.actor(t, f.session(t, up.Cookie), up.Organisation), email, "", grants); err != nil {
		t.Fatal(err)
	}
	return f.link(t, email, "/invite/").Reveal()
}

func TestWhoIsInvitedSignsUpWithAVerifiedAddress(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.ByInvitation = true
		admin := f.admin(t)
		link := f.invite(t, admin, "grace@example.com", actor.Developer)
		i, err := f.OpenInvitation(t.Context(), link)
		if err != nil || i.OrganisationName != "Analytical Engines" || i.Known {
			t.Errorf("%+v, %v", i, err)
		}
		_, err = f.SignUpInvited(t.Context(), f.from, link+"x", newcomer(""))
		wantKind(t, err, fault.NotFound)
		weak := newcomer("")
		weak.Password = secret.NewPlaintext("grace@example.com")
		_, err = f.SignUpInvited(t.Context(), f.from, link, weak)
		wantKind(t, err, fault.Invalid)
		in, err := f.SignUpInvited(t.Context(), f.from, link, newcomer("eve@example.com"))
		if err != nil {
			t.Fatal(err)
		}
		s := f.session(t, in.Cookie)
		if by := f.actor(t, s, admin.Organisation); s.Person.Email != "grace@example.com" || s.Person.VerifiedAt.IsZero() || !by.May(actor.ClientWrite, admin.Account) || by.May(actor.MemberWrite, "") {
			t.Errorf("session = %+v", s)
		}
		_, err = f.SignUpInvited(t.Context(), f.from, link, newcomer(""))
		wantKind(t, err, fault.Conflict)
		_, err = f.OpenInvitation(t.Context(), link)
		wantKind(t, err, fault.Conflict)
	})
}

// admin is a verified person who administers an organisation, whatever signing up
// is open to.
func (f *fixture) admin(t testing.TB) *signin.SignedUp {
	t.Helper()
	closed := f.ByInvitation
	f.ByInvitation = false
	up := f.verified(t, "ada@example.com")
	f.ByInvitation = closed
	return &up
}

func TestPRIV07_whoIsSomebodyElseDoesNotJoin(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		admin := f.admin(t)
		grace, eve := f.verified(t, "grace@example.com"), f.verified(t, "eve@example.com")
		link := f.invite(t, admin, "Grace@Example.com", actor.Viewer)
		if i, err := f.OpenInvitation(t.Context(), link); err != nil || !i.Known {
			t.Errorf("%+v, %v", i, err)
		}
		wantKind(t, f.AcceptInvitation(t.Context(), f.from, f.session(t, eve.Cookie), link), fault.Forbidden)
		_, err := f.SignUpInvited(t.Context(), f.from, link, newcomer(""))
		wantKind(t, err, fault.Conflict)
		f.clock.add(time.Second)
		waiting := f.signUp(t, "grace@example.com")
		if err := f.AcceptInvitation(t.Context(), f.from, f.session(t, waiting.Cookie), link); !errors.Is(err, actor.ErrUnverified) {
			t.Errorf("unverified: %v", err)
		}
		t.Run("twin", func(t *testing.T) {
			if err := f.AcceptInvitation(t.Context(), f.from, f.session(t, grace.Cookie), link); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestWEB37_theFirstOperatorNeedsTheConsole(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		token, needed, err := f.SetUpLink(t.Context())
		if err != nil || !needed {
			t.Fatal(needed, err)
		}
		for _, made := range []string{"", "x", token.Reveal() + "x"} {
			_, err := f.SetUp(t.Context(), f.from, secret.NewPlaintext(made), newcomer("eve@example.com"))
			wantKind(t, err, fault.NotFound)
		}
		if err := f.OpenSetUp(t.Context(), token); err != nil {
			t.Error(err)
		}
		weak := newcomer("root@example.com")
		weak.Password = secret.NewPlaintext("password")
		_, err = f.SetUp(t.Context(), f.from, token, weak)
		wantKind(t, err, fault.Invalid)
		in, err := f.SetUp(t.Context(), f.from, token, newcomer("root@example.com"))
		if err != nil {
			t.Fatal(err)
		}
		by := f.actor(t, f.session(t, in.Cookie), "")
		if by.May(actor.ProductWrite, "") || !by.NeedsSecondFactor(actor.ProductWrite, "") {
			t.Error("WEB-37: the operator works without a second factor, or not even with one")
		}
		if _, needed, err := f.SetUpLink(t.Context()); err != nil || needed {
			t.Errorf("WEB-37: another link for the console: %v", err)
		}
	})
}

func TestWEB37_ofTwoWhoSetUpOneIsTheOperator(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		first, _, err := f.SetUpLink(t.Context())
		second, _, err2 := f.SetUpLink(t.Context()) // of another start, or node
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		errs := make([]error, 3)
		var all sync.WaitGroup
		for i, token := range []secret.Plaintext{first, first, second} {
			all.Go(func() {
				_, errs[i] = f.SetUp(t.Context(), f.from, token, newcomer(strings.Repeat("x", i+1)+"@example.com"))
			})
		}
		all.Wait()
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
			}
		}
		if operators := rows(t, f.DB, `SELECT person_id FROM member_role WHERE role = 'operator_admin'`); made != 1 || len(operators) != 1 {
			t.Errorf("WEB-37: %d were told yes, operators %v, errors %v", made, operators, errs)
		}
		for _, token := range []secret.Plaintext{first, second} {
			wantKind(t, f.OpenSetUp(t.Context(), token), fault.NotFound)
		}
	})
}

func TestTheSetUpLinkEnds(t *testing.T) {
	f := newFixture(t, sqldbtest.New(t), nil)
	token, _, err := f.SetUpLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.clock.add(signin.SetUpTime)
	wantKind(t, f.OpenSetUp(t.Context(), token), fault.NotFound)
	if again, needed, err := f.SetUpLink(t.Context()); err != nil || !needed || f.OpenSetUp(t.Context(), again) != nil {
		t.Errorf("the next start: %v, %v", needed, err)
	}
}

func TestTheOperatorInvitesItsPeople(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		token, _, err := f.SetUpLink(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		in, err := f.SetUp(t.Context(), f.from, token, newcomer("root@example.com"))
		if err != nil {
			t.Fatal(err)
		}
		s := f.session(t, in.Cookie)
		begun, err := f.BeginFactor(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if in, _, err = f.ConfirmFactor(t.Context(), f.from, s, f.code(t, begun.Secret.Reveal(), 0)); err != nil {
			t.Fatal(err)
		}
		root := &signin.SignedUp{SignedIn: in}
		support := f.invite(t, root, "support@example.com", actor.OperatorSupport)
		if i, err := f.OpenInvitation(t.Context(), support); err != nil || i.OrganisationName != "" || i.Organisation != id.Organisation("") {
			t.Errorf("%+v, %v", i, err)
		}
		helper, err := f.SignUpInvited(t.Context(), f.from, support, newcomer(""))
		if err != nil {
			t.Fatal(err)
		}
		customer := f.verified(t, "customer@example.com")
		by := f.actor(t, f.session(t, helper.Cookie), "").Proven(actor.Proof{SecondFactor: true}).In(customer.Organisation)
		if !by.May(actor.ClientDisable, customer.Account) || by.May(actor.SecretWrite, customer.Account) {
			t.Error("PRIV-01: operator support does not disable, or makes secrets")
		}
	})
}
