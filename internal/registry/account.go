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

// Account is a part of an organisation, sandbox or production for ever: its
// id says which.
type Account struct {
	ID           id.Account      `json:"id"`
	Organisation id.Organisation `json:"organisation,omitempty"`
	Name         string          `json:"name"`
	State        State           `json:"state"`
	Generation   int64           `json:"generation"` // raised by each suspension
	Version      int64           `json:"version"`    // raised by each edit
	CreatedAt    time.Time       `json:"created_at"`
}

// CreateAccount makes an account in the actor's organisation. Its id carries
// the environment.
type CreateAccount struct {
	ID   id.Account `json:"id"`
	Name string     `json:"name"`
}

func (e CreateAccount) apply(ctx context.Context, c *change) error {
	o, err := c.organisation(ctx, 0)
	if err != nil {
		return err
	}
	c.before = nil
	c.says("account.create", o.ID, string(e.ID))
	if err := c.may(actor.AccountWrite, ""); err != nil {
		return err
	}
	if _, ok := id.ParseAccount(string(e.ID)); !ok {
		return fault.Errorf(fault.Invalid, "an account's id is a-s- or a-p- and 20 of a-z and 0-9")
	}
	if err := c.may(actor.AccountWrite, e.ID); err != nil { // a production account asks for more
		return err
	}
	if err := c.verified(); err != nil {
		return err
	}
	if err := c.freeAccountName(ctx, e.Name); err != nil {
		return err
	}
	c.tx.Changed(journal.AccountChanged, string(e.ID))
	err = c.exec(ctx, `INSERT INTO account (id, organisation_id, environment, name, state, generation, version, created_at, search) VALUES ($1, $2, $3, $4, $5, 0, 1, $6, $7)`,
		e.ID, o.ID, e.ID.Environment(), e.Name, Active, c.Now().UnixMicro(), searchable(e.Name, e.ID))
	return isFree(err, "account")
}

// RenameAccount changes an account's name.
type RenameAccount struct {
	Account id.Account `json:"account"`
	Name    string     `json:"name"`
	Base    int64      `json:"base,omitempty"`
}

func (e RenameAccount) apply(ctx context.Context, c *change) error {
	a, err := c.account(ctx, e.Account, e.Base)
	if err != nil {
		return err
	}
	c.says("account.rename", a.Organisation, string(a.ID))
	if err := c.may(actor.AccountWrite, a.ID); err != nil {
		return err
	}
	if e.Name == a.Name {
		return nil
	}
	if err := c.freeAccountName(ctx, e.Name); err != nil {
		return err
	}
	return c.exec(ctx, `UPDATE account SET name = $1, search = $2, version = version + 1 WHERE id = $3 AND organisation_id = $4`, e.Name, searchable(e.Name, a.ID), a.ID, a.Organisation)
}

// SetAccountState suspends or activates an account. It is the operator's to make.
type SetAccountState struct {
	Account id.Account `json:"account"`
	State   State      `json:"state"`
	Base    int64      `json:"base,omitempty"`
}

func (e SetAccountState) apply(ctx context.Context, c *change) error {
	a, err := c.account(ctx, e.Account, e.Base)
	if err != nil {
		return err
	}
	verb, err := validState(e.State)
	if err != nil {
		return err
	}
	c.says("account."+verb, a.Organisation, string(a.ID))
	if err := c.may(actor.Suspend, a.ID); err != nil {
		return err
	}
	c.tx.Changed(journal.AccountChanged, string(a.ID))
	return c.exec(ctx, `UPDATE account SET generation = generation + CASE WHEN state <> $1 AND $1 = 'suspended' THEN 1 ELSE 0 END, state = $1, version = version + 1 WHERE id = $2 AND organisation_id = $3`,
		string(e.State), a.ID, a.Organisation)
}

// DeleteAccount deletes an account without a client, with the roles on it.
type DeleteAccount struct {
	Account id.Account `json:"account"`
	Base    int64      `json:"base,omitempty"`
}

func (e DeleteAccount) apply(ctx context.Context, c *change) error {
	a, err := c.account(ctx, e.Account, e.Base)
	if err != nil {
		return err
	}
	c.says("account.delete", a.Organisation, string(a.ID))
	if err := c.may(actor.AccountWrite, a.ID); err != nil {
		return err
	}
	if err := c.recently(); err != nil {
		return err
	}
	if a.State == Suspended {
		return fault.Errorf(fault.Conflict, "the account is suspended: ask the operator, who suspended it")
	}
	used, err := exists(ctx, c.tx, `SELECT EXISTS (SELECT 1 FROM client WHERE organisation_id = $1 AND account_id = $2 AND state <> 'deleted')`, a.Organisation, a.ID)
	if err != nil {
		return err
	}
	if used {
		return fault.Errorf(fault.Conflict, "the account has API clients: delete those that are not needed any more first")
	}
	c.tx.Changed(journal.AccountChanged, string(a.ID))
	return errors.Join(
		c.exec(ctx, `UPDATE member SET version = version + 1 WHERE organisation_id = $1 AND person_id IN (SELECT r.person_id FROM member_role r WHERE r.organisation_id = $1 AND r.account_id = $2)`, a.Organisation, a.ID),
		c.exec(ctx, `DELETE FROM member_role WHERE organisation_id = $1 AND account_id = $2`, a.Organisation, a.ID),
		c.exec(ctx, `DELETE FROM account WHERE organisation_id = $1 AND id = $2`, a.Organisation, a.ID))
}

func (c *change) freeAccountName(ctx context.Context, name string) error {
	if err := validName("account's name", name); err != nil {
		return err
	}
	taken, err := exists(ctx, c.tx, `SELECT EXISTS (SELECT 1 FROM account WHERE organisation_id = $1 AND name = $2)`, c.by.Organisation(), name)
	if taken {
		return fault.Errorf(fault.Conflict, "the organisation already has an account of that name: choose another")
	}
	return err
}

// account loads one of the actor's organisation, for an edit.
func (c *change) account(ctx context.Context, key id.Account, base int64) (Account, error) {
	a, err := loadAccount(ctx, c.tx, c.by.Organisation(), key)
	if err != nil {
		return a, err
	}
	c.before = a
	return a, stale(base, a.Version, "the account")
}

func loadAccount(ctx context.Context, tx *sqldb.Tx, organisation id.Organisation, key id.Account) (Account, error) {
	if _, ok := id.ParseAccount(string(key)); !ok {
		return Account{}, unknown("account")
	}
	a, err := scanAccount(tx.QueryRow(ctx, `SELECT `+accountColumns+` FROM account WHERE id = $1 AND organisation_id = $2`, key, organisation))
	return a, notFound(err, "account", key)
}

const accountColumns = `id, organisation_id, name, state, generation, version, created_at`

func scanAccount(row scanner) (a Account, err error) {
	var created int64
	err = row.Scan(&a.ID, &a.Organisation, &a.Name, &a.State, &a.Generation, &a.Version, &created)
	a.CreatedAt = fromMicros(created)
	return a, err
}

// CreateAccount makes an account in the actor's organisation.
func (r *Registry) CreateAccount(ctx context.Context, by actor.Actor, environment id.Environment, name string) (id.Account, error) {
	edit, err := r.PrepareAccount(environment, name)
	if err == nil {
		err = r.Apply(ctx, by, edit)
	}
	if err != nil {
		return "", err
	}
	return edit.ID, nil
}

// PrepareAccount returns the edit that makes an account under a fresh id.
func (r *Registry) PrepareAccount(environment id.Environment, name string) (CreateAccount, error) {
	if !environment.Valid() {
		return CreateAccount{}, fault.Errorf(fault.Invalid, "an account is either sandbox or production: choose one")
	}
	return CreateAccount{ID: id.NewAccount(r.Rand, environment), Name: name}, nil
}

// Account returns an account of the actor's organisation.
func (r *Registry) Account(ctx context.Context, by actor.Actor, key id.Account) (a Account, err error) {
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		if a, err = loadAccount(ctx, tx, by.Organisation(), key); err != nil {
			return err
		}
		return by.Require(actor.AccountRead, key)
	})
	return a, err
}

// AccountFilter limits a list of accounts. Empty fields do not.
type AccountFilter struct {
	Text        string // in the name or id, whatever the case
	State       State
	Environment id.Environment
}

// Accounts lists the accounts of the actor's organisation that the actor may
// read, newest first.
func (r *Registry) Accounts(ctx context.Context, by actor.Actor, filter AccountFilter, page Page) (list List[Account], err error) {
	readable, err := whereMay(by, actor.AccountRead)
	if err != nil {
		return list, err
	}
	l, err := r.list("accounts", by, filter, page, beforeNewest)
	if err == nil {
		err = errors.Join(validFilter(filter.Text), validChoice("state", filter.State, Active, Suspended), validEnvironment(filter.Environment))
	}
	if err != nil {
		return list, err
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		found, err := filteredRows(ctx, tx, scanAccount, `SELECT `+accountColumns+` FROM account WHERE organisation_id = $1 AND (created_at, id) < ($2, $3) AND CASE WHEN $4 = '' THEN TRUE ELSE $4 LIKE '%,' || id || ',%' END
			AND $5 IN ('', state) AND $6 IN ('', environment) AND search LIKE $7 ESCAPE '\'
			ORDER BY created_at DESC, id DESC LIMIT $8`,
			by.Organisation(), l.after.number, l.after.key, readable, string(filter.State), string(filter.Environment), containing(filter.Text), l.fetch())
		list = pageOf(l, found, func(a *Account) position { return position{micros(a.CreatedAt), string(a.ID)} })
		return err
	})
	return list, err
}
