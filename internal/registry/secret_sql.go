package registry

import (
	"context"
	"net/netip"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/sqldb"
)

// secretColumns are of client_secret s; what is stored there stands first.
const (
	storedSecret  = `id, client_id, name, digest, state, created_with, created_by, created_at, expires_at, ends_at, disabled_at, revoked_at`
	secretColumns = storedSecret + `,
		coalesce((SELECT at FROM last_use u WHERE u.client_id = s.client_id AND u.kind = 'secret' AND u.key = s.id), 0),
		coalesce((SELECT address FROM last_use u WHERE u.client_id = s.client_id AND u.kind = 'secret' AND u.key = s.id), '')`
)

func scanSecret(row scanner) (Secret, error) { return scanSecretAnd(row) }

// scanSecretAnd reads secretColumns, and what stands behind them into more.
func scanSecretAnd(row scanner, more ...any) (Secret, error) {
	var s Secret
	var digest []byte
	var created, expires, ends, disabled, revoked, used int64
	var usedFrom string
	err := row.Scan(append([]any{&s.ID, &s.Client, &s.Name, &digest, &s.State, &s.CreatedWith, &s.CreatedBy, &created, &expires, &ends, &disabled, &revoked, &used, &usedFrom}, more...)...)
	s.Digest = digest
	s.CreatedAt, s.ExpiresAt, s.EndsAt = fromMicros(created), fromMicros(expires), fromMicros(ends)
	s.DisabledAt, s.RevokedAt, s.LastUsedAt = fromMicros(disabled), fromMicros(revoked), fromMicros(used)
	s.LastUsedFrom, _ = netip.ParseAddr(usedFrom) // none: it was never used
	return s, err
}

func loadSecret(ctx context.Context, tx *sqldb.Tx, client *Client, key id.Secret) (Secret, error) {
	if _, ok := id.ParseSecret(string(key)); !ok {
		return Secret{}, unknown("secret")
	}
	s, err := scanSecret(tx.QueryRow(ctx, `SELECT `+secretColumns+` FROM client_secret s WHERE id = $1 AND client_id = $2 AND organisation_id = $3`, key, client.ID, client.Organisation))
	return s, notFound(err, "secret", key)
}

func clientSecrets(ctx context.Context, tx *sqldb.Tx, client *Client) ([]Secret, error) {
	return rowsOf(ctx, tx, scanSecret, `SELECT `+secretColumns+` FROM client_secret s WHERE client_id = $1 AND organisation_id = $2 ORDER BY created_at DESC, id`, client.ID, client.Organisation)
}

func (l *listing) secrets(ctx context.Context, tx *sqldb.Tx, client *Client, filter SecretFilter) ([]Secret, error) {
	return rowsOf(ctx, tx, scanSecret, `SELECT `+secretColumns+` FROM client_secret s WHERE client_id = $1 AND organisation_id = $2 AND (created_at, id) < ($3, $4)
		AND $5 IN ('', CASE WHEN state IN ('active', 'retiring') AND `+secretEnd+` BETWEEN 1 AND $6 THEN 'expired' ELSE state END)
		ORDER BY created_at DESC, id DESC LIMIT $7`,
		client.ID, client.Organisation, l.after.number, l.after.key, string(filter.State), l.Now().UnixMicro(), l.fetch())
}

// secretsCreatedBy are those of an actor that work now, on the accounts given:
// each between commas, or nothing for all.
func (l *listing) secretsCreatedBy(ctx context.Context, tx *sqldb.Tx, organisation id.Organisation, creator, accounts string) ([]CreatedSecret, error) {
	return rowsOf(ctx, tx, scanCreatedSecret, `SELECT `+secretColumns+`, (SELECT c.name FROM client c WHERE c.id = s.client_id), (SELECT c.account_id FROM client c WHERE c.id = s.client_id)
		FROM client_secret s WHERE organisation_id = $1 AND created_by = $2 AND (created_at, id) < ($3, $4)
		AND state IN ('active', 'retiring') AND `+secretEnd+` NOT BETWEEN 1 AND $5
		AND EXISTS (SELECT 1 FROM client c WHERE c.id = s.client_id AND c.state <> 'deleted' AND CASE WHEN $6 = '' THEN TRUE ELSE $6 LIKE '%,' || c.account_id || ',%' END)
		ORDER BY created_at DESC, id DESC LIMIT $7`,
		organisation, creator, l.after.number, l.after.key, l.Now().UnixMicro(), accounts, l.fetch())
}

func scanCreatedSecret(row scanner) (s CreatedSecret, err error) {
	s.Secret, err = scanSecretAnd(row, &s.ClientName, &s.Account)
	return s, err
}

// descendants walks what a secret created, and what that created, also through
// revoked ones: a leaked secret must not hide its work behind one of them. Those
// of an operator's credential may be in any organisation, others in their own.
func descendants(ctx context.Context, tx *sqldb.Tx, client *Client, of id.Secret) (live []Secret, err error) {
	seen := map[id.Secret]bool{of: true}
	for queue := []id.Secret{of}; len(queue) > 0; queue = queue[1:] {
		created, err := rowsOf(ctx, tx, scanSecret, `SELECT `+secretColumns+` FROM client_secret s WHERE created_with = $1 AND ($2 = '' OR organisation_id = $2) ORDER BY created_at DESC, id -- any organisation: for the operator's alone`, queue[0], client.Organisation)
		if err != nil {
			return nil, err
		}
		for _, s := range created {
			if seen[s.ID] {
				continue
			}
			seen[s.ID] = true
			queue = append(queue, s.ID)
			if s.State != SecretRevoked {
				live = append(live, s)
			}
		}
	}
	return live, nil
}

func (c *change) insertSecret(ctx context.Context, client *Client, e *AddSecret) error {
	err := c.exec(ctx, `INSERT INTO client_secret (`+storedSecret+`, organisation_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, 0, $10)`,
		e.ID, client.ID, e.Name, []byte(e.Digest), string(SecretActive), c.by.Credential(), c.by.String(), c.Now().UnixMicro(), micros(e.Expires), client.Organisation)
	return isFree(err, "secret")
}

func (c *change) updateSecret(ctx context.Context, client *Client, s *Secret) error {
	return c.exec(ctx, `UPDATE client_secret SET state = $1, ends_at = $2, disabled_at = $3, revoked_at = $4 WHERE id = $5 AND client_id = $6 AND organisation_id = $7`,
		string(s.State), micros(s.EndsAt), micros(s.DisabledAt), micros(s.RevokedAt), s.ID, client.ID, client.Organisation)
}

func (c *change) moveDescendants(ctx context.Context, client *Client, from, to id.Secret) error {
	return c.exec(ctx, `UPDATE client_secret SET created_with = $1 WHERE created_with = $2 AND id <> $1 AND ($3 = '' OR organisation_id = $3) -- any organisation: for the operator's alone`, to, from, client.Organisation)
}

// revokeDescendants revokes what a secret created, and what that created.
func (c *change) revokeDescendants(ctx context.Context, client *Client, of id.Secret) error {
	found, err := descendants(ctx, c.tx, client, of)
	if err != nil {
		return err
	}
	for i := range found {
		c.tx.Changed(journal.ClientChanged, string(found[i].Client))
		err := c.exec(ctx, `UPDATE client_secret SET state = 'revoked', revoked_at = $1 WHERE id = $2 AND ($3 = '' OR organisation_id = $3) -- any organisation: for the operator's alone`, c.Now().UnixMicro(), found[i].ID, client.Organisation)
		if err != nil {
			return err
		}
	}
	return nil
}
