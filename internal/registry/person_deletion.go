package registry

import (
	"context"
	"errors"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
)

// DeletePerson deletes a person: themselves, after a recent sign-in, or by a job
// of the system anybody. Their places and sessions end. Name, address and
// password are erased, from the audit log too; the id stays, so that it still
// tells who did what.
type DeletePerson struct {
	Person id.Person `json:"person"`
}

func (e DeletePerson) apply(ctx context.Context, c *change) error {
	p, err := c.person(ctx, e.Person)
	if err != nil {
		return err
	}
	c.says("person.delete", "", string(p.ID))
	c.before = nil
	if err := c.recently(); err != nil {
		return err
	}
	places, err := memberships(ctx, c.tx, p.ID)
	if err != nil {
		return err
	}
	for _, place := range places {
		if err := c.leave(ctx, p.ID, &place); err != nil {
			return err
		}
	}
	return c.erasePerson(ctx, &p)
}

// leave ends one place of a person who is deleted.
func (c *change) leave(ctx context.Context, person id.Person, place *Membership) error {
	there := *c
	there.by = c.by.Joining(place.Organisation)
	err := there.removeMember(ctx, &Member{Person: person, Roles: place.Roles})
	if fault.KindOf(err) == fault.Conflict {
		return fault.Errorf(fault.Conflict, "in %q %w", place.Name, err)
	}
	return err
}

// erasePerson leaves of a person their id.
func (c *change) erasePerson(ctx context.Context, p *Person) error {
	email, err := ParseEmail(p.Email)
	if err != nil {
		return err
	}
	invitations, err := rowsOf(ctx, c.tx, scanText, `SELECT id FROM invitation WHERE accepted_by = $1 -- any organisation: all that invited the person`, p.ID)
	if err != nil {
		return err
	}
	err = errors.Join(
		c.endSessions(ctx, p.ID),
		c.exec(ctx, `DELETE FROM browser WHERE person_id = $1`, p.ID),
		c.exec(ctx, `DELETE FROM recovery_code WHERE person_id = $1`, p.ID),
		c.exec(ctx, `DELETE FROM factor WHERE person_id = $1`, p.ID),
		c.exec(ctx, `DELETE FROM link WHERE person_id = $1`, p.ID),
		c.exec(ctx, `UPDATE invitation SET email = '', email_key = '', name = '' WHERE accepted_by = $1 -- any organisation: all that invited the person`, p.ID),
		c.exec(ctx, `UPDATE request SET note = '' WHERE requested_by = $1 -- any organisation: all where the person asked`, p.ID),
		c.exec(ctx, `UPDATE person SET email = '', email_key = '', name = '', password = '', deleted_at = $1, version = version + 1 WHERE id = $2`, c.Now().UnixMicro(), p.ID))
	if err != nil {
		return err
	}
	err = c.exec(ctx, `DELETE FROM mail WHERE recipient_key = $1 AND NOT EXISTS (SELECT 1 FROM person WHERE email_key = $1 AND deleted_at = 0) -- any organisation: all that wrote to the person`, email.Key)
	if err != nil {
		return err
	}
	for _, subject := range append(invitations, string(p.ID)) {
		if err := journal.EraseSubject(ctx, c.tx, subject); err != nil {
			return err
		}
	}
	return nil
}
