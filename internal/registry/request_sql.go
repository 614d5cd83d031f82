package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/sqldb"
)

const requestColumns = `id, organisation_id, account_id, for_operator, requested_by, note, edits, state, reason, decided_by, created_at, expires_at, decided_at`

func scanRequest(row scanner) (r Request, err error) {
	var edits, asked string
	var created, expires, decided int64
	err = row.Scan(&r.ID, &r.Organisation, &r.Account, &r.ForOperator, &asked, &r.Note, &edits, &r.State, &r.Reason, &r.DecidedBy, &created, &expires, &decided)
	if err != nil {
		return r, err
	}
	kind := actor.Person
	if _, ok := id.ParseClient(asked); ok {
		kind = actor.Client
	}
	r.RequestedBy = string(kind) + ":" + asked
	r.CreatedAt, r.ExpiresAt, r.DecidedAt = fromMicros(created), fromMicros(expires), fromMicros(decided)
	if err := json.Unmarshal([]byte(edits), &r.Edits); err != nil {
		return r, fmt.Errorf("read the request %s: %w", r.ID, err)
	}
	return r, nil
}

// nameOf is an actor's name without its kind.
func nameOf(by string) string {
	_, name, _ := strings.Cut(by, ":")
	return name
}

// loadRequest loads one of the actor's organisation.
func loadRequest(ctx context.Context, tx *sqldb.Tx, by actor.Actor, key id.Request) (Request, error) {
	if _, ok := id.ParseRequest(string(key)); !ok || by.Organisation() == "" {
		return Request{}, unknown("request")
	}
	r, err := scanRequest(tx.QueryRow(ctx, `SELECT `+requestColumns+` FROM request WHERE id = $1 AND organisation_id = $2`, key, by.Organisation()))
	return r, notFound(err, "request", key)
}

// requests are those of the organisation on the accounts given (each between
// commas, or nothing for all) and the actor's own, or at operator level all that
// wait for the operator.
func (l *listing) requests(ctx context.Context, tx *sqldb.Tx, by actor.Actor, filter RequestFilter, accounts string, now time.Time) ([]Request, error) {
	if by.Organisation() == "" {
		return rowsOf(ctx, tx, scanRequest, `SELECT `+requestColumns+` FROM request WHERE for_operator AND state = 'pending' AND expires_at > $1 AND (created_at, id) < ($2, $3)
			ORDER BY created_at DESC, id DESC LIMIT $4 -- any organisation: what waits for the operator, at operator level alone`, now.UnixMicro(), l.after.number, l.after.key, l.fetch())
	}
	return rowsOf(ctx, tx, scanRequest, `SELECT `+requestColumns+` FROM request WHERE organisation_id = $1 AND (created_at, id) < ($2, $3)
		AND CASE WHEN requested_by = $4 THEN TRUE WHEN $5 THEN FALSE WHEN $6 = '' THEN TRUE ELSE $6 LIKE '%,' || account_id || ',%' END
		AND CASE WHEN $7 THEN state = 'pending' AND expires_at > $8 ELSE TRUE END
		ORDER BY created_at DESC, id DESC LIMIT $9`,
		by.Organisation(), l.after.number, l.after.key, nameOf(by.String()), filter.Own, accounts, filter.Pending, now.UnixMicro(), l.fetch())
}

const maxTold = 10 // people who are mailed about a request

// tellDeciders mails those who may make the first edit of a request.
func (c *change) tellDeciders(ctx context.Context, r *Request, asks []ask) error {
	who, err := c.actorTitle(ctx)
	if err != nil {
		return err
	}
	o, err := loadOrganisation(ctx, c.tx, r.Organisation)
	if err != nil {
		return err
	}
	place, path := r.Organisation, "/o/"+string(r.Organisation)+"/requests"
	if r.ForOperator {
		place, path = "", "/operator/requests"
	}
	members, err := listMembers(ctx, c.tx, place)
	if err != nil {
		return err
	}
	told := 0
	for _, m := range members {
		if !m.Verified || "person:"+string(m.Person) == r.RequestedBy || !m.holds(asks[0].ability, asks[0].account) || told == maxTold {
			continue
		}
		told++
		if err := c.mailTo(ctx, m.Email, r.Organisation, mail.RequestAsked(path, who, o.Name, r.Note)); err != nil {
			return err
		}
	}
	return nil
}

// tellRequester mails the person who asked what became of the request. A client
// looks for itself.
func (c *change) tellRequester(ctx context.Context, r *Request) error {
	who, err := c.actorTitle(ctx)
	if err != nil {
		return err
	}
	p, err := loadPerson(ctx, c.tx, id.Person(nameOf(r.RequestedBy)))
	if fault.KindOf(err) == fault.NotFound || err == nil && p.VerifiedAt.IsZero() {
		return nil
	}
	if err != nil {
		return err
	}
	return c.mailTo(ctx, p.Email, r.Organisation, mail.RequestDecided("/o/"+string(r.Organisation)+"/requests", who, string(r.State), r.Reason))
}

// mailTo mails a notice on behalf of an organisation.
func (c *change) mailTo(ctx context.Context, address string, organisation id.Organisation, m mail.Message) error {
	email, err := ParseEmail(address)
	if err != nil {
		return err
	}
	m.To, m.Organisation, m.Notice = mail.Recipient(email), organisation, true
	return c.Mail.Post(ctx, c.tx, m)
}

// holds says whether one of the member's roles has an ability on an account, or
// without one on the whole organisation.
func (m *Member) holds(ability actor.Ability, account id.Account) bool {
	return slices.ContainsFunc(m.Roles, func(g actor.RoleGrant) bool {
		return (g.Account == "" || g.Account == account) && g.Role.Abilities()[ability]
	})
}
