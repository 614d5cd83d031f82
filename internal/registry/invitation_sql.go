package registry

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

const invitationColumns = `id, organisation_id, email, name, roles, digest, invited_by, state, accepted_by, created_at, sent_at, expires_at, ended_at`

func scanInvitation(row scanner) (i Invitation, err error) {
	var roles string
	var digest []byte
	var created, sent, expires, ended int64
	err = row.Scan(&i.ID, &i.Organisation, &i.Email, &i.Name, &roles, &digest, &i.InvitedBy, &i.State, &i.AcceptedBy, &created, &sent, &expires, &ended)
	if err != nil {
		return i, err
	}
	i.Digest = digest
	i.CreatedAt, i.SentAt, i.ExpiresAt, i.EndedAt = fromMicros(created), fromMicros(sent), fromMicros(expires), fromMicros(ended)
	return i, json.Unmarshal([]byte(roles), &i.Roles)
}

// invitation loads one of the actor's organisation, for an edit.
func (c *change) invitation(ctx context.Context, key id.Invitation) (Invitation, error) {
	i, err := loadInvitation(ctx, c.tx, c.by, key)
	if err == nil {
		c.before = i
	}
	return i, err
}

func loadInvitation(ctx context.Context, tx *sqldb.Tx, by actor.Actor, key id.Invitation) (Invitation, error) {
	if _, ok := id.ParseInvitation(string(key)); !ok || by.Organisation() == "" && !by.Operator() {
		return Invitation{}, unknown("invitation")
	}
	i, err := scanInvitation(tx.QueryRow(ctx, `SELECT `+invitationColumns+` FROM invitation WHERE id = $1 AND organisation_id = $2`, key, by.Organisation()))
	return i, notFound(err, "invitation", key)
}

// openInvitation loads an invitation for whoever holds its token. A wrong
// token is answered like an unknown invitation.
func openInvitation(ctx context.Context, tx *sqldb.Tx, key id.Invitation, token secret.Plaintext) (Invitation, error) {
	gone := fault.Errorf(fault.NotFound, "the link is not good, or not any more: use the newest one, or ask for another")
	if _, ok := id.ParseInvitation(string(key)); !ok {
		return Invitation{}, gone
	}
	i, err := scanInvitation(tx.QueryRow(ctx, `SELECT `+invitationColumns+` FROM invitation WHERE id = $1 -- any organisation: whoever holds the token`, key))
	if err := notFound(err, "invitation", key); fault.KindOf(err) == fault.NotFound || err == nil && !i.Digest.Matches(token.Reveal()) {
		return Invitation{}, gone
	}
	return i, err
}

func listInvitations(ctx context.Context, tx *sqldb.Tx, by actor.Actor) (all []Invitation, err error) {
	rows, err := tx.Query(ctx, `SELECT `+invitationColumns+` FROM invitation WHERE organisation_id = $1 AND state = 'pending' ORDER BY created_at DESC, id`, by.Organisation())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		i, err := scanInvitation(rows)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(i.Roles, func(r actor.RoleGrant) bool { return by.May(actor.MemberRead, r.Account) }) {
			all = append(all, i)
		}
	}
	return all, rows.Err()
}

// personNow is a person with the roles that they have now, all factors
// granted: whether they were given is asked of who acts, not of who once did.
func personNow(ctx context.Context, tx *sqldb.Tx, key id.Person, organisation id.Organisation) (actor.Actor, error) {
	if _, err := loadPerson(ctx, tx, key); err != nil {
		if fault.KindOf(err) == fault.NotFound {
			err = nil
		}
		return actor.Actor{}, err
	}
	roles, err := memberRoles(ctx, tx, organisation, key)
	if err != nil {
		return actor.Actor{}, err
	}
	if organisation != "" {
		staff, err := memberRoles(ctx, tx, "", key)
		if err != nil {
			return actor.Actor{}, err
		}
		roles = append(roles, staff...)
	}
	return actor.NewPerson(key, organisation, "", roles...).Proven(actor.Proof{SecondFactor: true, Recent: true, Verified: true}), nil
}

// clientNow is an API client with the permissions that it has now, nobody once
// it is disabled.
func clientNow(ctx context.Context, tx *sqldb.Tx, key id.Client, organisation id.Organisation) (actor.Actor, error) {
	client, err := scanClient(tx.QueryRow(ctx, `SELECT `+clientColumns+` FROM client WHERE id = $1 AND state = 'enabled' AND organisation_id IN ($2, '') -- any organisation: its own, or the operator's`, key, organisation))
	if err := notFound(err, "client", key); err != nil {
		if fault.KindOf(err) == fault.NotFound {
			err = nil
		}
		return actor.Actor{}, err
	}
	permissions, err := clientPermissions(ctx, tx, &client)
	return actor.NewClient(client.ID, client.Organisation, client.Account, "", permissions).In(organisation), err
}
