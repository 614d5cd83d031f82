package signin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

// How long sessions last.
const (
	IdleTime     = 12 * time.Hour       // without a request
	SessionTime  = 7 * 24 * time.Hour   // in all
	RecentTime   = 15 * time.Minute     // what counts as a recent sign-in
	BrowserTime  = 365 * 24 * time.Hour // a browser is remembered
	seenInterval = time.Minute          // between notes of a session's last request
)

// Session is one sign-in of one person on one browser.
type Session struct {
	ID          string // public: in lists and the audit log; new with each step up
	Person      registry.Person
	Memberships []registry.Membership
	CreatedAt   time.Time
	ProvedAt    time.Time // when the password was last given; zero: never
	FactorAt    time.Time // when the second factor was last given; zero: never
	SeenAt      time.Time
	EndsAt      time.Time
	Address     string
	UserAgent   string
	Factor      bool // the person has a second factor
}

// Recent says whether the person proved within the last minutes who they are,
// with the second factor if they have one.
func (s *Session) Recent(now time.Time) bool {
	return within(s.ProvedAt, now) && (!s.Factor || within(s.FactorAt, now))
}

func within(proved, now time.Time) bool { return !proved.IsZero() && now.Sub(proved) < RecentTime }

// Pending says that the session still waits for the second factor: until
// [People.GiveFactor] it is good for nothing else.
func (s *Session) Pending() bool { return s.Factor && s.FactorAt.IsZero() }

// Session returns the session of a cookie, and notes that it was used.
// fault.Unauthenticated says that it ended or never was.
func (p *People) Session(ctx context.Context, cookie secret.Plaintext) (s Session, err error) {
	now := p.Now()
	err = p.DB.View(ctx, func(tx *sqldb.Tx) error {
		s, err = scanSession(tx.QueryRow(ctx, `SELECT `+sessionSelection+` FROM session WHERE digest = $1`, digestOf(cookie)))
		return err
	})
	if errors.Is(err, sql.ErrNoRows) || err == nil && s.over(now) {
		return Session{}, errNoSession
	}
	if err != nil {
		return Session{}, fmt.Errorf("load a session: %w", err)
	}
	if s.Person, err = p.Registry.Person(ctx, s.Person.ID); err != nil {
		if fault.KindOf(err) == fault.NotFound {
			return Session{}, errNoSession
		}
		return Session{}, err
	}
	if s.Memberships, err = p.Registry.Memberships(ctx, s.Person.ID); err != nil {
		return Session{}, err
	}
	if now.Sub(s.SeenAt) >= seenInterval {
		err = p.DB.Write(ctx, func(tx *sqldb.Tx) error {
			if _, err := tx.Exec(ctx, `UPDATE session SET seen_at = $1 WHERE id = $2`, now.UnixMicro(), s.ID); err != nil || s.Pending() {
				return err
			}
			return noteSeen(ctx, tx, s.Person.ID, now)
		})
	}
	return s, err
}

var errNoSession = fault.Errorf(fault.Unauthenticated, "your session has ended: sign in again")

func (s *Session) over(now time.Time) bool {
	return !now.Before(s.EndsAt) || now.Sub(s.SeenAt) >= IdleTime || s.Pending() && now.Sub(s.CreatedAt) >= PendingTime
}

// Actor returns the person of a session acting in an organisation, or without
// one at the operator's level, with the roles that they have there. It is
// fault.NotFound when they have none, as for an organisation that is not there,
// and actor.ErrSecondFactor while the session is pending.
func (p *People) Actor(s *Session, organisation id.Organisation, from Origin) (actor.Actor, error) {
	if err := s.whole(); err != nil {
		return actor.Actor{}, err
	}
	var roles []actor.RoleGrant
	proof := actor.Proof{
		SecondFactor: !s.FactorAt.IsZero(), Recent: s.Recent(p.Now()), Verified: !s.Person.VerifiedAt.IsZero(), Memberships: map[id.Organisation]int64{},
	}
	for _, m := range s.Memberships {
		if m.Organisation == organisation || m.Organisation == "" {
			roles, proof.Memberships[m.Organisation] = append(roles, m.Roles...), m.Version
		}
		if m.Organisation == organisation {
			proof.SandboxOnly, proof.Sandboxes = m.SandboxOnly, m.Sandboxes
		}
	}
	if len(roles) == 0 {
		return actor.Actor{}, fault.Errorf(fault.NotFound, "there is no such organisation, or you are not a member of it")
	}
	return actor.NewPerson(s.Person.ID, organisation, s.ID, roles...).Proven(proof).From(from.Address, from.RequestID), nil
}

// Self returns the person of a session acting for themselves: it renames them,
// accepts invitations and the like, and has no right in any organisation. While
// the session is pending it is nobody.
func (p *People) Self(s *Session, from Origin) actor.Actor {
	if s.Pending() {
		return actor.Actor{}
	}
	return actor.NewPerson(s.Person.ID, "", s.ID).From(from.Address, from.RequestID).
		Proven(actor.Proof{SecondFactor: !s.FactorAt.IsZero(), Recent: s.Recent(p.Now()), Verified: !s.Person.VerifiedAt.IsZero()})
}

// SignOut ends a session.
func (p *People) SignOut(ctx context.Context, from Origin, s *Session) error {
	return p.EndSession(ctx, from, s, s.ID)
}

// Sessions returns the person's sessions that have not ended, the newest first.
func (p *People) Sessions(ctx context.Context, s *Session) (all []Session, err error) {
	if err := s.whole(); err != nil {
		return nil, err
	}
	now := p.Now()
	err = p.DB.View(ctx, func(tx *sqldb.Tx) error {
		all = nil
		rows, err := tx.Query(ctx, `SELECT `+sessionSelection+` FROM session WHERE person_id = $1 ORDER BY created_at DESC, id`, s.Person.ID)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			one, err := scanSession(rows)
			if err != nil {
				return err
			}
			if !one.over(now) {
				all = append(all, one)
			}
		}
		return rows.Err()
	})
	return all, err
}

// EndSession ends one of the person's sessions. A pending one can end itself.
func (p *People) EndSession(ctx context.Context, from Origin, s *Session, key string) error {
	if err := s.whole(); err != nil && key != s.ID {
		return err
	}
	return p.DB.Update(ctx, func(tx *sqldb.Tx) error {
		result, err := tx.Exec(ctx, `DELETE FROM session WHERE id = $1 AND person_id = $2`, key, s.Person.ID)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fault.Errorf(fault.NotFound, "there is no such session, or it has ended already"))
		}
		return p.recordIn(ctx, tx, from, s.Person.ID, key, "session.end", s.Memberships)
	})
}

// EndOtherSessions signs the person out everywhere else.
func (p *People) EndOtherSessions(ctx context.Context, from Origin, s *Session) error {
	if err := s.whole(); err != nil {
		return err
	}
	return p.DB.Update(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM session WHERE person_id = $1 AND id <> $2`, s.Person.ID, s.ID); err != nil {
			return err
		}
		return p.recordIn(ctx, tx, from, s.Person.ID, s.ID, "session.end-others", s.Memberships)
	})
}

// begin opens a session of a person who has just given their password, and
// remembers the browser.
func (p *People) begin(ctx context.Context, tx *sqldb.Tx, from Origin, person registry.Person, places []registry.Membership) (in SignedIn, err error) {
	if err := isPassword(ctx, tx, &person); err != nil {
		return in, err
	}
	now := p.Now()
	factor, err := hasFactor(ctx, tx, person.ID)
	if err != nil {
		return in, err
	}
	in, err = p.insertSession(ctx, tx, Session{
		Factor: factor,
		Person: person, Memberships: places, CreatedAt: now, ProvedAt: now, SeenAt: now, EndsAt: now.Add(SessionTime),
		Address: from.Address.String(), UserAgent: from.agent(),
	})
	if err != nil {
		return in, err
	}
	if in.Browser, err = p.rememberBrowser(ctx, tx, from, person.ID); err != nil {
		return in, err
	}
	return in, p.recordIn(ctx, tx, from, person.ID, in.Session.ID, "sign-in", places)
}

// isPassword refuses a person whose password was changed since it was compared,
// which ended all sessions: this one would outlive that.
func isPassword(ctx context.Context, tx *sqldb.Tx, person *registry.Person) error {
	var same bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM person WHERE id = $1 AND password = $2 AND deleted_at = 0)`, person.ID, person.Password).Scan(&same)
	if err == nil && !same {
		return errWrong
	}
	return err
}

// insertSession stores a session under an id and a cookie that nobody had.
func (p *People) insertSession(ctx context.Context, tx *sqldb.Tx, s Session) (in SignedIn, err error) {
	if in.Cookie, err = secret.NewToken(p.Rand); err != nil {
		return in, err
	}
	s.ID = "s-" + strings.TrimPrefix(string(id.NewPerson(p.Rand)), "p-")
	in.Session = s
	_, err = tx.Exec(ctx, `INSERT INTO session (digest, `+sessionColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		digestOf(in.Cookie), s.ID, s.Person.ID, micros(s.CreatedAt), micros(s.ProvedAt), micros(s.FactorAt), micros(s.SeenAt), micros(s.EndsAt), s.Address, s.UserAgent)
	if err != nil || s.Pending() { // the second factor is yet to come
		return in, err
	}
	return in, noteSeen(ctx, tx, s.Person.ID, s.SeenAt)
}

// noteSeen keeps when a person was here beyond their sessions.
func noteSeen(ctx context.Context, tx *sqldb.Tx, person id.Person, at time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE person SET seen_at = $1 WHERE id = $2 AND seen_at < $1`, micros(at), person)
	return err
}

// renewSession gives a session another id and cookie, and stores what else
// became of it: nobody who knew the old ones gains what it has now.
func (p *People) renewSession(ctx context.Context, tx *sqldb.Tx, s Session) (in SignedIn, err error) {
	result, err := tx.Exec(ctx, `DELETE FROM session WHERE id = $1 AND person_id = $2`, s.ID, s.Person.ID)
	if err != nil {
		return in, err
	}
	if there, err := result.RowsAffected(); err != nil || there == 0 { // ended meanwhile, by a new password for one
		return in, errors.Join(err, errNoSession)
	}
	return p.insertSession(ctx, tx, s)
}

const sessionColumns = `id, person_id, created_at, proved_at, factor_at, seen_at, ends_at, address, user_agent`

// sessionSelection is what scanSession reads.
const sessionSelection = sessionColumns + `, EXISTS (SELECT 1 FROM factor WHERE factor.person_id = session.person_id AND seed IS NOT NULL)`

func scanSession(row interface{ Scan(into ...any) error }) (s Session, err error) {
	var created, proved, factor, seen, ends int64
	err = row.Scan(&s.ID, &s.Person.ID, &created, &proved, &factor, &seen, &ends, &s.Address, &s.UserAgent, &s.Factor)
	s.CreatedAt, s.ProvedAt, s.FactorAt = fromMicros(created), fromMicros(proved), fromMicros(factor)
	s.SeenAt, s.EndsAt = fromMicros(seen), fromMicros(ends)
	return s, err
}

// browserOf is the person whom a browser's cookie names; without an id if none.
func (p *People) browserOf(ctx context.Context, cookie secret.Plaintext) (person registry.Person, err error) {
	var key id.Person
	err = p.DB.View(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, `SELECT person_id FROM browser WHERE digest = $1 AND ends_at > $2`, digestOf(cookie), p.Now().UnixMicro()).Scan(&key)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return person, nil
	}
	if err == nil {
		person, err = p.Registry.Person(ctx, key)
	}
	if fault.KindOf(err) == fault.NotFound {
		return registry.Person{}, nil
	}
	return person, err
}

// rememberBrowser gives the browser a new cookie that names the person, in
// place of the one that it had.
func (p *People) rememberBrowser(ctx context.Context, tx *sqldb.Tx, from Origin, person id.Person) (secret.Plaintext, error) {
	if _, err := tx.Exec(ctx, `DELETE FROM browser WHERE digest = $1 OR person_id = $2 AND ends_at <= $3`, digestOf(from.Browser), person, p.Now().UnixMicro()); err != nil {
		return secret.Plaintext{}, err
	}
	cookie, err := secret.NewToken(p.Rand)
	if err != nil {
		return cookie, err
	}
	now := p.Now()
	_, err = tx.Exec(ctx, `INSERT INTO browser (digest, person_id, created_at, ends_at) VALUES ($1, $2, $3, $4)`, digestOf(cookie), person, now.UnixMicro(), now.Add(BrowserTime).UnixMicro())
	return cookie, err
}

func digestOf(token secret.Plaintext) []byte { return secret.DigestOf(token) }

// agent is the browser's name for itself, fit to store and to show.
func (o Origin) agent() string {
	const longest = 200
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, strings.ToValidUTF8(o.UserAgent, ""))
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "")
	}
	return text
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
