package webhook

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/sqldb"
)

// key names a webhook and whose it is: empty is the operator's.
type key struct {
	id           id.Webhook
	organisation id.Organisation
}

// target is a claimed webhook: where to deliver, and how it went so far.
type target struct {
	key
	url          string
	version      int64
	secrets      [][]byte // sealed; the current one first
	attempts     int64    // failed ones since the last success
	failingSince time.Time
}

// due returns webhooks for which events wait and whose time has come.
func (d *Dispatcher) due(ctx context.Context) (keys []key, err error) {
	now := d.config.Now().UnixMicro()
	err = d.config.DB.View(ctx, func(tx *sqldb.Tx) error {
		keys = nil
		rows, err := tx.Query(ctx, `SELECT id, organisation_id FROM webhook w WHERE state = 'enabled' AND next_at <= $1 AND (lease_until <= $1 OR lease_holder = $2)
			AND EXISTS (SELECT 1 FROM webhook_outbox o WHERE o.webhook_id = w.id)
			AND EXISTS (SELECT 1 FROM installation i WHERE i.held_at = 0) ORDER BY next_at, id LIMIT $3 -- any organisation: one node serves all`,
			now, d.node, 4*maxFlights)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var k key
			if err := rows.Scan(&k.id, &k.organisation); err != nil {
				return err
			}
			keys = append(keys, k)
		}
		return rows.Err()
	})
	return keys, err
}

// claim takes or renews the lease of a webhook. claimed is false when another
// node has it, or the webhook is gone, disabled or not due any more.
func (d *Dispatcher) claim(ctx context.Context, k key) (t target, claimed bool, err error) {
	now := d.config.Now()
	err = d.config.DB.Write(ctx, func(tx *sqldb.Tx) error {
		t = target{key: k}
		var current, previous []byte
		var previousUntil, failingSince int64
		err := tx.QueryRow(ctx, `UPDATE webhook SET lease_holder = $1, lease_until = $2 WHERE id = $3 AND organisation_id = $4 AND state = 'enabled'
			AND next_at <= $5 AND CASE WHEN lease_holder = $1 THEN 0 ELSE lease_until END <= $5
			RETURNING url, version, secret, previous_secret, previous_until, attempts, failing_since`,
			d.node, now.Add(lease).UnixMicro(), k.id, k.organisation, now.UnixMicro()).
			Scan(&t.url, &t.version, &current, &previous, &previousUntil, &t.attempts, &failingSince)
		if errors.Is(err, sql.ErrNoRows) {
			claimed = false
			return nil
		}
		if err != nil {
			return err
		}
		claimed = true
		t.secrets = [][]byte{current}
		if now.UnixMicro() < previousUntil {
			t.secrets = append(t.secrets, previous)
		}
		if failingSince != 0 {
			t.failingSince = time.UnixMicro(failingSince)
		}
		return nil
	})
	return t, claimed, err
}

// release gives the lease back, if this node still holds it.
func (d *Dispatcher) release(ctx context.Context, k key) error {
	return d.config.DB.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE webhook SET lease_holder = '', lease_until = 0 WHERE id = $1 AND organisation_id = $2 AND lease_holder = $3`, k.id, k.organisation, d.node)
		return err
	})
}

// next returns the first event that waits for a webhook.
func (d *Dispatcher) next(ctx context.Context, k key) (e event, found bool, err error) {
	err = d.config.DB.View(ctx, func(tx *sqldb.Tx) error {
		var at int64
		var content []byte
		err := tx.QueryRow(ctx, `SELECT a.seq, a.at, a.organisation_id, a.action, a.subject, a.actor, a.request_id, a.address, a.content, a.digest
			FROM webhook_outbox o JOIN audit a ON a.seq = o.seq WHERE o.webhook_id = $1 AND o.organisation_id = $2 ORDER BY o.seq LIMIT 1`, k.id, k.organisation).
			Scan(&e.seq, &at, &e.organisation, &e.action, &e.subject, &e.actor, &e.requestID, &e.address, &content, &e.digest)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		e.at, e.content, found = time.UnixMicro(at).UTC(), content, err == nil
		return err
	})
	return e, found, err
}

// succeeded takes an event out of the outbox. What failed before is forgotten.
func (d *Dispatcher) succeeded(ctx context.Context, k key, seq int64) error {
	now := d.config.Now().UnixMicro()
	return d.config.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM webhook_outbox WHERE webhook_id = $1 AND organisation_id = $2 AND seq = $3`, k.id, k.organisation, seq); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE webhook SET delivered_at = $1, next_at = 0, attempts = 0, failing_since = 0, failure = '' WHERE id = $2 AND organisation_id = $3`,
			now, k.id, k.organisation)
		return err
	})
}

// noteFailure is for the version that was tried: an edit meanwhile starts anew.
func (d *Dispatcher) noteFailure(ctx context.Context, t *target, failure failure, since, next time.Time) error {
	return d.config.DB.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE webhook SET attempts = attempts + 1, failing_since = $1, next_at = $2, failure = $3 WHERE id = $4
			AND organisation_id = $5 AND version = $6 AND lease_holder = $7`,
			since.UnixMicro(), next.UnixMicro(), string(failure), t.id, t.organisation, t.version, d.node)
		return err
	})
}

// waiting is a webhook with events in the outbox.
type waiting struct {
	key
	version, pending int64
}

func (d *Dispatcher) waiting(ctx context.Context) (all []waiting, err error) {
	err = d.config.DB.View(ctx, func(tx *sqldb.Tx) error {
		all = nil
		rows, err := tx.Query(ctx, `SELECT w.id, w.organisation_id, w.version, count(*) FROM webhook_outbox o JOIN webhook w ON w.id = o.webhook_id
			GROUP BY w.id, w.organisation_id, w.version -- any organisation: one node serves all`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var w waiting
			if err := rows.Scan(&w.id, &w.organisation, &w.version, &w.pending); err != nil {
				return err
			}
			all = append(all, w)
		}
		return rows.Err()
	})
	return all, err
}

// open returns the signing keys of a target, the current one first.
func (d *Dispatcher) open(t *target) (keys [][]byte, err error) {
	for _, sealed := range t.secrets {
		key, err := d.config.Sealer.Open(sealed, registry.WebhookSecretIdentity(t.id))
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}
