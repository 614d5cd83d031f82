package registry

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/sqldb"
)

// IdempotencyWindow is how long a repeated request is recognised.
const IdempotencyWindow = 24 * time.Hour

// once is a request that may come again.
type once struct {
	key    string
	digest []byte
}

// Repeated is the error of a change that an earlier request with the same key
// has made. It is no refusal: Subject is the id of what was created then.
type Repeated struct{ Subject string }

func (e *Repeated) Error() string { return "a request with the same key has created " + e.Subject }

// Once returns a Registry that makes a change once for the actor and a key of
// the actor's choice, within IdempotencyWindow: the next one is *Repeated, or
// fault.IdempotencyKeyReused if digest, the SHA-256 of the request, is another.
// What is kept of it is the subject of the first edit, never a secret.
func (r *Registry) Once(key string, digest []byte) *Registry {
	view := *r
	view.once = &once{key, digest}
	return &view
}

// recall returns *Repeated if the request was made before. Transactions are
// serial: of two at once, the second finds what the first one kept.
func (r *Registry) recall(ctx context.Context, tx *sqldb.Tx, by actor.Actor) error {
	if r.once == nil {
		return nil
	}
	if _, err := tx.Exec(ctx, `DELETE FROM idempotency WHERE at <= $1`, r.Now().Add(-IdempotencyWindow).UnixMicro()); err != nil {
		return err
	}
	var digest []byte
	var earlier string
	err := tx.QueryRow(ctx, `SELECT digest, subject FROM idempotency WHERE actor = $1 AND key = $2`, by.String(), r.once.key).Scan(&digest, &earlier)
	switch {
	case err == nil && bytes.Equal(digest, r.once.digest):
		return &Repeated{earlier}
	case err == nil:
		return fault.New(fault.IdempotencyKeyReused, "an earlier request with this Idempotency-Key asked for something else; take another key")
	case !errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("look for an earlier request: %w", err)
	}
	return nil
}

// remember keeps what the first edit created, in its transaction.
func (r *Registry) remember(ctx context.Context, tx *sqldb.Tx, by actor.Actor, subject string) error {
	if r.once == nil {
		return nil
	}
	_, err := tx.Exec(ctx, `INSERT INTO idempotency (actor, key, digest, subject, at) VALUES ($1, $2, $3, $4, $5)`, by.String(), r.once.key, r.once.digest, subject, r.Now().UnixMicro())
	return err
}
