// Package signin knows people: it signs them up and in, keeps their sessions,
// and makes the Actor with which a request of theirs acts.
//
// It hides passwords, cookies and the tables behind them. What must stay true:
// a password, cookie, link or recovery code is stored as its hash alone, the seed
// of a second factor sealed; signing in costs one password hash whatever the
// answer, which is the same for an unknown address and a wrong password; no code
// and no link works twice; roles are read anew for every request; and what a
// session has shown (second factor, recent password) is said in one place,
// [People.Actor], and judged in one, actor.Actor.May.
package signin

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/throttle"
)

// Config is what People work with. The first eight fields are needed.
type Config struct {
	DB       *sqldb.DB
	Registry *registry.Registry
	Mail     *mail.Outbox
	Sealer   *secret.Sealer // seals second factors
	Issuer   string         // what authenticator programs call this installation
	Now      func() time.Time
	Rand     io.Reader
	Log      *slog.Logger
	// HashWorkers bounds the passwords hashed at one time; 0 means 2. Each takes
	// 19 MiB and a core for about 30 ms.
	HashWorkers int
	// ByInvitation closes signing up to those without an invitation.
	ByInvitation bool
	// Together counts guesses with the other nodes; nil: this one alone.
	Together *throttle.Together
}

// People signs people up and in. It is safe for concurrent use.
type People struct {
	Config
	log      journal.Log
	hasher   *hasher
	guesses  *throttle.Failures // of a person's password, from anywhere
	known    *throttle.Failures // of the same on a browser that the person used before
	codes    *throttle.Failures // of a person's second factor
	newcomer *throttle.Rate     // sign-ups from one address
	asking   *throttle.Rate     // links asked for from one address
	refused  *throttle.Rate     // wrong passwords of a person that are recorded
	asked    chan ask
}

// Origin is where a request comes from.
type Origin struct {
	Address   netip.Addr
	UserAgent string
	RequestID string
	// Browser is the cookie that names the person who used this browser before;
	// empty if there is none.
	Browser secret.Plaintext
}

// New returns People over a migrated database.
func New(config Config) *People {
	if config.HashWorkers <= 0 {
		config.HashWorkers = 2
	}
	guesses := func(name string, perAddress int, window time.Duration) *throttle.Failures {
		return throttle.NewFailures(throttle.Config{
			PerClient: 10, PerAddress: perAddress, Window: window, MaxEntries: 1 << 14, Now: config.Now, AnyAddress: true,
			Together: config.Together, Name: name,
		})
	}
	return &People{
		Config:   config,
		log:      journal.Log{Now: config.Now, Rand: config.Rand},
		hasher:   newHasher(config.HashWorkers, config.Rand),
		guesses:  guesses("password", 50, 5*time.Minute),
		known:    guesses("password of a known browser", -1, 5*time.Minute),
		codes:    guesses("second factor", -1, 15*time.Minute),
		newcomer: throttle.NewRate(10.0/3600, 10, 1<<14, config.Now),
		asking:   throttle.NewRate(20.0/3600, 20, 1<<14, config.Now),
		refused:  throttle.NewRate(1.0/300, 20, 1<<14, config.Now),
		asked:    make(chan ask, waitingAsks),
	}
}

// Newcomer is what somebody gives who signs up.
type Newcomer struct {
	Email        string
	Password     secret.Plaintext
	Name         string // may be empty
	Organisation string // the name of theirs
}

// SignedUp is what came of signing up.
type SignedUp struct {
	SignedIn
	Organisation id.Organisation
	Account      id.Account // sandbox
}

// SignUp makes, in one transaction, a person whose address is not verified
// yet, their organisation, its account "Sandbox", and their place as its admin,
// and signs them in. Whether somebody else has the address does not show.
func (p *People) SignUp(ctx context.Context, from Origin, n Newcomer) (up SignedUp, err error) {
	if p.ByInvitation {
		return up, fault.Errorf(fault.Forbidden, "signing up is by invitation here: ask the operator for one")
	}
	email, err := registry.ParseEmail(n.Email)
	if err != nil {
		return up, err
	}
	if wait, ok := p.newcomer.AllowAddress(from.Address); !ok {
		return up, tooMany(wait)
	}
	if err := checkPassword(n.Password, email.Address, n.Name, n.Organisation); err != nil {
		return up, err
	}
	hash, err := p.hasher.hash(ctx, n.Password)
	if err != nil {
		return up, err
	}
	up.Organisation, up.Account = id.NewOrganisation(p.Rand), id.NewAccount(p.Rand, id.Sandbox)
	by := actor.NewSystem("sign-up").From(from.Address, from.RequestID).In(up.Organisation)
	person := registry.Person{ID: id.NewPerson(p.Rand), Email: email.Address, Name: n.Name, Password: hash, Version: 1, CreatedAt: p.Now()}
	admin := []actor.RoleGrant{{Role: actor.OrganisationAdmin}}
	err = p.DB.Update(ctx, func(tx *sqldb.Tx) error {
		err := p.Registry.ApplyIn(ctx, tx, by,
			registry.CreatePerson{ID: person.ID, Email: person.Email, Name: person.Name, Password: hash},
			registry.CreateOrganisation{ID: up.Organisation, Name: n.Organisation},
			registry.CreateAccount{ID: up.Account, Name: "Sandbox"},
			registry.AddMember{Person: person.ID, Roles: admin})
		if err != nil {
			return err
		}
		places := []registry.Membership{{Organisation: up.Organisation, Name: n.Organisation, Roles: admin, SandboxOnly: true, Sandboxes: []id.Account{up.Account}, Version: 1}}
		if up.SignedIn, err = p.begin(ctx, tx, from, person, places); err != nil {
			return err
		}
		return p.mailVerification(ctx, tx, &person)
	})
	return up, err
}

// SignedIn is a session that has just begun or got a new id, and the values
// of the cookies to set. They cannot be read again.
type SignedIn struct {
	Session Session
	Cookie  secret.Plaintext // of the session
	Browser secret.Plaintext // names the person on this browser; zero: leave the old one
}

// SignIn begins a session for whoever knows the password of the verified person
// of an address, or, on the browser that signed up, of the one not yet verified.
// Any other answer is fault.Unauthenticated, and after too many of them
// fault.RateLimited.
func (p *People) SignIn(ctx context.Context, from Origin, address string, password secret.Plaintext) (in SignedIn, err error) {
	who, err := p.claimed(ctx, from, address)
	if err != nil {
		return in, err
	}
	if err := p.compare(ctx, from, who, password); err != nil {
		return in, err
	}
	return p.signIn(ctx, from, who.person)
}

// compare refuses a wrong password, so many times.
func (p *People) compare(ctx context.Context, from Origin, who claimant, password secret.Plaintext) error {
	right, err := counted(ctx, who.throttle, who.key, from.Address, func() (bool, error) {
		return p.hasher.verify(ctx, who.person.Password, password)
	})
	if err != nil || right {
		return err
	}
	return p.wrong(ctx, from, who)
}

// counted lets check judge a guess, unless there were too many wrong ones. The
// guess counts until it is judged: of many at once no more get through than one
// after the other.
func counted(ctx context.Context, guesses *throttle.Failures, key string, from netip.Addr, check func() (bool, error)) (right bool, err error) {
	forgive, wait := guesses.Attempt(ctx, key, from)
	if wait > 0 {
		return false, tooMany(wait)
	}
	if right, err = check(); right || err != nil {
		forgive()
	}
	return right, err
}

// signIn begins a session of a person who has just given their password.
func (p *People) signIn(ctx context.Context, from Origin, person registry.Person) (in SignedIn, err error) {
	places, err := p.Registry.Memberships(ctx, person.ID)
	if err != nil {
		return in, err
	}
	err = p.DB.Update(ctx, func(tx *sqldb.Tx) error {
		in, err = p.begin(ctx, tx, from, person, places)
		return err
	})
	return in, err
}

// claimant is the person that somebody says to be; without an id it is nobody,
// whose password never fits.
type claimant struct {
	person   registry.Person
	email    registry.Email
	key      string // counts wrong passwords
	throttle *throttle.Failures
}

// claimed finds the one person whose password will be compared. Wrong passwords
// count for the address however it is spelled, known or not; on a browser that
// the person used before they count apart, so that nobody locks them out.
func (p *People) claimed(ctx context.Context, from Origin, address string) (who claimant, err error) {
	email, err := registry.ParseEmail(address)
	if err != nil {
		return claimant{key: address, throttle: p.guesses}, nil //nolint:nilerr // like an address that nobody has
	}
	used, err := p.browserOf(ctx, from.Browser)
	if err != nil {
		return who, err
	}
	if used.ID != "" {
		if key, err := registry.ParseEmail(used.Email); err == nil && key.Key == email.Key {
			return claimant{used, email, string(used.ID), p.known}, nil
		}
	}
	person, _, err := p.Registry.PersonOf(ctx, email)
	return claimant{person, email, email.Key, p.guesses}, err
}

// wrong answers a wrong password, and records it if the person is known. Who
// signed up elsewhere and has not verified the address gets the link by mail.
func (p *People) wrong(ctx context.Context, from Origin, who claimant) error {
	a := ask{email: who.email, refused: who.person.ID, from: from}
	if !p.ask(a) && a.refused != "" { // in a flood the record counts more than the time
		if err := p.answer(ctx, a); err != nil {
			return err
		}
	}
	return errWrong
}

var errWrong = fault.Errorf(fault.Unauthenticated, "e-mail address and password do not fit: check both, or reset the password")

func tooMany(wait time.Duration) error {
	return &fault.Error{Kind: fault.RateLimited, Code: fault.TooManyRequests, Message: "too many attempts: wait a little, then try again", RetryAfter: wait}
}

// record writes into the audit log of each organisation of the person what
// they did, or into the operator's if they have none.
func (p *People) record(ctx context.Context, from Origin, person id.Person, session, action string) error {
	memberships, err := p.Registry.Memberships(ctx, person)
	if err != nil {
		return err
	}
	return p.DB.Update(ctx, func(tx *sqldb.Tx) error {
		return p.recordIn(ctx, tx, from, person, session, action, memberships)
	})
}

func (p *People) recordIn(ctx context.Context, tx *sqldb.Tx, from Origin, person id.Person, session, action string, memberships []registry.Membership) error {
	organisations := []id.Organisation{""}
	for i, m := range memberships {
		organisations = append(organisations[:i], m.Organisation)
	}
	for _, organisation := range organisations {
		by := actor.NewPerson(person, organisation, session).From(from.Address, from.RequestID)
		event := journal.Event{Action: action, Subject: string(person), Organisation: organisation, Content: map[string]string{"session": session, "user_agent": from.agent()}}
		if err := p.log.Append(ctx, tx, by, event); err != nil {
			return err
		}
	}
	return nil
}
