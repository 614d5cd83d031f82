package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

// The three entries below are what a node keeps in memory to decide without
// the database. They are read across organisations: the decision itself holds
// client, account and organisation against each other.

// ClientEntry is all that a decision needs of a client.
type ClientEntry struct {
	Client
	Permissions   []string // sorted
	Secrets       []Secret
	RevokedTokens map[string]time.Time // by jti, until a day after they expired
}

// AccountEntry is all that a decision needs of an account.
type AccountEntry struct {
	Organisation id.Organisation
	State        State
	Generation   int64
}

// OrganisationEntry is all that a decision needs of an organisation.
type OrganisationEntry struct {
	State      State
	Generation int64
	Grants     map[ProductGrant]bool
}

// ProductGrant is a product in one environment, given to an organisation.
type ProductGrant struct {
	Product     string
	Environment id.Environment
}

// ClientEntry loads a client for the directory; nil if there is none.
func (r *Registry) ClientEntry(ctx context.Context, key id.Client) (entry *ClientEntry, err error) {
	if _, ok := id.ParseClient(string(key)); !ok {
		return nil, nil //nolint:nilnil // unknown is an answer here, to be remembered
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		client, err := scanClient(tx.QueryRow(ctx, `SELECT `+clientColumns+` FROM client WHERE id = $1 AND state <> 'deleted' -- any organisation: who it is decides later`, key))
		if err != nil {
			return err
		}
		client.Contact, client.Note = "", "" // nothing that a decision needs
		entry = &ClientEntry{Client: client}
		if entry.Permissions, err = clientPermissions(ctx, tx, &client); err != nil {
			return err
		}
		if entry.Secrets, err = clientSecrets(ctx, tx, &client); err != nil {
			return err
		}
		entry.RevokedTokens, err = r.revokedTokens(ctx, tx, &client)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // unknown is an answer here, to be remembered
	}
	if err != nil {
		return nil, fmt.Errorf("load client for the directory: %w", err)
	}
	return entry, nil
}

func (r *Registry) revokedTokens(ctx context.Context, tx *sqldb.Tx, client *Client) (map[string]time.Time, error) {
	rows, err := tx.Query(ctx, `SELECT jti, expires_at FROM revoked_token WHERE client_id = $1 AND organisation_id = $2 AND expires_at > $3`, client.ID, client.Organisation, r.Now().Add(-clockWrongFor).UnixMicro())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var tokens map[string]time.Time
	for rows.Next() {
		var jti string
		var expires int64
		if err := rows.Scan(&jti, &expires); err != nil {
			return nil, err
		}
		if tokens == nil {
			tokens = map[string]time.Time{}
		}
		tokens[jti] = fromMicros(expires)
	}
	return tokens, rows.Err()
}

// AccountEntry loads an account for the directory; nil if there is none.
func (r *Registry) AccountEntry(ctx context.Context, key id.Account) (entry *AccountEntry, err error) {
	if _, ok := id.ParseAccount(string(key)); !ok {
		return nil, nil //nolint:nilnil // unknown is an answer here, to be remembered
	}
	var found AccountEntry
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, `SELECT organisation_id, state, generation FROM account WHERE id = $1 -- any organisation: who it is decides later`, key).
			Scan(&found.Organisation, &found.State, &found.Generation)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // unknown is an answer here, to be remembered
	}
	if err != nil {
		return nil, fmt.Errorf("load account for the directory: %w", err)
	}
	return &found, nil
}

// OrganisationEntry loads an organisation for the directory; nil if there is
// none.
func (r *Registry) OrganisationEntry(ctx context.Context, key id.Organisation) (entry *OrganisationEntry, err error) {
	if _, ok := id.ParseOrganisation(string(key)); !ok {
		return nil, nil //nolint:nilnil // unknown is an answer here, to be remembered
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		entry = &OrganisationEntry{Grants: map[ProductGrant]bool{}}
		if err := tx.QueryRow(ctx, `SELECT state, generation FROM organisation WHERE id = $1`, key).Scan(&entry.State, &entry.Generation); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT product, environment FROM product_grant WHERE organisation_id = $1`, key)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var grant ProductGrant
			if err := rows.Scan(&grant.Product, &grant.Environment); err != nil {
				return err
			}
			entry.Grants[grant] = true
		}
		return rows.Err()
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // unknown is an answer here, to be remembered
	}
	if err != nil {
		return nil, fmt.Errorf("load organisation for the directory: %w", err)
	}
	return entry, nil
}
