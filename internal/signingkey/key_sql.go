package signingkey

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/sqldb"
)

// load reads the keys that are not dead, and dead ones whose private key is
// not erased yet, ordered by id on every engine alike.
func (r *Ring) load(ctx context.Context, tx *sqldb.Tx, now time.Time) ([]*key, error) {
	longest := r.config.StaleLimit + MaxTokenLifetime + jwt.Skew
	rows, err := tx.Query(ctx, `SELECT kid, purpose, algorithm, public_key, private_key, state, published_at, activated_at, retired_at
		FROM signing_key WHERE retired_at = 0 OR retired_at > $1 OR length(private_key) > 0`,
		now.Add(-longest).UnixMicro())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var keys []*key
	for rows.Next() {
		k := key{lag: r.config.StaleLimit}
		var published, activated, retired int64
		if err := rows.Scan(&k.id, &k.purpose, &k.algorithm, &k.public, &k.sealed, &k.state, &published, &activated, &retired); err != nil {
			return nil, err
		}
		k.published, k.activated, k.retired = timeOf(published), timeOf(activated), timeOf(retired)
		keys = append(keys, &k)
	}
	slices.SortFunc(keys, func(a, b *key) int { return strings.Compare(a.id, b.id) })
	return keys, rows.Err()
}

func timeOf(micro int64) time.Time {
	if micro == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micro).UTC()
}

func (c *change) insertNext(ctx context.Context, k *key) error {
	_, err := c.tx.Exec(ctx, `INSERT INTO signing_key (kid, purpose, algorithm, public_key, private_key, state, published_at, activated_at, retired_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0)`,
		k.id, k.purpose, string(k.algorithm), k.public, k.sealed, Next, c.now.UnixMicro())
	return err
}

func (c *change) activate(ctx context.Context, kid string) error {
	_, err := c.tx.Exec(ctx, `UPDATE signing_key SET state = $1, activated_at = $2 WHERE kid = $3`, Current, c.now.UnixMicro(), kid)
	return err
}

func (c *change) retire(ctx context.Context, kid string) error {
	_, err := c.tx.Exec(ctx, `UPDATE signing_key SET state = $1, retired_at = $2 WHERE kid = $3`, Retired, c.now.UnixMicro(), kid)
	return err
}

func (c *change) withdraw(ctx context.Context, kid string) error {
	_, err := c.tx.Exec(ctx, `UPDATE signing_key SET state = $1, retired_at = $2, private_key = '' WHERE kid = $3`, Withdrawn, c.now.UnixMicro(), kid)
	return err
}

func (c *change) erasePrivate(ctx context.Context, kid string) error {
	_, err := c.tx.Exec(ctx, `UPDATE signing_key SET private_key = '' WHERE kid = $1`, kid)
	return err
}

// deleteNext forgets a key that never signed.
func (c *change) deleteNext(ctx context.Context, kid string) error {
	_, err := c.tx.Exec(ctx, `DELETE FROM signing_key WHERE kid = $1 AND state = $2`, kid, Next)
	return err
}

// WithdrawAll withdraws every key and erases its private part: when a database
// was restored and nobody can tell which keys were withdrawn since. The keys of
// an installation's first start are made anew by whoever opens a Ring next.
func WithdrawAll(ctx context.Context, tx *sqldb.Tx, now time.Time) error {
	tx.Changed(journal.KeysChanged, "")
	_, err := tx.Exec(ctx, `UPDATE signing_key SET state = $1, retired_at = $2, private_key = '' WHERE state <> $1`, Withdrawn, now.UnixMicro())
	return err
}
