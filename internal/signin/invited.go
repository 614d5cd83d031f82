package signin

import (
	"context"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/sqldb"
)

// Invited is what a link says that invites somebody.
type Invited struct {
	registry.Invitation
	OrganisationName string // empty: the operator's people
	Known            bool   // somebody verified the address: they sign in to accept
}

// OpenInvitation tells what the end of an invitation's link is about. One that
// cannot be accepted any more is a fault that says why.
func (p *People) OpenInvitation(ctx context.Context, link string) (i Invited, err error) {
	key, token := registry.ParseInvitationLink(link)
	if i.Invitation, i.OrganisationName, err = p.Registry.OpenInvitation(ctx, key, token); err != nil {
		return i, err
	}
	email, err := registry.ParseEmail(i.Email)
	if err != nil {
		return i, err
	}
	_, i.Known, err = p.Registry.PersonOf(ctx, email)
	return i, err
}

// AcceptInvitation makes the person of a session a member where they are invited.
func (p *People) AcceptInvitation(ctx context.Context, from Origin, s *Session, link string) error {
	if err := s.whole(); err != nil {
		return err
	}
	key, token := registry.ParseInvitationLink(link)
	return p.Registry.Apply(ctx, p.Self(s, from), registry.AcceptInvitation{Invitation: key, Token: token})
}

// SignUpInvited makes a person of somebody who was invited, with the address to
// which the link went, which is verified thereby, and accepts the invitation. Of
// the newcomer it takes name and password.
func (p *People) SignUpInvited(ctx context.Context, from Origin, link string, n Newcomer) (in SignedIn, err error) {
	key, token := registry.ParseInvitationLink(link)
	i, _, err := p.Registry.OpenInvitation(ctx, key, token)
	if err != nil {
		return in, err
	}
	if wait, ok := p.newcomer.AllowAddress(from.Address); !ok {
		return in, tooMany(wait)
	}
	create, err := p.PreparePerson(ctx, i.Email, n.Name, n.Password)
	if err != nil {
		return in, err
	}
	self := actor.NewPerson(create.ID, "", "").From(from.Address, from.RequestID).Proven(actor.Proof{Recent: true, Verified: true})
	place := registry.Membership{Organisation: i.Organisation, Roles: i.Roles, Version: 1}
	err = p.DB.Update(ctx, func(tx *sqldb.Tx) error {
		if err := p.Registry.ApplyIn(ctx, tx, actor.NewSystem("invitation").From(from.Address, from.RequestID), create); err != nil {
			return err
		}
		if err := p.Registry.ApplyIn(ctx, tx, self, registry.AcceptInvitation{Invitation: key, Token: token}); err != nil {
			return err
		}
		in, err = p.begin(ctx, tx, from, p.created(create), []registry.Membership{place})
		return err
	})
	return in, err
}

// created is the person that an edit has just made.
func (p *People) created(e registry.CreatePerson) registry.Person {
	now := p.Now()
	return registry.Person{ID: e.ID, Email: e.Email, Name: e.Name, Password: e.Password, VerifiedAt: now, Version: 1, CreatedAt: now}
}
