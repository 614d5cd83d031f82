package signin_test

import (
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

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

const (
	password  = "correct horse battery"
	dashboard = "https://dashboard.example.com"
)

// fixture is people over a fresh database.
type fixture struct {
	*signin.People
	clock *clock
	from  signin.Origin
}

// clock is a time that stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// seeded is a random source that gives the same bytes each time.
type seeded struct {
	mu     sync.Mutex
	source *rand.ChaCha8
}

func (s *seeded) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.source.Read(p)
}

// each runs a test once per engine, beside other tests.
func each(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	t.Parallel()
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) { test(t, newFixture(t, db, nil)) })
}

func newFixture(t testing.TB, db *sqldb.DB, change func(c *signin.Config)) *fixture {
	t.Helper()
	mint, err := secret.NewMint(make([]byte, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{clock: &clock{now: time.Date(2026, 2, 28, 23, 0, 0, 0, time.UTC)}}
	random := &seeded{source: rand.NewChaCha8([32]byte{7})}
	sealer, err := secret.NewSealer(make([]byte, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	outbox := mail.New(mail.Config{DB: db, Sealer: sealer, Now: f.clock.Now, Rand: random, Log: log, Dashboard: dashboard})
	r := registry.New(registry.Config{DB: db, Now: f.clock.Now, Rand: random, Mint: mint, Mail: outbox, IssuerPath: "/auth/open"})
	config := signin.Config{DB: db, Registry: r, Mail: outbox, Sealer: sealer, Issuer: "Example APIs", Now: f.clock.Now, Rand: random, Log: log}
	if change != nil {
		change(&config)
	}
	f.People = signin.New(config)
	f.from = signin.Origin{Address: netip.MustParseAddr("192.0.2.7"), UserAgent: "test", RequestID: "request-7"}
	return f
}

// signUp makes an unverified person and their organisation.
func (f *fixture) signUp(t testing.TB, email string) signin.SignedUp {
	t.Helper()
	up, err := f.SignUp(t.Context(), f.from, signin.Newcomer{Email: email, Password: secret.NewPlaintext(password), Organisation: "Analytical Engines"})
	if err != nil {
		t.Fatal(err)
	}
	return up
}

// verified makes a person whose address is verified.
func (f *fixture) verified(t testing.TB, email string) signin.SignedUp {
	t.Helper()
	up := f.signUp(t, email)
	if err := f.Registry.Apply(t.Context(), actor.NewSystem("test"), registry.VerifyPerson{Person: up.Session.Person.ID}); err != nil {
		t.Fatal(err)
	}
	return up
}

func (f *fixture) signIn(t testing.TB, email, with string) (signin.SignedIn, error) {
	t.Helper()
	return f.SignIn(t.Context(), f.from, email, secret.NewPlaintext(with))
}

func (f *fixture) session(t testing.TB, cookie secret.Plaintext) *signin.Session {
	t.Helper()
	s, err := f.Session(t.Context(), cookie)
	if err != nil {
		t.Fatal(err)
	}
	return &s
}

func (f *fixture) actor(t testing.TB, s *signin.Session, organisation id.Organisation) actor.Actor {
	t.Helper()
	by, err := f.Actor(s, organisation, f.from)
	if err != nil {
		t.Fatal(err)
	}
	return by
}

// mails answers what was asked for and returns the mails so far to an address,
// the newest first.
func (f *fixture) mails(t testing.TB, to string) (found []mail.Entry) {
	t.Helper()
	if err := f.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, _, err := f.Mail.List(t.Context(), false, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.Recipient == to {
			found = append(found, e)
		}
	}
	return found
}

// link is the token in the newest mail to an address, which leads to a path.
func (f *fixture) link(t testing.TB, to, path string) secret.Plaintext {
	t.Helper()
	for _, e := range f.mails(t, to) {
		var text string
		err := f.DB.View(t.Context(), func(tx *sqldb.Tx) (err error) {
			_, text, err = f.Mail.Open(t.Context(), tx, e.ID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, rest, ok := strings.Cut(text, dashboard+path); ok {
			token, _, _ := strings.Cut(rest, "\n")
			return secret.NewPlaintext(token)
		}
	}
	t.Fatalf("no mail to %s leads to %s", to, path)
	return secret.Plaintext{}
}

func wantKind(t testing.TB, err error, want fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != want {
		t.Errorf("error = %v (kind %v), want one of kind %v", err, fault.KindOf(err), want)
	}
}

// rows returns the rows of a query, as text.
func rows(t testing.TB, db *sqldb.DB, query string, args ...any) (all []string) {
	t.Helper()
	err := db.View(t.Context(), func(tx *sqldb.Tx) error {
		all = nil
		found, err := tx.Query(t.Context(), query, args...)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			var text string
			if err := found.Scan(&text); err != nil {
				return err
			}
			all = append(all, text)
		}
		return found.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
