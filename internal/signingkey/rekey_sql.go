package signingkey

import (
	"context"
	"database/sql"

	"github.com/doorward/doorward/internal/sqldb"
)

// sealedColumn is how the values of one of [secret.SealedColumns] are sealed
// anew. An identity ends in the key of its row.
type sealedColumn struct {
	name, identity string
	read           reading // keys and values that a key has not sealed, behind a row
	write          writing // a value, if it is still the same
	left           reading // whether there are any
}

type (
	reading func(ctx context.Context, tx *sqldb.Tx, args ...any) (*sql.Rows, error)
	writing func(ctx context.Context, tx *sqldb.Tx, args ...any) error
)

func reads(query string) reading {
	return func(ctx context.Context, tx *sqldb.Tx, args ...any) (*sql.Rows, error) {
		return tx.Query(ctx, query, args...)
	}
}

func writes(query string) writing {
	return func(ctx context.Context, tx *sqldb.Tx, args ...any) error {
		_, err := tx.Exec(ctx, query, args...)
		return err
	}
}

var sealedColumns = []sealedColumn{
	{
		"installation.secret_tag_key", "installation.secret_tag_key/",
		reads(`SELECT CAST(id AS TEXT), secret_tag_key FROM installation WHERE length(secret_tag_key) > 0 AND substr(secret_tag_key, 1, 5) <> $1 AND CAST(id AS TEXT) > $2 ORDER BY CAST(id AS TEXT) LIMIT $3`),
		writes(`UPDATE installation SET secret_tag_key = $1 WHERE CAST(id AS TEXT) = $2 AND secret_tag_key = $3`),
		reads(`SELECT 1 FROM installation WHERE length(secret_tag_key) > 0 AND substr(secret_tag_key, 1, 5) <> $1 LIMIT 1`),
	},
	{
		"installation.kek_check", "installation.kek_check/",
		reads(`SELECT CAST(id AS TEXT), kek_check FROM installation WHERE length(kek_check) > 0 AND substr(kek_check, 1, 5) <> $1 AND CAST(id AS TEXT) > $2 ORDER BY CAST(id AS TEXT) LIMIT $3`),
		writes(`UPDATE installation SET kek_check = $1 WHERE CAST(id AS TEXT) = $2 AND kek_check = $3`),
		reads(`SELECT 1 FROM installation WHERE length(kek_check) > 0 AND substr(kek_check, 1, 5) <> $1 LIMIT 1`),
	},
	{
		"signing_key.private_key", "signing_key.private_key/",
		reads(`SELECT kid, private_key FROM signing_key WHERE length(private_key) > 0 AND substr(private_key, 1, 5) <> $1 AND kid > $2 ORDER BY kid LIMIT $3`),
		writes(`UPDATE signing_key SET private_key = $1 WHERE kid = $2 AND private_key = $3`),
		reads(`SELECT 1 FROM signing_key WHERE length(private_key) > 0 AND substr(private_key, 1, 5) <> $1 LIMIT 1`),
	},
	{
		"webhook.secret", "webhook.secret/",
		reads(`SELECT id, secret FROM webhook WHERE length(secret) > 0 AND substr(secret, 1, 5) <> $1 AND id > $2 ORDER BY id LIMIT $3 -- any organisation: all is sealed anew`),
		writes(`UPDATE webhook SET secret = $1 WHERE id = $2 AND secret = $3 -- any organisation: all is sealed anew`),
		reads(`SELECT 1 FROM webhook WHERE length(secret) > 0 AND substr(secret, 1, 5) <> $1 LIMIT 1 -- any organisation: all is sealed anew`),
	},
	{
		"webhook.previous_secret", "webhook.secret/",
		reads(`SELECT id, previous_secret FROM webhook WHERE length(previous_secret) > 0 AND substr(previous_secret, 1, 5) <> $1 AND id > $2 ORDER BY id LIMIT $3 -- any organisation: all is sealed anew`),
		writes(`UPDATE webhook SET previous_secret = $1 WHERE id = $2 AND previous_secret = $3 -- any organisation: all is sealed anew`),
		reads(`SELECT 1 FROM webhook WHERE length(previous_secret) > 0 AND substr(previous_secret, 1, 5) <> $1 LIMIT 1 -- any organisation: all is sealed anew`),
	},
	{
		"mail.body", "mail.body/",
		reads(`SELECT id, body FROM mail WHERE length(body) > 0 AND substr(body, 1, 5) <> $1 AND id > $2 ORDER BY id LIMIT $3 -- any organisation: all is sealed anew`),
		writes(`UPDATE mail SET body = $1 WHERE id = $2 AND body = $3 -- any organisation: all is sealed anew`),
		reads(`SELECT 1 FROM mail WHERE length(body) > 0 AND substr(body, 1, 5) <> $1 LIMIT 1 -- any organisation: all is sealed anew`),
	},
	{
		"factor.seed", "factor.seed/",
		reads(`SELECT person_id, seed FROM factor WHERE length(seed) > 0 AND substr(seed, 1, 5) <> $1 AND person_id > $2 ORDER BY person_id LIMIT $3`),
		writes(`UPDATE factor SET seed = $1 WHERE person_id = $2 AND seed = $3`),
		reads(`SELECT 1 FROM factor WHERE length(seed) > 0 AND substr(seed, 1, 5) <> $1 LIMIT 1`),
	},
	{
		"factor.pending", "factor.pending/",
		reads(`SELECT person_id, pending FROM factor WHERE length(pending) > 0 AND substr(pending, 1, 5) <> $1 AND person_id > $2 ORDER BY person_id LIMIT $3`),
		writes(`UPDATE factor SET pending = $1 WHERE person_id = $2 AND pending = $3`),
		reads(`SELECT 1 FROM factor WHERE length(pending) > 0 AND substr(pending, 1, 5) <> $1 LIMIT 1`),
	},
	{
		"audit_key.private_key", "audit_key.private_key/",
		reads(`SELECT CAST(id AS TEXT), private_key FROM audit_key WHERE length(private_key) > 0 AND substr(private_key, 1, 5) <> $1 AND CAST(id AS TEXT) > $2 ORDER BY CAST(id AS TEXT) LIMIT $3`),
		writes(`UPDATE audit_key SET private_key = $1 WHERE CAST(id AS TEXT) = $2 AND private_key = $3`),
		reads(`SELECT 1 FROM audit_key WHERE length(private_key) > 0 AND substr(private_key, 1, 5) <> $1 LIMIT 1`),
	},
}
