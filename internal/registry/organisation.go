package registry

import (
	"context"
	"errors"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/sqldb"
)

// Organisation is a customer.
type Organisation struct {
	ID         id.Organisation `json:"id"`
	Name       string          `json:"name"`
	State      State           `json:"state"`
	Generation int64           `json:"generation"` // raised by each suspension
	Version    int64           `json:"version"`    // raised by each edit
	CreatedAt  time.Time       `json:"created_at"`
	EraseAt    time.Time       `json:"erase_at,omitzero"` // it is deleted and suspended, until then with undo; zero: it is not
}

// CreateOrganisation makes an organisation with the id given.
type CreateOrganisation struct {
	ID   id.Organisation `json:"id"`
	Name string          `json:"name"`
}

func (e CreateOrganisation) apply(ctx context.Context, c *change) error {
	c.says("organisation.create", e.ID, string(e.ID))
	if err := c.may(actor.OrganisationCreate, ""); err != nil {
		return err
	}
	if _, ok := id.ParseOrganisation(string(e.ID)); !ok {
		return fault.Errorf(fault.Invalid, "an organisation's id is o- and 20 of a-z and 0-9")
	}
	if err := validName("organisation's name", e.Name); err != nil {
		return err
	}
	c.tx.Changed(journal.OrganisationChanged, string(e.ID))
	err := c.exec(ctx, `INSERT INTO organisation (id, name, state, generation, version, created_at, search) VALUES ($1, $2, $3, 0, 1, $4, $5)`,
		e.ID, e.Name, Active, c.Now().UnixMicro(), searchable(e.Name, e.ID))
	return isFree(err, "organisation")
}

// RenameOrganisation changes the name of the actor's organisation.
type RenameOrganisation struct {
	Name string `json:"name"`
	Base int64  `json:"base,omitempty"`
}

func (e RenameOrganisation) apply(ctx context.Context, c *change) error {
	o, err := c.organisation(ctx, e.Base)
	if err != nil {
		return err
	}
	c.says("organisation.rename", o.ID, string(o.ID))
	if err := c.may(actor.OrganisationWrite, ""); err != nil {
		return err
	}
	if err := validName("organisation's name", e.Name); err != nil {
		return err
	}
	return c.exec(ctx, `UPDATE organisation SET name = $1, search = $2, version = version + 1 WHERE id = $3`, e.Name, searchable(e.Name, o.ID), o.ID)
}

// SetOrganisationState suspends or activates the organisation in which the
// actor acts. It is the operator's to make.
type SetOrganisationState struct {
	State State `json:"state"`
	Base  int64 `json:"base,omitempty"`
}

func (e SetOrganisationState) apply(ctx context.Context, c *change) error {
	o, err := c.organisation(ctx, e.Base)
	if err != nil {
		return err
	}
	verb, err := validState(e.State)
	if err != nil {
		return err
	}
	c.says("organisation."+verb, o.ID, string(o.ID))
	if err := c.may(actor.Suspend, ""); err != nil {
		return err
	}
	if !o.EraseAt.IsZero() {
		return fault.Errorf(fault.Conflict, "the organisation is being deleted: restore it first")
	}
	c.tx.Changed(journal.OrganisationChanged, string(o.ID))
	return c.exec(ctx, `UPDATE organisation SET generation = generation + CASE WHEN state <> $1 AND $1 = 'suspended' THEN 1 ELSE 0 END, state = $1, version = version + 1 WHERE id = $2`,
		string(e.State), o.ID)
}

// organisation loads the one in which the actor acts, for an edit.
func (c *change) organisation(ctx context.Context, base int64) (Organisation, error) {
	o, err := loadOrganisation(ctx, c.tx, c.by.Organisation())
	if err != nil {
		return o, err
	}
	c.before = o
	return o, stale(base, o.Version, "the organisation")
}

func loadOrganisation(ctx context.Context, tx *sqldb.Tx, key id.Organisation) (Organisation, error) {
	o, err := scanOrganisation(tx.QueryRow(ctx, `SELECT `+organisationColumns+` FROM organisation WHERE id = $1`, key))
	return o, notFound(err, "organisation", key)
}

const organisationColumns = `id, name, state, generation, version, created_at, erase_at`

func scanOrganisation(row scanner) (o Organisation, err error) {
	var created, erase int64
	err = row.Scan(&o.ID, &o.Name, &o.State, &o.Generation, &o.Version, &created, &erase)
	o.CreatedAt, o.EraseAt = fromMicros(created), fromMicros(erase)
	return o, err
}

// CreateOrganisation makes an organisation of that name.
func (r *Registry) CreateOrganisation(ctx context.Context, by actor.Actor, name string) (id.Organisation, error) {
	key := id.NewOrganisation(r.Rand)
	if err := r.Apply(ctx, by, CreateOrganisation{ID: key, Name: name}); err != nil {
		return "", err
	}
	return key, nil
}

// Organisation returns the organisation in which the actor acts.
func (r *Registry) Organisation(ctx context.Context, by actor.Actor) (o Organisation, err error) {
	if by.Organisation() == "" {
		return o, fault.Errorf(fault.NotFound, "choose an organisation first")
	}
	if err := by.Require(actor.OrganisationRead, ""); err != nil {
		return o, err
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		o, err = loadOrganisation(ctx, tx, by.Organisation())
		return err
	})
	return o, err
}

// OrganisationFilter limits a list of organisations. Empty fields do not.
type OrganisationFilter struct {
	Text  string // in the name or id, whatever the case
	State State
}

// Organisations lists all organisations, newest first, to the operator at
// operator level; else the one in which the actor acts.
func (r *Registry) Organisations(ctx context.Context, by actor.Actor, filter OrganisationFilter, page Page) (list List[Organisation], err error) {
	if err := by.Require(actor.OrganisationRead, ""); err != nil {
		return list, err
	}
	l, err := r.list("organisations", by, filter, page, beforeNewest)
	if err == nil {
		err = errors.Join(validFilter(filter.Text), validChoice("state", filter.State, Active, Suspended))
	}
	if err != nil {
		return list, err
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		found, err := filteredRows(ctx, tx, scanOrganisation, `SELECT `+organisationColumns+` FROM organisation
			WHERE $1 IN ('', id) AND (created_at, id) < ($2, $3) AND $4 IN ('', state) AND search LIKE $5 ESCAPE '\'
			ORDER BY created_at DESC, id DESC LIMIT $6 -- any organisation: for the operator at operator level alone`,
			string(by.Organisation()), l.after.number, l.after.key, string(filter.State), containing(filter.Text), l.fetch())
		list = pageOf(l, found, func(o *Organisation) position { return position{micros(o.CreatedAt), string(o.ID)} })
		return err
	})
	return list, err
}
