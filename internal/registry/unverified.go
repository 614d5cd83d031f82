package registry

import (
	"context"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// What a person may do until they have proved that their e-mail address is
// theirs: try things out, in the one sandbox account that came with signing up.
const (
	UnverifiedClients        = 3                   // of the organisation
	UnverifiedSecretLifetime = 7 * 24 * time.Hour  // of a client secret that they add
	UnverifiedLifetime       = 30 * 24 * time.Hour // then the person is deleted
)

// DeleteNewcomer deletes a person who has not verified their address, and the
// organisations that came with signing up: those in which nobody else is. Only
// jobs of the system make it.
type DeleteNewcomer struct {
	Person id.Person `json:"person"`
}

func (e DeleteNewcomer) apply(ctx context.Context, c *change) error {
	c.says("person.expire", "", string(e.Person))
	if err := c.isSystem(); err != nil {
		return err
	}
	p, err := loadPerson(ctx, c.tx, e.Person)
	if err != nil {
		return err
	}
	if !p.VerifiedAt.IsZero() {
		return fault.Errorf(fault.Conflict, "the person has verified their address meanwhile")
	}
	places, err := memberships(ctx, c.tx, p.ID)
	if err != nil {
		return err
	}
	for _, place := range places {
		others, err := exists(ctx, c.tx, `SELECT EXISTS (SELECT 1 FROM member WHERE organisation_id = $1 AND person_id <> $2)`, place.Organisation, p.ID)
		switch {
		case err != nil:
		case others:
			err = c.leave(ctx, p.ID, &place)
		default:
			err = c.ApplyIn(ctx, c.tx, c.by.In(place.Organisation), EraseOrganisation{})
		}
		if err != nil {
			return err
		}
	}
	return c.erasePerson(ctx, &p)
}

// DeleteUnverified deletes the people who let UnverifiedLifetime pass.
func (r *Registry) DeleteUnverified(ctx context.Context) error {
	var due []string
	err := r.DB.View(ctx, func(tx *sqldb.Tx) (err error) {
		due, err = rowsOf(ctx, tx, scanText, `SELECT id FROM person WHERE verified_at = 0 AND deleted_at = 0 AND created_at <= $1 ORDER BY created_at LIMIT 1000`, r.Now().Add(-UnverifiedLifetime).UnixMicro())
		return err
	})
	for _, key := range due {
		if err == nil {
			err = r.Apply(ctx, actor.NewSystem("expiry"), DeleteNewcomer{Person: id.Person(key)})
		}
		if kind := fault.KindOf(err); kind == fault.NotFound || kind == fault.Conflict { // another node did it, or they verified it
			err = nil
		}
	}
	return err
}

// maySetUpClient bounds how many clients an unverified person sets up.
func (c *change) maySetUpClient(ctx context.Context) error {
	if c.by.Verified() {
		return nil
	}
	var count int
	err := c.tx.QueryRow(ctx, `SELECT count(*) FROM client WHERE organisation_id = $1 AND state <> 'deleted'`, c.by.Organisation()).Scan(&count)
	if err == nil && count >= UnverifiedClients {
		return actor.ErrUnverified
	}
	return err
}

// maySecretLive bounds how long a secret of an unverified person lives.
func (c *change) maySecretLive(expires time.Time) error {
	if c.by.Verified() || !expires.IsZero() && !expires.After(c.Now().Add(UnverifiedSecretLifetime)) {
		return nil
	}
	return fault.Errorf(fault.Forbidden, "until your e-mail address is verified, a secret may live for %d days at most: choose an earlier end, or open the link in the mail that was sent to you", int(UnverifiedSecretLifetime.Hours()/24))
}

// mayHandOutManagement keeps the management API from unverified people.
func (c *change) mayHandOutManagement(permission string) error {
	if strings.HasPrefix(permission, actor.ManagementPrefix) {
		return c.verified()
	}
	return nil
}
