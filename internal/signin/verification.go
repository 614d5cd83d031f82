package signin

import (
	"context"
	"slices"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

// Verification is what a link says that verifies an e-mail address. Whoever has
// it reads the mails to that address; whether it was them who signed up shows in
// that they know the password, or use the same browser.
type Verification struct {
	Email         string
	SignedUpAt    time.Time
	Organisations []string // the names of those that came with signing up
	Known         bool     // it is the browser that signed up: no password is needed
	Taken         bool     // somebody verified the address before: see Join
}

// OpenVerification tells what a link is about, and leaves it good.
func (p *People) OpenVerification(ctx context.Context, from Origin, token secret.Plaintext) (v Verification, err error) {
	person, err := p.personOfLink(ctx, toVerify, token)
	if err != nil {
		return v, err
	}
	v.Email, v.SignedUpAt = person.Email, person.CreatedAt
	if v.Known, err = p.isKnown(ctx, from, &person); err != nil {
		return v, err
	}
	email, err := registry.ParseEmail(person.Email)
	if err != nil {
		return v, err
	}
	if _, v.Taken, err = p.Registry.PersonOf(ctx, email); err != nil {
		return v, err
	}
	places, err := p.Registry.Memberships(ctx, person.ID)
	for _, place := range places {
		v.Organisations = append(v.Organisations, place.Name)
	}
	return v, err
}

// Verify takes the address for the person's. It needs their password, or the
// browser that signed up, since somebody may have signed up with an address of
// another. With the password it also begins a session. It is fault.Conflict when
// somebody verified the address before: see [People.Join].
func (p *People) Verify(ctx context.Context, from Origin, token, password secret.Plaintext) (in SignedIn, err error) {
	person, err := p.personOfLink(ctx, toVerify, token)
	if err != nil {
		return in, err
	}
	known, err := p.isKnown(ctx, from, &person)
	if err != nil {
		return in, err
	}
	if !known {
		if err := p.checkPasswordOf(ctx, from, &person, password); err != nil {
			return in, err
		}
	}
	places, err := p.Registry.Memberships(ctx, person.ID)
	if err != nil {
		return in, err
	}
	by := actor.NewSystem("verification").From(from.Address, from.RequestID)
	err = p.DB.Update(ctx, func(tx *sqldb.Tx) error {
		if err := p.takeLink(ctx, tx, toVerify, token); err != nil {
			return err
		}
		if err := p.Registry.ApplyIn(ctx, tx, by, registry.VerifyPerson{Person: person.ID}); err != nil || known {
			return err
		}
		person.VerifiedAt = p.Now()
		in, err = p.begin(ctx, tx, from, person, places)
		return err
	})
	return in, err
}

// Join hands the places of whoever signed up again with an address on to the
// person who verified it before, whose session s is, and deletes the newer one.
func (p *People) Join(ctx context.Context, from Origin, s *Session, token secret.Plaintext) error {
	if err := s.whole(); err != nil {
		return err
	}
	newer, err := p.personOfLink(ctx, toVerify, token)
	if err != nil {
		return err
	}
	mine, err := registry.ParseEmail(s.Person.Email)
	if err != nil {
		return err
	}
	if theirs, err := registry.ParseEmail(newer.Email); err != nil || theirs.Key != mine.Key || s.Person.VerifiedAt.IsZero() || newer.ID == s.Person.ID {
		return fault.Errorf(fault.Forbidden, "the link is for another e-mail address than yours: sign in as its owner")
	}
	places, err := p.Registry.Memberships(ctx, newer.ID)
	if err != nil {
		return err
	}
	by := actor.NewSystem("verification").From(from.Address, from.RequestID)
	return p.DB.Update(ctx, func(tx *sqldb.Tx) error {
		if err := p.takeLink(ctx, tx, toVerify, token); err != nil {
			return err
		}
		for _, place := range places {
			if err := p.Registry.ApplyIn(ctx, tx, by.In(place.Organisation), s.joining(place)); err != nil {
				return err
			}
		}
		return p.Registry.ApplyIn(ctx, tx, by, registry.DeletePerson{Person: newer.ID})
	})
}

// joining is the edit that gives the session's person the roles of a place, on
// top of those that they have there.
func (s *Session) joining(place registry.Membership) registry.Edit {
	for _, own := range s.Memberships {
		if own.Organisation == place.Organisation {
			roles := own.Roles
			for _, role := range place.Roles {
				if !slices.Contains(roles, role) {
					roles = append(slices.Clone(roles), role)
				}
			}
			return registry.ChangeRoles{Person: s.Person.ID, Roles: roles}
		}
	}
	return registry.AddMember{Person: s.Person.ID, Roles: place.Roles}
}

// Discard deletes whoever signed up with an address of another, and what they
// signed up for: the one to whom the link was mailed says that it was not them.
func (p *People) Discard(ctx context.Context, from Origin, token secret.Plaintext) error {
	person, err := p.personOfLink(ctx, toVerify, token)
	if err != nil {
		return err
	}
	by := actor.NewSystem("verification").From(from.Address, from.RequestID)
	return p.DB.Update(ctx, func(tx *sqldb.Tx) error {
		if err := p.takeLink(ctx, tx, toVerify, token); err != nil {
			return err
		}
		return p.Registry.ApplyIn(ctx, tx, by, registry.DeleteNewcomer{Person: person.ID})
	})
}

// SendVerification mails the person of a session another link that verifies
// their address.
func (p *People) SendVerification(ctx context.Context, from Origin, s *Session) error {
	if err := s.whole(); err != nil {
		return err
	}
	if !s.Person.VerifiedAt.IsZero() {
		return fault.Errorf(fault.Conflict, "your e-mail address is verified already")
	}
	if wait, ok := p.asking.AllowAddress(from.Address); !ok {
		return tooMany(wait)
	}
	return p.DB.Update(ctx, func(tx *sqldb.Tx) error { return p.mailVerification(ctx, tx, &s.Person) })
}

// personOfLink is the person to whom a link was mailed, while it is good.
func (p *People) personOfLink(ctx context.Context, what purpose, token secret.Plaintext) (person registry.Person, err error) {
	key, err := p.lookAtLink(ctx, what, token)
	if err != nil {
		return person, err
	}
	person, err = p.Registry.Person(ctx, key)
	if fault.KindOf(err) == fault.NotFound {
		err = errLink
	}
	return person, err
}

// isKnown says whether the person used the browser before.
func (p *People) isKnown(ctx context.Context, from Origin, person *registry.Person) (bool, error) {
	used, err := p.browserOf(ctx, from.Browser)
	return used.ID == person.ID, err
}

// checkPasswordOf refuses a wrong password of a known person, so many times.
func (p *People) checkPasswordOf(ctx context.Context, from Origin, person *registry.Person, password secret.Plaintext) error {
	return p.compare(ctx, from, claimant{person: *person, key: string(person.ID), throttle: p.known}, password)
}
