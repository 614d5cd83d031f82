package registry

import (
	"context"
	"database/sql"
	"net/netip"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/sqldb"
)

const clientColumns = `id, owner, organisation_id, account_id, name, state, token_lifetime, networks, contact, note, generation, version, created_at`

// scanner is a row or the present one of rows.
type scanner interface{ Scan(into ...any) error }

// scanClient reads clientColumns, and what stands behind them into more.
func scanClient(row scanner, more ...any) (Client, error) {
	var (
		c                 Client
		lifetime, created int64
		networks          string
	)
	err := row.Scan(append([]any{&c.ID, &c.Owner, &c.Organisation, &c.Account, &c.Name, &c.State, &lifetime, &networks, &c.Contact, &c.Note, &c.Generation, &c.Version, &created}, more...)...)
	if err != nil {
		return c, err
	}
	c.TokenLifetime = time.Duration(lifetime) * time.Second
	c.CreatedAt = fromMicros(created)
	for text := range strings.SplitSeq(networks, ",") {
		if text == "" {
			continue
		}
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return c, err // never ignored: it would widen the list
		}
		c.Networks = append(c.Networks, network)
	}
	return c, nil
}

func joinNetworks(networks []netip.Prefix) string {
	texts := make([]string, len(networks))
	for i, network := range networks {
		texts[i] = network.String()
	}
	return strings.Join(texts, ",")
}

// loadClient loads one of the actor's organisation; the operator's own, of no
// organisation, are for the operator.
func loadClient(ctx context.Context, tx *sqldb.Tx, by actor.Actor, key id.Client) (Client, error) {
	if _, ok := id.ParseClient(string(key)); !ok {
		return Client{}, unknown("client")
	}
	if by.Organisation() == "" && !by.Operator() {
		return Client{}, notFound(sql.ErrNoRows, "client", key)
	}
	c, err := scanClient(tx.QueryRow(ctx, `SELECT `+clientColumns+` FROM client WHERE id = $1 AND organisation_id = $2 AND state <> 'deleted'`, key, by.Organisation()))
	return c, notFound(err, "client", key)
}

// errTaken says that a fresh client id was used before.
var errTaken = fault.Errorf(fault.Conflict, "that client id is taken")

func isTaken(err error) bool { return err == errTaken } //nolint:errorlint // the one value, passed on as it is

func (c *change) insertClient(ctx context.Context, client *Client) error {
	result, err := c.tx.Exec(ctx, `INSERT INTO client (`+clientColumns+`, search) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, 1, $11, $12) ON CONFLICT (id) DO NOTHING`,
		client.ID, string(client.Owner), client.Organisation, client.Account, client.Name, string(Enabled),
		int64(client.TokenLifetime/time.Second), joinNetworks(client.Networks), client.Contact, client.Note, c.Now().UnixMicro(), searchable(client.Name, client.ID))
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); n == 0 {
		if err == nil {
			err = errTaken
		}
		return err
	}
	c.tx.Changed(journal.ClientChanged, string(client.ID)) // it may be remembered as unknown
	return nil
}

func (c *change) updateClient(ctx context.Context, client *Client) error {
	return c.exec(ctx, `UPDATE client SET name = $1, state = $2, token_lifetime = $3, networks = $4, generation = $5, search = $6, contact = $7, note = $8, version = version + 1 WHERE id = $9 AND organisation_id = $10`,
		client.Name, string(client.State), int64(client.TokenLifetime/time.Second), joinNetworks(client.Networks), client.Generation, searchable(client.Name, client.ID), client.Contact, client.Note, client.ID, client.Organisation)
}

// clientPermissions returns what a client was granted, sorted.
func clientPermissions(ctx context.Context, tx *sqldb.Tx, client *Client) ([]string, error) {
	return rowsOf(ctx, tx, scanText, `SELECT permission FROM client_permission WHERE client_id = $1 AND organisation_id = $2 ORDER BY permission`, client.ID, client.Organisation)
}

func scanText(row scanner) (text string, err error) { return text, row.Scan(&text) }
