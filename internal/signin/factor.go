package signin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"image/color"
	"net/netip"
	"time"

	"github.com/boombuler/barcode/qr"
	"github.com/pquerna/otp/totp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

const (
	// EnrolmentTime is how long a factor that is being set up waits for its code.
	EnrolmentTime = 15 * time.Minute
	// PendingTime is how long a session waits for the second factor.
	PendingTime = 10 * time.Minute
)

// Enrolment is a second factor that is being set up. It is shown once, and not in
// force until a code of it was given to [People.ConfirmFactor].
type Enrolment struct {
	URI    secret.Plaintext // otpauth://…, for an authenticator program
	Secret secret.Plaintext // the same in base32, for typing
	QR     [][]bool         // the same to be scanned: rows of modules, true is dark
}

// BeginFactor draws a new second factor for the person of a session, who signed
// in minutes ago, with the factor that is in force if there is one. That one
// stays in force until the new one is confirmed.
func (p *People) BeginFactor(ctx context.Context, s *Session) (e Enrolment, err error) {
	if err := p.recently(s); err != nil {
		return e, err
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: p.Issuer, AccountName: s.Person.Email, Rand: p.Rand})
	if err != nil {
		return e, fmt.Errorf("draw a second factor: %w", err)
	}
	e.URI, e.Secret = secret.NewPlaintext(key.URL()), secret.NewPlaintext(key.Secret())
	if e.QR, err = modules(key.URL()); err != nil {
		return e, err
	}
	sealed, err := p.Sealer.Seal(p.Rand, []byte(key.Secret()), pendingIdentity(s.Person.ID))
	if err != nil {
		return e, err
	}
	return e, p.DB.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO factor (person_id, last_step, pending, pending_until) VALUES ($1, 0, $2, $3)
			ON CONFLICT (person_id) DO UPDATE SET pending = $2, pending_until = $3`, s.Person.ID, sealed, p.Now().Add(EnrolmentTime).UnixMicro())
		return err
	})
}

func seedIdentity(person id.Person) string    { return "factor.seed/" + string(person) }
func pendingIdentity(person id.Person) string { return "factor.pending/" + string(person) }

// modules is the QR code of a text.
func modules(text string) (rows [][]bool, err error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return nil, fmt.Errorf("draw a QR code: %w", err)
	}
	for y := range code.Bounds().Dy() {
		row := make([]bool, code.Bounds().Dx())
		for x := range row {
			row[x] = code.At(x, y) == color.Black
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// ConfirmFactor puts the second factor that is being set up in force, by a code
// of it. It returns new recovery codes, which cannot be read again and end those
// from before. All other sessions end, and this one gets a new id.
func (p *People) ConfirmFactor(ctx context.Context, from Origin, s *Session, code string) (in SignedIn, codes []secret.Plaintext, err error) {
	if err := p.recently(s); err != nil {
		return in, nil, err
	}
	err = p.guessing(ctx, from, s, func(tx *sqldb.Tx) (right bool, err error) {
		seed, err := p.pendingSeed(ctx, tx, s.Person.ID)
		if err != nil {
			return false, err
		}
		step, right := stepOf(seed, code, p.Now())
		if !right {
			return false, nil
		}
		if codes, err = p.setFactor(ctx, tx, s.Person.ID, seed, step); err != nil {
			return false, err
		}
		in, err = p.stepUp(ctx, tx, from, s, "factor.set")
		return true, errors.Join(err, p.notify(ctx, tx, &s.Person, mail.FactorSet))
	})
	return in, codes, err
}

// pendingSeed is the seed of the factor that is being set up.
func (p *People) pendingSeed(ctx context.Context, tx *sqldb.Tx, person id.Person) (string, error) {
	var sealed []byte
	err := tx.QueryRow(ctx, `SELECT pending FROM factor WHERE person_id = $1 AND pending IS NOT NULL AND pending_until > $2`, person, p.Now().UnixMicro()).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fault.Errorf(fault.Conflict, "no second factor is being set up, or not any more: begin again")
	}
	if err != nil {
		return "", fmt.Errorf("load a second factor: %w", err)
	}
	seed, err := p.Sealer.Open(sealed, pendingIdentity(person))
	return string(seed), err
}

// setFactor puts a seed in force, with new recovery codes.
func (p *People) setFactor(ctx context.Context, tx *sqldb.Tx, person id.Person, seed string, step int64) ([]secret.Plaintext, error) {
	sealed, err := p.Sealer.Seal(p.Rand, []byte(seed), seedIdentity(person))
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, `UPDATE factor SET seed = $1, last_step = $2, pending = NULL, pending_until = 0 WHERE person_id = $3`, sealed, step, person)
	if err != nil {
		return nil, err
	}
	return p.newRecoveryCodes(ctx, tx, person)
}

// stepUp ends all sessions of the person but this one, which gets a new id and
// has shown the second factor now.
func (p *People) stepUp(ctx context.Context, tx *sqldb.Tx, from Origin, s *Session, action string) (in SignedIn, err error) {
	if _, err := tx.Exec(ctx, `DELETE FROM session WHERE person_id = $1 AND id <> $2`, s.Person.ID, s.ID); err != nil {
		return in, err
	}
	proved := *s
	proved.Factor, proved.FactorAt = true, p.Now()
	if in, err = p.renewSession(ctx, tx, proved); err != nil {
		return in, err
	}
	return in, p.recordIn(ctx, tx, from, s.Person.ID, in.Session.ID, action, s.Memberships)
}

// GiveFactor completes a sign-in, or shows the second factor anew, with a code of
// it or a recovery code. The session gets a new id. A wrong code is
// fault.Unauthenticated, and after too many of them fault.RateLimited.
func (p *People) GiveFactor(ctx context.Context, from Origin, s *Session, code string) (in SignedIn, err error) {
	err = p.guessing(ctx, from, s, func(tx *sqldb.Tx) (right bool, err error) {
		if right, err = p.takeCode(ctx, tx, &s.Person, code); err != nil || !right {
			return right, err
		}
		proved := *s
		proved.FactorAt = p.Now()
		if in, err = p.renewSession(ctx, tx, proved); err != nil {
			return false, err
		}
		return true, p.recordIn(ctx, tx, from, s.Person.ID, in.Session.ID, "sign-in.factor", s.Memberships)
	})
	return in, err
}

// Prove shows again who the person of a session is, by their password and, if
// they have a second factor, a code. The session gets a new id.
func (p *People) Prove(ctx context.Context, from Origin, s *Session, password secret.Plaintext, code string) (in SignedIn, err error) {
	if err := s.whole(); err != nil {
		return in, err
	}
	if err := p.checkPasswordOf(ctx, from, &s.Person, password); err != nil {
		return in, err
	}
	err = p.guessing(ctx, from, s, func(tx *sqldb.Tx) (right bool, err error) {
		proved := *s
		proved.ProvedAt = p.Now()
		if s.Factor {
			if right, err = p.takeCode(ctx, tx, &s.Person, code); err != nil || !right {
				return right, err
			}
			proved.FactorAt = p.Now()
		}
		if in, err = p.renewSession(ctx, tx, proved); err != nil {
			return false, err
		}
		return true, p.recordIn(ctx, tx, from, s.Person.ID, in.Session.ID, "sign-in.again", s.Memberships)
	})
	return in, err
}

// guessing runs a change that depends on a code, in one transaction, and refuses
// a wrong one, so many times.
func (p *People) guessing(ctx context.Context, from Origin, s *Session, change func(tx *sqldb.Tx) (right bool, err error)) error {
	right, err := counted(ctx, p.codes, string(s.Person.ID), netip.Addr{}, func() (right bool, err error) {
		err = p.DB.Update(ctx, func(tx *sqldb.Tx) (err error) {
			if right, err = change(tx); err != nil || right {
				return err
			}
			return p.recordIn(ctx, tx, from, s.Person.ID, s.ID, "sign-in.factor.refuse", s.Memberships)
		})
		return right, err
	})
	if err != nil || right {
		return err
	}
	return fault.Errorf(fault.Unauthenticated, "the code does not fit, or was used already: wait for the next one, or check the clock of the device")
}

// RemoveFactor takes the second factor of a session's person away. Who reaches
// production, or is of the operator's people, can only replace it.
func (p *People) RemoveFactor(ctx context.Context, from Origin, s *Session) (in SignedIn, err error) {
	if err := p.recently(s); err != nil {
		return in, err
	}
	for _, place := range s.Memberships {
		if place.Organisation == "" || !place.SandboxOnly {
			return in, fault.Errorf(fault.Conflict, "a second factor is needed where you are a member: set up another one in its place, or leave there first")
		}
	}
	err = p.DB.Update(ctx, func(tx *sqldb.Tx) error {
		if err := dropFactor(ctx, tx, s.Person.ID); err != nil {
			return err
		}
		if in, err = p.stepUp(ctx, tx, from, s, "factor.remove"); err != nil {
			return err
		}
		in.Session.Factor = false
		return p.notify(ctx, tx, &s.Person, mail.FactorRemoved)
	})
	return in, err
}

// DropFactor takes away the second factor of somebody who lost it, with all their
// recovery codes: they sign in with the password alone and set up another. It is
// for an operator admin with a recent sign-in, about others than themselves.
func (p *People) DropFactor(ctx context.Context, by actor.Actor, person id.Person) error {
	by = by.In("")
	switch err := by.Require(actor.MemberWrite, ""); {
	case err != nil:
		return err
	case !by.Operator() || by.Person() == person:
		return fault.Errorf(fault.Forbidden, "an operator admin does this, for somebody else: ask one")
	case !by.Recent():
		return actor.ErrRecentSignIn
	}
	whom, err := p.Registry.Person(ctx, person)
	if err != nil {
		return err
	}
	return p.DB.Update(ctx, func(tx *sqldb.Tx) error {
		if err := dropFactor(ctx, tx, person); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM session WHERE person_id = $1`, person); err != nil {
			return err
		}
		if err := p.log.Append(ctx, tx, by, journal.Event{Action: "factor.drop", Subject: string(person)}); err != nil {
			return err
		}
		return p.notify(ctx, tx, &whom, mail.FactorRemoved)
	})
}

func dropFactor(ctx context.Context, tx *sqldb.Tx, person id.Person) error {
	_, codes := tx.Exec(ctx, `DELETE FROM recovery_code WHERE person_id = $1`, person)
	_, factor := tx.Exec(ctx, `DELETE FROM factor WHERE person_id = $1`, person)
	return errors.Join(codes, factor)
}

// hasFactor says whether a person has a second factor in force.
func hasFactor(ctx context.Context, tx *sqldb.Tx, person id.Person) (has bool, err error) {
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM factor WHERE person_id = $1 AND seed IS NOT NULL)`, person).Scan(&has)
	return has, err
}

// whole refuses a session that still waits for the second factor.
func (s *Session) whole() error {
	if s.Pending() {
		return actor.ErrSecondFactor
	}
	return nil
}

// recently asks for a sign-in of minutes ago.
func (p *People) recently(s *Session) error {
	if err := s.whole(); err != nil {
		return err
	}
	if !s.Recent(p.Now()) {
		return actor.ErrRecentSignIn
	}
	return nil
}
