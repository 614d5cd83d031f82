package signin

import (
	"context"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

// OpenReset returns the address of the person for whom a link sets a new
// password, and leaves it good.
func (p *People) OpenReset(ctx context.Context, token secret.Plaintext) (email string, err error) {
	person, err := p.personOfLink(ctx, toReset, token)
	return person.Email, err
}

// Reset sets a new password by a mailed link, and ends all sessions. It begins
// none: a link is no sign-in.
func (p *People) Reset(ctx context.Context, from Origin, token, password secret.Plaintext) error {
	person, err := p.personOfLink(ctx, toReset, token)
	if err != nil {
		return err
	}
	hash, err := p.newPassword(ctx, &person, password)
	if err != nil {
		return err
	}
	by := actor.NewSystem("recovery").From(from.Address, from.RequestID)
	return p.DB.Update(ctx, func(tx *sqldb.Tx) error {
		if err := p.takeLink(ctx, tx, toReset, token); err != nil {
			return err
		}
		if err := p.Registry.ApplyIn(ctx, tx, by, registry.SetPassword{Person: person.ID, Password: hash}); err != nil {
			return err
		}
		return p.notify(ctx, tx, &person, mail.PasswordChanged)
	})
}

// ChangePassword sets a new password of the person of a session, who gives the
// old one, and the second factor minutes ago if there is one. Their other sessions
// end, and this one gets a new id.
func (p *People) ChangePassword(ctx context.Context, from Origin, s *Session, old, password secret.Plaintext) (in SignedIn, err error) {
	switch {
	case s.Pending():
		return in, actor.ErrSecondFactor
	case s.Factor && !within(s.FactorAt, p.Now()):
		return in, actor.ErrRecentSignIn
	}
	if err := p.checkPasswordOf(ctx, from, &s.Person, old); err != nil {
		return in, err
	}
	hash, err := p.newPassword(ctx, &s.Person, password)
	if err != nil {
		return in, err
	}
	proved := *s
	proved.ProvedAt = p.Now()
	err = p.DB.Update(ctx, func(tx *sqldb.Tx) error {
		if err := p.Registry.ApplyIn(ctx, tx, p.Self(&proved, from), registry.SetPassword{Person: s.Person.ID, Password: hash}); err != nil {
			return err
		}
		if in, err = p.renewSession(ctx, tx, proved); err != nil {
			return err
		}
		return p.notify(ctx, tx, &s.Person, mail.PasswordChanged)
	})
	return in, err
}

// newPassword checks and hashes a person's new password.
func (p *People) newPassword(ctx context.Context, person *registry.Person, password secret.Plaintext) (hash string, err error) {
	if err := checkPassword(password, person.Email, person.Name); err != nil {
		return "", err
	}
	if same, err := p.hasher.verify(ctx, person.Password, password); err != nil || same {
		if same {
			err = fault.Errorf(fault.Invalid, "that is your password already: choose another")
		}
		return "", err
	}
	return p.hasher.hash(ctx, password)
}

// notify mails a notice to a person, if the address is theirs.
func (p *People) notify(ctx context.Context, tx *sqldb.Tx, person *registry.Person, write func(mail.Recipient) mail.Message) error {
	if person.VerifiedAt.IsZero() {
		return nil
	}
	email, err := registry.ParseEmail(person.Email)
	if err != nil {
		return err
	}
	return p.Mail.Post(ctx, tx, write(mail.Recipient(email)))
}
