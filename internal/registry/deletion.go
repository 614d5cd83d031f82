package registry

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/mail"
	"github.com/doorward/doorward/internal/sqldb"
)

// How an organisation is deleted.
const (
	QuietTime = 24 * time.Hour     // without a call in production
	UndoTime  = 7 * 24 * time.Hour // in which it can be restored
)

// DeleteOrganisation stops everything in the actor's organisation and has it
// erased after UndoTime. It is a conflict while calls flow in production: their
// clients are to be disabled first. Those of the client that makes it do not count.
type DeleteOrganisation struct {
	Base int64 `json:"base,omitempty"`
}

func (e DeleteOrganisation) apply(ctx context.Context, c *change) error {
	o, err := c.organisationToDelete(ctx, "organisation.delete", e.Base)
	if err != nil {
		return err
	}
	switch {
	case !o.EraseAt.IsZero():
		return fault.Errorf(fault.Conflict, "the organisation is being deleted already")
	case o.State != Active:
		return fault.Errorf(fault.Conflict, "the organisation is suspended: ask the operator, who suspended it")
	}
	if err := c.isQuiet(ctx); err != nil {
		return err
	}
	ends := c.Now().Add(UndoTime)
	err = c.exec(ctx, `UPDATE organisation SET state = 'suspended', generation = generation + 1, erase_at = $1, version = version + 1 WHERE id = $2`, ends.UnixMicro(), o.ID)
	if err != nil {
		return err
	}
	return c.tellAdmins(ctx, &o, ends)
}

// RestoreOrganisation takes DeleteOrganisation back, before it is erased, if it was
// made. Clients work again, with new tokens.
type RestoreOrganisation struct {
	Base int64 `json:"base,omitempty"`
}

func (e RestoreOrganisation) apply(ctx context.Context, c *change) error {
	o, err := c.organisationToDelete(ctx, "organisation.restore", e.Base)
	if err != nil {
		return err
	}
	switch {
	case o.EraseAt.IsZero():
		return nil
	case past(o.EraseAt, c.Now()):
		return fault.Errorf(fault.Conflict, "the time in which the organisation could be restored is over")
	}
	return c.exec(ctx, `UPDATE organisation SET state = 'active', erase_at = 0, version = version + 1 WHERE id = $1`, o.ID)
}

// organisationToDelete loads the actor's organisation for who may delete it.
func (c *change) organisationToDelete(ctx context.Context, action string, base int64) (Organisation, error) {
	o, err := c.organisation(ctx, base)
	if err != nil {
		return o, err
	}
	c.says(action, o.ID, string(o.ID))
	if err := c.may(actor.OrganisationWrite, ""); err != nil {
		return o, err
	}
	c.tx.Changed(journal.OrganisationChanged, string(o.ID))
	return o, c.recently()
}

// isQuiet refuses while clients are called in production.
func (c *change) isQuiet(ctx context.Context) error {
	busy, err := rowsOf(ctx, c.tx, scanText, `SELECT c.name FROM client c JOIN last_use u ON u.client_id = c.id AND u.kind = 'call' LEFT JOIN account a ON a.id = c.account_id WHERE c.organisation_id = $1
		AND c.state = 'enabled' AND u.at > $2 AND COALESCE(a.environment, 'production') = 'production' AND COALESCE(a.state, 'active') = 'active' AND 'client:' || c.id <> $3 ORDER BY u.at DESC, c.id`,
		c.by.Organisation(), c.Now().Add(-QuietTime).UnixMicro(), c.by.String())
	if err != nil || len(busy) == 0 {
		return err
	}
	more := ""
	if len(busy) > 1 {
		more = fmt.Sprintf(" and %d more", len(busy)-1)
	}
	return fault.Errorf(fault.Conflict, "within a day calls came in production with the client %q%s: disable what is not needed any more, then delete", busy[0], more)
}

// tellAdmins mails those who can restore the organisation.
func (c *change) tellAdmins(ctx context.Context, o *Organisation, ends time.Time) error {
	who, err := c.actorTitle(ctx)
	if err != nil {
		return err
	}
	members, err := listMembers(ctx, c.tx, o.ID)
	if err != nil {
		return err
	}
	for _, m := range members {
		if !m.Verified || !m.holds(actor.OrganisationWrite, "") {
			continue
		}
		if err := c.mailTo(ctx, m.Email, o.ID, mail.OrganisationDeleted("/o/"+string(o.ID), who, o.Name, ends)); err != nil {
			return err
		}
	}
	return nil
}

// EraseOrganisation erases the organisation in which the actor, a job of the
// system, acts, with all that belongs to it and what the audit log says of it.
// Ids of its clients stay, so that they are never used again.
type EraseOrganisation struct{}

func (EraseOrganisation) apply(ctx context.Context, c *change) error {
	o, err := c.organisation(ctx, 0)
	c.before = nil
	if err != nil {
		return err
	}
	c.says("organisation.erase", "", string(o.ID))
	if err := c.isSystem(); err != nil {
		return err
	}
	c.tx.Changed(journal.OrganisationChanged, string(o.ID))
	if _, err := journal.EraseOrganisation(ctx, c.tx, o.ID, math.MaxInt32); err != nil {
		return err
	}
	return errors.Join(
		c.exec(ctx, `DELETE FROM webhook_outbox WHERE organisation_id = $1`, o.ID),
		c.exec(ctx, `DELETE FROM webhook WHERE organisation_id = $1`, o.ID),
		c.exec(ctx, `DELETE FROM secret_notice WHERE organisation_id = $1`, o.ID),
		c.exec(ctx, `DELETE FROM client_secret WHERE organisation_id = $1`, o.ID),
		c.exec(ctx, `DELETE FROM client_permission WHERE organisation_id = $1`, o.ID),
		c.exec(ctx, `DELETE FROM revoked_token WHERE organisation_id = $1`, o.ID),
		c.exec(ctx, `DELETE FROM last_use WHERE organisation_id = $1`, o.ID),
		c.exec(ctx, `DELETE FROM attempt WHERE organisation_id = $1`, o.ID),
		c.exec(ctx, `DELETE FROM watch WHERE organisation_id = $1`, o.ID),
		c.exec(ctx, `UPDATE client SET name = '', search = '', networks = '', contact = '', note = '', state = 'deleted', version = version + 1 WHERE organisation_id = $1`, o.ID),
		c.exec(ctx, `DELETE FROM invitation WHERE organisation_id = $1`, o.ID),
		c.exec(ctx, `DELETE FROM request WHERE organisation_id = $1`, o.ID),
		c.exec(ctx, `DELETE FROM member_role WHERE organisation_id = $1`, o.ID),
		c.exec(ctx, `DELETE FROM member WHERE organisation_id = $1`, o.ID),
		c.exec(ctx, `DELETE FROM mail WHERE organisation_id = $1`, o.ID),
		c.exec(ctx, `DELETE FROM product_grant WHERE organisation_id = $1`, o.ID),
		c.exec(ctx, `DELETE FROM account WHERE organisation_id = $1`, o.ID),
		c.exec(ctx, `DELETE FROM organisation WHERE id = $1`, o.ID))
}

// EraseDue erases the organisations whose time to be restored is over. The audit
// log is erased in portions before, so that no other change waits for long.
func (r *Registry) EraseDue(ctx context.Context) error {
	var due []string
	err := r.DB.View(ctx, func(tx *sqldb.Tx) (err error) {
		due, err = rowsOf(ctx, tx, scanText, `SELECT id FROM organisation WHERE erase_at > 0 AND erase_at <= $1 ORDER BY erase_at LIMIT 100 -- any organisation: all that are due`, r.Now().UnixMicro())
		return err
	})
	for _, key := range due {
		if err == nil {
			err = r.eraseAudit(ctx, id.Organisation(key))
		}
		if err == nil {
			err = r.Apply(ctx, actor.NewSystem("deletion").In(id.Organisation(key)), EraseOrganisation{})
		}
		if fault.KindOf(err) == fault.NotFound { // another node did it
			err = nil
		}
	}
	return err
}

func (r *Registry) eraseAudit(ctx context.Context, key id.Organisation) error {
	const portion = 5000
	for {
		all := false
		err := r.DB.Write(ctx, func(tx *sqldb.Tx) (err error) {
			all, err = journal.EraseOrganisation(ctx, tx, key, portion)
			return err
		})
		if err != nil || all {
			return err
		}
	}
}
