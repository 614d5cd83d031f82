package registry

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// MaxUnverified is how many people of one address may wait for its verification.
const MaxUnverified = 3

// Person is a human who signs in.
type Person struct {
	ID         id.Person `json:"id"`
	Email      string    `json:"email"`
	Name       string    `json:"name,omitempty"`       // may be empty
	Password   string    `json:"-"`                    // its hash; empty: none yet
	VerifiedAt time.Time `json:"verified_at,omitzero"` // zero: the address may be someone else's
	NoMails    bool      `json:"no_mails,omitempty"`   // about client secrets that end
	Version    int64     `json:"version"`              // raised by each edit
	CreatedAt  time.Time `json:"created_at"`
}

// Title is what to call the person: their name, else their address.
func (p *Person) Title() string {
	if p.Name != "" {
		return p.Name
	}
	return p.Email
}

// CreatePerson makes a person who belongs to no organisation yet. Only jobs of
// the system make it: people sign up, or are invited.
type CreatePerson struct {
	ID       id.Person `json:"id"`
	Email    string    `json:"email"`
	Name     string    `json:"name,omitempty"`
	Password string    `json:"-"`                  // its hash
	Verified bool      `json:"verified,omitempty"` // the address was proved to be theirs
}

func (e CreatePerson) apply(ctx context.Context, c *change) error {
	c.says("person.create", "", string(e.ID))
	if err := c.isSystem(); err != nil {
		return err
	}
	if _, ok := id.ParsePerson(string(e.ID)); !ok {
		return fault.Errorf(fault.Invalid, "a person's id is p- and 20 of a-z and 0-9")
	}
	email, err := ParseEmail(e.Email)
	if err != nil {
		return err
	}
	if err := validPersonName(e.Name); err != nil {
		return err
	}
	if err := validHash(e.Password); err != nil {
		return err
	}
	if err := c.roomForPerson(ctx, email, e.Verified); err != nil {
		return err
	}
	now, verified := c.Now().UnixMicro(), int64(0)
	if e.Verified {
		verified = now
	}
	err = c.exec(ctx, `INSERT INTO person (id, email, email_key, name, password, verified_at, deleted_at, version, created_at) VALUES ($1, $2, $3, $4, $5, $6, 0, 1, $7)`,
		e.ID, email.Address, email.Key, e.Name, e.Password, verified, now)
	return isFree(err, "person")
}

// roomForPerson keeps an address to one verified person, and to a few others.
func (c *change) roomForPerson(ctx context.Context, email Email, verified bool) error {
	if verified {
		taken, err := exists(ctx, c.tx, `SELECT EXISTS (SELECT 1 FROM person WHERE email_key = $1 AND verified_at > 0 AND deleted_at = 0)`, email.Key)
		if taken {
			return fault.Errorf(fault.Conflict, "somebody with this e-mail address is here already: sign in as them")
		}
		return err
	}
	var waiting int
	err := c.tx.QueryRow(ctx, `SELECT count(*) FROM person WHERE email_key = $1 AND verified_at = 0 AND deleted_at = 0`, email.Key).Scan(&waiting)
	if err == nil && waiting >= MaxUnverified {
		return fault.Errorf(fault.RateLimited, "%d sign-ups with this e-mail address wait for its verification: open the link in one of the mails", waiting)
	}
	return err
}

// RenamePerson changes the name of the actor, a person.
type RenamePerson struct {
	Name string `json:"name"`
	Base int64  `json:"base,omitempty"`
}

func (e RenamePerson) apply(ctx context.Context, c *change) error {
	p, err := c.self(ctx, e.Base)
	if err != nil {
		return err
	}
	c.says("person.rename", "", string(p.ID))
	if err := validPersonName(e.Name); err != nil {
		return err
	}
	return c.exec(ctx, `UPDATE person SET name = $1, version = version + 1 WHERE id = $2`, e.Name, p.ID)
}

// ChooseMails says whether the actor, a person, wants to be told before client
// secrets end for which they answer.
type ChooseMails struct {
	SecretsEnding bool  `json:"secrets_ending"`
	Base          int64 `json:"base,omitempty"`
}

func (e ChooseMails) apply(ctx context.Context, c *change) error {
	p, err := c.self(ctx, e.Base)
	if err != nil {
		return err
	}
	c.says("person.mails", "", string(p.ID))
	return c.exec(ctx, `UPDATE person SET secret_mails = $1, version = version + 1 WHERE id = $2`, e.SecretsEnding, p.ID)
}

// VerifyPerson says that a person's address was proved to be theirs. It is a
// conflict when somebody else proved that before.
type VerifyPerson struct {
	Person id.Person `json:"person"`
}

func (e VerifyPerson) apply(ctx context.Context, c *change) error {
	c.says("person.verify", "", string(e.Person))
	p, err := c.person(ctx, e.Person)
	if err != nil {
		return err
	}
	if err := c.isSystem(); err != nil {
		return err
	}
	if !p.VerifiedAt.IsZero() {
		return nil
	}
	email, err := ParseEmail(p.Email)
	if err != nil {
		return err
	}
	if err := c.roomForPerson(ctx, email, true); err != nil {
		return err
	}
	if err := c.exec(ctx, `DELETE FROM link WHERE person_id = $1 AND purpose = 'verify'`, p.ID); err != nil {
		return err
	}
	return c.exec(ctx, `UPDATE person SET verified_at = $1, version = version + 1 WHERE id = $2`, c.Now().UnixMicro(), p.ID)
}

// SetPassword changes a person's password, and ends their sessions but the
// actor's own and the links that would set it. A person sets their own, right after giving the old one; a job
// of the system sets that of whoever proved the address.
type SetPassword struct {
	Person   id.Person `json:"person"`
	Password string    `json:"-"` // its hash
}

func (e SetPassword) apply(ctx context.Context, c *change) error {
	p, err := c.person(ctx, e.Person)
	if err != nil {
		return err
	}
	c.says("person.password", "", string(p.ID))
	if err := validHash(e.Password); err != nil {
		return err
	}
	if err := c.recently(); err != nil {
		return err
	}
	err = c.exec(ctx, `UPDATE person SET password = $1, version = version + 1 WHERE id = $2`, e.Password, p.ID)
	if err != nil {
		return err
	}
	if err := c.exec(ctx, `DELETE FROM session WHERE person_id = $1 AND id <> $2`, p.ID, c.by.Credential()); err != nil {
		return err
	}
	return c.exec(ctx, `DELETE FROM link WHERE person_id = $1 AND purpose = 'reset'`, p.ID)
}

// person loads the actor itself, or for a job of the system anybody.
func (c *change) person(ctx context.Context, key id.Person) (Person, error) {
	if c.by.Kind() != actor.System && c.by.Person() != key {
		return Person{}, fault.Errorf(fault.Forbidden, "only the person themselves can do this")
	}
	p, err := loadPerson(ctx, c.tx, key)
	c.before = p
	return p, err
}

// self loads the actor, who must be a person.
func (c *change) self(ctx context.Context, base int64) (Person, error) {
	if c.by.Kind() != actor.Person {
		return Person{}, fault.Errorf(fault.Forbidden, "only a person can do this, for themselves")
	}
	p, err := c.person(ctx, c.by.Person())
	if err != nil {
		return p, err
	}
	return p, stale(base, p.Version, "your profile")
}

// actorTitle is what to call the actor.
func (c *change) actorTitle(ctx context.Context) (string, error) {
	name := nameOf(c.by.String())
	if c.by.Kind() != actor.Person {
		return name, nil
	}
	p, err := loadPerson(ctx, c.tx, c.by.Person())
	if fault.KindOf(err) == fault.NotFound {
		return name, nil
	}
	return p.Title(), err
}

// isSystem lets only the system's own jobs through.
func (c *change) isSystem() error {
	if c.by.Kind() == actor.System {
		return nil
	}
	return fault.Errorf(fault.Forbidden, "people come by signing up or by an invitation: invite them")
}

func validPersonName(name string) error {
	if name == "" {
		return nil
	}
	return validName("person's name", name)
}

// validHash tells a password's hash from a password.
func validHash(hash string) error {
	if strings.HasPrefix(hash, "$argon2id$") && len(hash) <= 200 && strings.IndexFunc(hash, func(r rune) bool { return r <= ' ' || r > '~' }) < 0 {
		return nil
	}
	return fault.Errorf(fault.Invalid, "a password is set by its hash: only who hashed it can set it")
}

const personColumns = `id, email, name, password, verified_at, NOT secret_mails, version, created_at`

func scanPerson(row scanner) (p Person, err error) {
	var verified, created int64
	err = row.Scan(&p.ID, &p.Email, &p.Name, &p.Password, &verified, &p.NoMails, &p.Version, &created)
	p.VerifiedAt, p.CreatedAt = fromMicros(verified), fromMicros(created)
	return p, err
}

func loadPerson(ctx context.Context, tx *sqldb.Tx, key id.Person) (Person, error) {
	if _, ok := id.ParsePerson(string(key)); !ok {
		return Person{}, unknown("person")
	}
	p, err := scanPerson(tx.QueryRow(ctx, `SELECT `+personColumns+` FROM person WHERE id = $1 AND deleted_at = 0`, key))
	return p, notFound(err, "person", key)
}

// Person returns a person by id, with their password's hash: for signing them
// in. Members see each other through [Registry.Members].
func (r *Registry) Person(ctx context.Context, key id.Person) (p Person, err error) {
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		p, err = loadPerson(ctx, tx, key)
		return err
	})
	return p, err
}

// UnverifiedOf returns the people who signed up with an address and have not
// verified it, the newest first.
func (r *Registry) UnverifiedOf(ctx context.Context, email Email) (all []Person, err error) {
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		all, err = rowsOf(ctx, tx, scanPerson, `SELECT `+personColumns+` FROM person WHERE email_key = $1 AND verified_at = 0 AND deleted_at = 0 ORDER BY created_at DESC, id`, email.Key)
		return err
	})
	return all, err
}

// PersonOf returns the verified person of an address, and ok false if there is
// none.
func (r *Registry) PersonOf(ctx context.Context, email Email) (p Person, ok bool, err error) {
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		p, err = scanPerson(tx.QueryRow(ctx, `SELECT `+personColumns+` FROM person WHERE email_key = $1 AND verified_at > 0 AND deleted_at = 0`, email.Key))
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return Person{}, false, nil
	}
	return p, err == nil, err
}
