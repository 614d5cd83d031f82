package registry

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

// Limits of invitations.
const (
	InvitationLifetime = 7 * 24 * time.Hour
	MaxInvitations     = 200 // of an organisation that wait to be accepted
)

// InvitationState says what became of an invitation. One whose time is up is
// expired, which is not stored.
type InvitationState string

// The states.
const (
	InvitationPending  InvitationState = "pending"
	InvitationAccepted InvitationState = "accepted"
	InvitationRevoked  InvitationState = "revoked"
	InvitationExpired  InvitationState = "expired" // never stored
)

// Invitation offers a person a place in an organisation, or among the
// operator's people.
type Invitation struct {
	ID           id.Invitation     `json:"id"`
	Organisation id.Organisation   `json:"organisation,omitempty"` // empty: the operator's people
	Email        string            `json:"email"`
	Name         string            `json:"name,omitempty"` // of the person invited; may be empty
	Roles        []actor.RoleGrant `json:"roles"`
	Digest       secret.Digest     `json:"-"`          // of the newest link's token
	InvitedBy    string            `json:"invited_by"` // the actor whose right it stands on, as person:…
	State        InvitationState   `json:"state"`      // as stored; see StateAt
	AcceptedBy   id.Person         `json:"accepted_by,omitempty"`
	CreatedAt    time.Time         `json:"created_at"`
	SentAt       time.Time         `json:"sent_at,omitzero"` // of the newest link
	ExpiresAt    time.Time         `json:"expires_at,omitzero"`
	EndedAt      time.Time         `json:"ended_at,omitzero"` // accepted or revoked
}

// StateAt returns the state at a time, expiry counted in.
func (i *Invitation) StateAt(now time.Time) InvitationState {
	if i.State == InvitationPending && past(i.ExpiresAt, now) {
		return InvitationExpired
	}
	return i.State
}

// Invite offers the roles to whoever has the e-mail address, by a mail with the
// token, which nobody else gets to see: it proves the address. The actor needs to
// hold what it offers, now and when the invitation is accepted.
type Invite struct {
	ID    id.Invitation     `json:"id"`
	Email string            `json:"email"`
	Name  string            `json:"name,omitempty"`
	Roles []actor.RoleGrant `json:"roles"`
	Token secret.Plaintext  `json:"-"`
}

func (e Invite) apply(ctx context.Context, c *change) error {
	c.says("invitation.create", c.by.Organisation(), string(e.ID))
	if _, ok := id.ParseInvitation(string(e.ID)); !ok || e.Token.IsZero() {
		return fault.Errorf(fault.Invalid, "an invitation needs its id and its token")
	}
	email, err := ParseEmail(e.Email)
	if err != nil {
		return err
	}
	if err := validPersonName(e.Name); err != nil {
		return err
	}
	if err := c.mayInvite(ctx, e.Roles); err != nil {
		return err
	}
	if err := c.roomForInvitation(ctx, email); err != nil {
		return err
	}
	roles, err := json.Marshal(e.Roles)
	if err != nil {
		return err
	}
	now := c.Now()
	err = c.exec(ctx, `INSERT INTO invitation (id, organisation_id, email, email_key, name, roles, digest, invited_by, state, accepted_by, created_at, sent_at, expires_at, ended_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'pending', '', $9, $9, $10, 0)`,
		e.ID, c.by.Organisation(), email.Address, email.Key, e.Name, string(roles), []byte(secret.DigestOf(e.Token)), c.by.String(), now.UnixMicro(), now.Add(InvitationLifetime).UnixMicro())
	if err != nil {
		return isFree(err, "invitation")
	}
	return c.mailInvitation(ctx, e.ID, email, e.Roles, e.Token)
}

// mailInvitation sends the link, to which the token is the key.
func (c *change) mailInvitation(ctx context.Context, key id.Invitation, email Email, roles []actor.RoleGrant, token secret.Plaintext) error {
	inviter, err := c.actorTitle(ctx)
	if err != nil {
		return err
	}
	organisation := ""
	if c.by.Organisation() != "" {
		o, err := loadOrganisation(ctx, c.tx, c.by.Organisation())
		if err != nil {
			return err
		}
		organisation = o.Name
	}
	var titles []string
	for _, grant := range roles {
		titles = append(titles, grant.Role.Title())
	}
	m := mail.Invitation(mail.Recipient(email), "/invite/"+string(key)+".", token, inviter, organisation, titles, c.Now().Add(InvitationLifetime))
	m.Organisation = c.by.Organisation()
	return c.Mail.Post(ctx, c.tx, m)
}

func (c *change) mayInvite(ctx context.Context, roles []actor.RoleGrant) error {
	if c.by.Organisation() == "" && !c.by.Operator() {
		return c.by.Require(actor.MemberWrite, "")
	}
	if c.by.Organisation() != "" {
		if _, err := loadOrganisation(ctx, c.tx, c.by.Organisation()); err != nil {
			return err
		}
	}
	if len(roles) == 0 {
		return fault.Errorf(fault.Invalid, "an invitation needs at least one role: choose it")
	}
	if err := c.validRoles(ctx, roles); err != nil {
		return err
	}
	for _, role := range roles {
		if err := MayHandOut(c.by, role); err != nil {
			return err
		}
	}
	if err := c.verified(); err != nil {
		return err
	}
	return c.recently()
}

func (c *change) roomForInvitation(ctx context.Context, email Email) error {
	member, err := exists(ctx, c.tx, `SELECT EXISTS (SELECT 1 FROM member m JOIN person p ON p.id = m.person_id WHERE m.organisation_id = $1 AND p.email_key = $2 AND p.verified_at > 0)`, c.by.Organisation(), email.Key)
	if member {
		err = fault.Errorf(fault.Conflict, "the person with this e-mail address is a member already: change their roles instead")
	}
	if err != nil {
		return err
	}
	var pending, same int
	err = c.tx.QueryRow(ctx, `SELECT count(*), COALESCE(sum(CASE WHEN email_key = $1 THEN 1 ELSE 0 END), 0) FROM invitation WHERE organisation_id = $2 AND state = 'pending' AND expires_at > $3`,
		email.Key, c.by.Organisation(), c.Now().UnixMicro()).Scan(&pending, &same)
	switch {
	case err != nil:
		return err
	case same > 0:
		return fault.Errorf(fault.Conflict, "an invitation to this e-mail address is waiting already: send it again, or revoke it first")
	case pending >= MaxInvitations:
		return fault.Errorf(fault.Conflict, "%d invitations are waiting: revoke some first", pending)
	}
	return nil
}

// ResendInvitation replaces an invitation's link by a new one and lets it run
// from now, also when it had expired. It stands on the right of whoever resends it.
type ResendInvitation struct {
	Invitation id.Invitation    `json:"invitation"`
	Token      secret.Plaintext `json:"-"`
}

func (e ResendInvitation) apply(ctx context.Context, c *change) error {
	i, err := c.invitation(ctx, e.Invitation)
	if err != nil {
		return err
	}
	c.says("invitation.resend", i.Organisation, string(i.ID))
	if e.Token.IsZero() {
		return fault.Errorf(fault.Invalid, "a new link needs its token")
	}
	if err := c.mayInvite(ctx, i.Roles); err != nil {
		return err
	}
	if i.State != InvitationPending {
		return fault.Errorf(fault.Conflict, "the invitation was %s: invite the person anew", i.State)
	}
	now := c.Now()
	err = c.exec(ctx, `UPDATE invitation SET digest = $1, invited_by = $2, sent_at = $3, expires_at = $4 WHERE id = $5 AND organisation_id = $6`,
		[]byte(secret.DigestOf(e.Token)), c.by.String(), now.UnixMicro(), now.Add(InvitationLifetime).UnixMicro(), i.ID, i.Organisation)
	if err != nil {
		return err
	}
	email, err := ParseEmail(i.Email)
	if err != nil {
		return err
	}
	return c.mailInvitation(ctx, i.ID, email, i.Roles, e.Token)
}

// RevokeInvitation takes an offer back.
type RevokeInvitation struct {
	Invitation id.Invitation `json:"invitation"`
}

func (e RevokeInvitation) apply(ctx context.Context, c *change) error {
	i, err := c.invitation(ctx, e.Invitation)
	if err != nil {
		return err
	}
	c.says("invitation.revoke", i.Organisation, string(i.ID))
	for _, role := range i.Roles {
		if err := c.may(actor.MemberWrite, role.Account); err != nil {
			return err
		}
	}
	if i.State != InvitationPending {
		return fault.Errorf(fault.Conflict, "the invitation was %s already", i.State)
	}
	return c.exec(ctx, `UPDATE invitation SET state = 'revoked', ended_at = $1 WHERE id = $2 AND organisation_id = $3`, c.Now().UnixMicro(), i.ID, i.Organisation)
}

// AcceptInvitation makes the actor, a person with a verified address, a member
// of the organisation that invited that address. Token is the one in the link.
// Whatever is wrong with it, once the token fits, is told as it is.
type AcceptInvitation struct {
	Invitation id.Invitation    `json:"invitation"`
	Token      secret.Plaintext `json:"-"`
}

func (e AcceptInvitation) apply(ctx context.Context, c *change) error {
	p, err := c.self(ctx, 0)
	if err != nil {
		return err
	}
	i, err := openInvitation(ctx, c.tx, e.Invitation, e.Token)
	if err != nil {
		return err
	}
	c.says("invitation.accept", i.Organisation, string(i.ID))
	c.before = nil
	if err := i.acceptable(c.Now()); err != nil {
		return err
	}
	email, err := ParseEmail(p.Email)
	if err != nil {
		return err
	}
	if invited, err := ParseEmail(i.Email); err != nil || invited.Key != email.Key {
		return fault.Errorf(fault.Forbidden, "the invitation is for another e-mail address than yours: sign in, or sign up, as the one invited")
	}
	if p.VerifiedAt.IsZero() {
		return actor.ErrUnverified
	}
	if err := c.stillStands(ctx, &i); err != nil {
		return err
	}
	inside := *c
	inside.by = c.by.Joining(i.Organisation)
	if err := inside.addMember(ctx, p.ID, i.Roles); err != nil {
		return err
	}
	return c.exec(ctx, `UPDATE invitation SET state = 'accepted', accepted_by = $1, ended_at = $2 WHERE id = $3 AND organisation_id = $4`, p.ID, c.Now().UnixMicro(), i.ID, i.Organisation)
}

// acceptable says what became of an invitation that cannot be accepted.
func (i *Invitation) acceptable(now time.Time) error {
	switch state := i.StateAt(now); state {
	case InvitationPending:
		return nil
	case InvitationExpired:
		return fault.Errorf(fault.Conflict, "the invitation has expired: ask for a new one")
	default:
		return fault.Errorf(fault.Conflict, "the invitation was %s already: ask for a new one", state)
	}
}

// stillStands asks whether the inviter could give these roles today.
func (c *change) stillStands(ctx context.Context, i *Invitation) error {
	inviter, err := c.actorNow(ctx, i.InvitedBy, i.Organisation)
	if err != nil {
		return err
	}
	for _, role := range i.Roles {
		if err := MayHandOut(inviter, role); err != nil {
			return fault.Errorf(fault.Conflict, "who invited you may not do so any more, so the invitation is void: ask somebody else of the organisation")
		}
	}
	return nil
}

// actorNow is who an actor of earlier would be today in that organisation; the
// zero Actor if they are gone.
func (c *change) actorNow(ctx context.Context, name string, organisation id.Organisation) (actor.Actor, error) {
	kind, key, _ := strings.Cut(name, ":")
	switch actor.Kind(kind) {
	case actor.System:
		return actor.NewSystem(key).In(organisation), nil
	case actor.Person:
		return personNow(ctx, c.tx, id.Person(key), organisation)
	case actor.Client:
		return clientNow(ctx, c.tx, id.Client(key), organisation)
	}
	return actor.Actor{}, nil
}

// Invite offers roles to whoever has the e-mail address, by mail. The name may be
// empty.
func (r *Registry) Invite(ctx context.Context, by actor.Actor, email, name string, roles []actor.RoleGrant) (id.Invitation, error) {
	token, err := secret.NewToken(r.Rand)
	if err != nil {
		return "", err
	}
	key := id.NewInvitation(r.Rand)
	return key, r.Apply(ctx, by, Invite{ID: key, Email: email, Name: name, Roles: roles, Token: token})
}

// ResendInvitation mails a new link in place of the older one.
func (r *Registry) ResendInvitation(ctx context.Context, by actor.Actor, key id.Invitation) error {
	token, err := secret.NewToken(r.Rand)
	if err != nil {
		return err
	}
	return r.Apply(ctx, by, ResendInvitation{Invitation: key, Token: token})
}

// ParseInvitationLink reads what a mailed link ends in.
func ParseInvitationLink(text string) (id.Invitation, secret.Plaintext) {
	key, token, _ := strings.Cut(text, ".")
	return id.Invitation(key), secret.NewPlaintext(token)
}

// OpenInvitation returns the invitation of a link, for whoever holds its token,
// and the name of the organisation. One that cannot be accepted any more is a
// fault that says why.
func (r *Registry) OpenInvitation(ctx context.Context, key id.Invitation, token secret.Plaintext) (i Invitation, organisation string, err error) {
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		if i, err = openInvitation(ctx, tx, key, token); err != nil || i.Organisation == "" {
			return err
		}
		o, err := loadOrganisation(ctx, tx, i.Organisation)
		organisation = o.Name
		return err
	})
	if err == nil {
		err = i.acceptable(r.Now())
	}
	return i, organisation, err
}

// Invitations returns the invitations of the actor's organisation that wait or
// have expired, newest first.
func (r *Registry) Invitations(ctx context.Context, by actor.Actor) (all []Invitation, err error) {
	if !by.MaySomewhere(actor.MemberRead) {
		return nil, by.Require(actor.MemberRead, "")
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		all, err = listInvitations(ctx, tx, by)
		return err
	})
	return all, err
}

// InvitationList is a page of Invitations.
func (r *Registry) InvitationList(ctx context.Context, by actor.Actor, page Page) (list List[Invitation], err error) {
	l, err := r.list("invitations", by, nil, page, beforeNewest)
	if err != nil {
		return list, err
	}
	all, err := r.Invitations(ctx, by)
	return partOf(l, all, func(i *Invitation) position { return position{micros(i.CreatedAt), string(i.ID)} }, func(p, after position) bool {
		return p.number < after.number || p.number == after.number && p.key > after.key
	}), err
}

// Invitation returns an invitation of the actor's organisation.
func (r *Registry) Invitation(ctx context.Context, by actor.Actor, key id.Invitation) (i Invitation, err error) {
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		i, err = loadInvitation(ctx, tx, by, key)
		return err
	})
	if err == nil && !slices.ContainsFunc(i.Roles, func(r actor.RoleGrant) bool { return by.May(actor.MemberRead, r.Account) }) {
		err = by.Require(actor.MemberRead, "")
	}
	return i, err
}
