package signin_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/signin"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

func TestSigningUpMakesTheWholeInOneGo(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		up := f.signUp(t, "ada@example.com")
		s := f.session(t, up.Cookie)
		want := []registry.Membership{{Organisation: up.Organisation, Name: "Analytical Engines", Roles: []actor.RoleGrant{{Role: actor.OrganisationAdmin}}, SandboxOnly: true, Sandboxes: []id.Account{up.Account}, Version: 1}}
		if diff := cmp.Diff(want, s.Memberships); diff != "" {
			t.Error(diff)
		}
		by := f.actor(t, s, up.Organisation)
		accounts, err := f.Registry.Accounts(t.Context(), by, registry.AccountFilter{}, registry.Page{})
		if err != nil || len(accounts.Items) != 1 || accounts.Items[0].ID != up.Account || up.Account.Environment() != id.Sandbox {
			t.Errorf("accounts = %v, %v", accounts, err)
		}
		if _, err := f.Registry.CreateClient(t.Context(), by, registry.NewClient{Account: up.Account, Name: "first"}); err != nil {
			t.Errorf("create the first client: %v", err)
		}
		if _, err := f.Registry.CreateAccount(t.Context(), by, id.Production, "Production"); !errors.Is(err, actor.ErrSecondFactor) {
			t.Errorf("a production account without a second factor: %v", err)
		}
	})
}

func TestSigningUpFailsAsAWhole(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		newcomer := func(change func(n *signin.Newcomer)) error {
			n := signin.Newcomer{Email: "ada@example.com", Password: secret.NewPlaintext(password), Organisation: "A"}
			change(&n)
			_, err := f.SignUp(t.Context(), f.from, n)
			return err
		}
		wantKind(t, newcomer(func(n *signin.Newcomer) { n.Organisation = "" }), fault.Invalid)
		wantKind(t, newcomer(func(n *signin.Newcomer) { n.Email = "ada" }), fault.Invalid)
		wantKind(t, newcomer(func(n *signin.Newcomer) { n.Name = "a\nb" }), fault.Invalid)
		wantKind(t, newcomer(func(n *signin.Newcomer) { n.Password = secret.NewPlaintext("short") }), fault.Invalid)
		for _, table := range []string{"person", "organisation", "account", "member", "session"} {
			if got := rows(t, f.DB, "SELECT 'row' FROM "+table); len(got) > 0 {
				t.Errorf("%s has %d rows", table, len(got))
			}
		}
		t.Run("twin", func(t *testing.T) {
			if err := newcomer(func(*signin.Newcomer) {}); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestSigningUpCanBeByInvitationOnly(t *testing.T) {
	f := newFixture(t, sqldbtest.New(t), func(c *signin.Config) { c.ByInvitation = true })
	_, err := f.SignUp(t.Context(), f.from, signin.Newcomer{Email: "ada@example.com", Password: secret.NewPlaintext(password), Organisation: "A"})
	wantKind(t, err, fault.Forbidden)
}

func TestWEB18_everyRefusalLooksTheSameAndCostsOneHash(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.verified(t, "ada@example.com")
		f.signUp(t, "unverified@example.com")
		var messages []string
		for name, c := range map[string]struct{ email, password string }{
			"WEB-18 unknown":              {"nobody@example.com", password},
			"WEB-18 wrong password":       {"ada@example.com", password + "!"},
			"WEB-18 empty password":       {"ada@example.com", ""},
			"WEB-18 unverified elsewhere": {"unverified@example.com", password},
			"WEB-18 no address at all":    {"ada", password},
		} {
			t.Run(name, func(t *testing.T) {
				before, statements := f.Hashes(), f.DB.Statements()
				_, err := f.signIn(t, c.email, c.password)
				wantKind(t, err, fault.Unauthenticated)
				if got := f.Hashes() - before; got != 1 {
					t.Errorf("%d hashes, want 1", got)
				}
				if got := f.DB.Statements() - statements; got != 2 && c.email != "ada" {
					t.Errorf("%d statements, want 2: its time tells whether the address is known", got)
				}
				messages = append(messages, err.Error())
			})
		}
		if slices.Sort(messages); len(slices.Compact(messages)) != 1 {
			t.Errorf("the answers differ: %q", messages)
		}
		t.Run("twin", func(t *testing.T) {
			before := f.Hashes()
			if _, err := f.signIn(t, " ADA@Example.com ", password); err != nil || f.Hashes()-before != 1 {
				t.Errorf("the right password: %v, %d hashes", err, f.Hashes()-before)
			}
		})
	})
}

func TestTheBrowserThatSignedUpSignsItsUnverifiedPersonIn(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.verified(t, "ada@example.com")
		mine := f.signUp(t, "ada@example.com") // the address is somebody else's, so far
		from := f.from
		from.Browser = mine.Browser
		in, err := f.SignIn(t.Context(), from, "Ada@example.com", secret.NewPlaintext(password))
		if err != nil || in.Session.Person.ID != mine.Session.Person.ID {
			t.Fatalf("signed in as %v, %v, want %v", in.Session.Person.ID, err, mine.Session.Person.ID)
		}
		t.Run("twin", func(t *testing.T) {
			elsewhere, err := f.signIn(t, "ada@example.com", password)
			if err != nil || elsewhere.Session.Person.ID == mine.Session.Person.ID {
				t.Errorf("elsewhere signed in as %v, %v", elsewhere.Session.Person.ID, err)
			}
		})
		from.Browser = mine.Browser // replaced at the sign-in above
		if again, err := f.SignIn(t.Context(), from, "ada@example.com", secret.NewPlaintext(password)); err != nil || again.Session.Person.ID == mine.Session.Person.ID {
			t.Errorf("an old cookie still names its person: %v, %v", again.Session.Person.ID, err)
		}
	})
}

func TestWEB19_wrongPasswordsCountForTheAddressHoweverItIsSpelled(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.verified(t, "ada@example.com")
		spellings := []string{"ada@example.com", "ADA@EXAMPLE.COM", "  ada@example.com", "ａda@example.com", "Ada@Example.Com "}
		for i := range 10 {
			f.from.Address = netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
			_, err := f.signIn(t, spellings[i%len(spellings)], "wrong password")
			wantKind(t, err, fault.Unauthenticated)
		}
		before := f.Hashes()
		_, err := f.signIn(t, "ada@example.com", password)
		wantKind(t, err, fault.RateLimited)
		if f.Hashes() != before {
			t.Error("WEB-19: a blocked sign-in was hashed")
		}
		t.Run("twin", func(t *testing.T) {
			f.clock.add(5 * time.Minute)
			if _, err := f.signIn(t, "ada@example.com", password); err != nil {
				t.Errorf("later: %v", err)
			}
		})
	})
}

func TestWEB19_manyGuessesAtOnceAreNoMoreThanOneAfterAnother(t *testing.T) {
	f := newFixture(t, sqldbtest.New(t), nil)
	f.verified(t, "ada@example.com")
	before := f.Hashes()
	var guesses sync.WaitGroup
	for range 40 {
		guesses.Go(func() { _, _ = f.signIn(t, "ada@example.com", "wrong password") })
	}
	guesses.Wait()
	if compared := f.Hashes() - before; compared > 10 {
		t.Errorf("WEB-19: %d guesses were compared, want 10 at most", compared)
	}
	t.Run("twin", func(t *testing.T) { // what is right does not count
		f.clock.add(5 * time.Minute)
		for range 20 {
			if _, err := f.signIn(t, "ada@example.com", password); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestDOS13_anIPv6NetworkAsksLikeOneAddress(t *testing.T) {
	f := newFixture(t, sqldbtest.New(t), nil)
	var err error
	asked := 0
	for ; err == nil && asked < 100; asked++ {
		f.from.Address = netip.MustParseAddr(fmt.Sprintf("2001:db8:1:2::%x", asked+1))
		err = f.Recover(t.Context(), f.from, "nobody@example.com")
	}
	wantKind(t, err, fault.RateLimited)
	_, err = f.SignUp(t.Context(), f.from, signin.Newcomer{Email: "ada@example.com", Password: secret.NewPlaintext(password), Organisation: "A"})
	if err != nil {
		t.Errorf("signing up counts apart: %v", err)
	}
	t.Run("twin", func(t *testing.T) {
		f.from.Address = netip.MustParseAddr("2001:db8:1:3::1")
		if err := f.Recover(t.Context(), f.from, "nobody@example.com"); err != nil {
			t.Error(err)
		}
	})
}

func TestWEB21_whoIsLockedOutEntersOnABrowserOfTheirs(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		up := f.verified(t, "ada@example.com")
		for range 11 {
			_, _ = f.signIn(t, "ada@example.com", "wrong password")
		}
		_, err := f.signIn(t, "ada@example.com", password)
		wantKind(t, err, fault.RateLimited)
		known := f.from
		known.Browser = up.Browser
		if _, err := f.SignIn(t.Context(), known, "ada@example.com", secret.NewPlaintext(password)); err != nil {
			t.Errorf("WEB-21: on a known browser: %v", err)
		}
	})
}

func TestDOS08_manySignInsAtOnceHashFewAtATime(t *testing.T) {
	f := newFixture(t, sqldbtest.New(t), func(c *signin.Config) { c.HashWorkers = 1 })
	f.verified(t, "ada@example.com")
	var (
		refused, wrong int
		all            sync.WaitGroup
		mu             sync.Mutex
	)
	for range 200 {
		all.Go(func() {
			_, err := f.signIn(t, "nobody@example.com", password)
			mu.Lock()
			defer mu.Unlock()
			switch fault.KindOf(err) {
			case fault.Unavailable, fault.RateLimited:
				refused++
			case fault.Unauthenticated:
				wrong++
			default:
				t.Errorf("error = %v", err)
			}
		})
	}
	all.Wait()
	if refused == 0 || wrong == 0 {
		t.Errorf("DOS-08: %d refused, %d answered", refused, wrong)
	}
}

func TestSignInsAreInTheAuditLogOfTheOrganisation(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		up := f.verified(t, "ada@example.com")
		if _, err := f.signIn(t, "ada@example.com", password); err != nil {
			t.Fatal(err)
		}
		_, err := f.signIn(t, "ada@example.com", "wrong password")
		wantKind(t, err, fault.Unauthenticated)
		if err := f.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := rows(t, f.DB, `SELECT action FROM audit WHERE organisation_id = $1 AND subject = $2 ORDER BY seq`, up.Organisation, up.Session.Person.ID)
		if diff := cmp.Diff([]string{"member.add", "sign-in", "sign-in", "sign-in.refuse"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// The audit log is kept for ever, so whoever guesses on and on must not fill it.
func TestWrongPasswordsDoNotFloodTheAuditLog(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sqldbtest.New(t), nil)
	ada, bob := f.verified(t, "ada@example.com"), f.verified(t, "bob@example.com")
	guess := func(times int, email string) {
		for range times {
			f.clock.add(30 * time.Second) // as the throttle lets through
			_, err := f.signIn(t, email, "wrong password")
			wantKind(t, err, fault.Unauthenticated)
		}
		if err := f.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	recorded := func(of signin.SignedUp) int {
		return len(rows(t, f.DB, `SELECT action FROM audit WHERE organisation_id = $1 AND action = 'sign-in.refuse'`, of.Organisation))
	}
	guess(20, "ada@example.com")
	if n := recorded(ada); n != 20 {
		t.Errorf("of the first 20 wrong passwords %d were recorded", n)
	}
	guess(40, "ada@example.com")
	if n := recorded(ada); n < 22 || n > 26 {
		t.Errorf("after 20 minutes more, with 40 wrong passwords, %d were recorded, want one each 5 minutes", n)
	}
	t.Run("twin", func(t *testing.T) {
		guess(1, "bob@example.com")
		if n := recorded(bob); n != 1 {
			t.Errorf("of somebody else's first %d were recorded", n)
		}
	})
}

func TestSEC03_noPasswordOrCookieIsInTheDatabase(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		up := f.signUp(t, "ada@example.com")
		for _, query := range []string{`SELECT password FROM person`, `SELECT digest FROM session`, `SELECT digest FROM browser`, `SELECT content FROM audit`} {
			for _, value := range rows(t, f.DB, query) {
				for _, canary := range []string{password, up.Cookie.Reveal(), up.Browser.Reveal()} {
					if value == "" || canary == "" || strings.Contains(value, canary) {
						t.Errorf("SEC-03: %s: %q", query, value)
					}
				}
			}
		}
		digest := rows(t, f.DB, `SELECT digest FROM session`)[0]
		_, err := f.Session(t.Context(), secret.NewPlaintext(digest))
		wantKind(t, err, fault.Unauthenticated)
		t.Run("twin", func(t *testing.T) { f.session(t, up.Cookie) })
	})
}
