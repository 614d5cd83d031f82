package registry

import (
	"context"
	"database/sql"
	"strings"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/sqldb"
)

const webhookColumns = `id, organisation_id, name, url, events, state, reason, version, created_at, delivered_at, failing_since, attempts, next_at, failure,
	(SELECT count(*) FROM webhook_outbox o WHERE o.webhook_id = webhook.id AND o.organisation_id = $1)`

func scanWebhook(row scanner) (Webhook, error) {
	var w Webhook
	var events string
	var created, delivered, failing, next int64
	err := row.Scan(&w.ID, &w.Organisation, &w.Name, &w.URL, &events, &w.State, &w.Reason, &w.Version, &created, &delivered, &failing, &w.Attempts, &next, &w.Failure, &w.Pending)
	w.Events = strings.FieldsFunc(events, func(r rune) bool { return r == ',' })
	w.CreatedAt, w.DeliveredAt, w.FailingSince = fromMicros(created), fromMicros(delivered), fromMicros(failing)
	if failing != 0 {
		w.NextAt = fromMicros(next)
	}
	return w, err
}

// joinEvents puts a comma on either side of each name, by which a record's
// own name is found in the list.
func joinEvents(events []string) string {
	if len(events) == 0 {
		return ""
	}
	return "," + strings.Join(events, ",") + ","
}

// loadWebhook loads one of the actor's organisation; the operator's own are
// for the operator.
func loadWebhook(ctx context.Context, tx *sqldb.Tx, by actor.Actor, key id.Webhook) (Webhook, error) {
	if _, ok := id.ParseWebhook(string(key)); !ok {
		return Webhook{}, unknown("webhook")
	}
	if by.Organisation() == "" && !by.Operator() {
		return Webhook{}, notFound(sql.ErrNoRows, "webhook", key)
	}
	w, err := scanWebhook(tx.QueryRow(ctx, `SELECT `+webhookColumns+` FROM webhook WHERE organisation_id = $1 AND id = $2`, by.Organisation(), key))
	return w, notFound(err, "webhook", key)
}

func listWebhooks(ctx context.Context, tx *sqldb.Tx, by actor.Actor) (webhooks []Webhook, err error) {
	rows, err := tx.Query(ctx, `SELECT `+webhookColumns+` FROM webhook WHERE organisation_id = $1 ORDER BY id`, by.Organisation())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		w, err := scanWebhook(rows)
		if err != nil {
			return nil, err
		}
		webhooks = append(webhooks, w)
	}
	return webhooks, rows.Err()
}

func (c *change) insertWebhook(ctx context.Context, w *Webhook, sealed []byte) error {
	err := c.exec(ctx, `INSERT INTO webhook (id, organisation_id, name, url, events, state, reason, secret, previous_until, version, created_at,
		lease_holder, lease_until, next_at, attempts, failing_since, delivered_at, failure)
		VALUES ($1, $2, $3, $4, $5, $6, '', $7, 0, 1, $8, '', 0, 0, 0, 0, 0, '')`,
		w.ID, w.Organisation, w.Name, w.URL, joinEvents(w.Events), string(WebhookEnabled), sealed, c.Now().UnixMicro())
	return isFree(err, "webhook")
}

func (c *change) updateWebhook(ctx context.Context, w *Webhook) error {
	return c.exec(ctx, `UPDATE webhook SET name = $1, url = $2, events = $3, state = $4, reason = $5, version = version + 1 WHERE id = $6 AND organisation_id = $7`,
		w.Name, w.URL, joinEvents(w.Events), string(w.State), w.Reason, w.ID, w.Organisation)
}

// restartWebhook forgets that it failed, so that it is tried at once. It leaves
// the lease: a node may be in the middle of a delivery.
func (c *change) restartWebhook(ctx context.Context, w *Webhook) error {
	return c.exec(ctx, `UPDATE webhook SET next_at = 0, attempts = 0, failing_since = 0, failure = '' WHERE id = $1 AND organisation_id = $2`,
		w.ID, w.Organisation)
}

func (c *change) emptyOutbox(ctx context.Context, w *Webhook) error {
	return c.exec(ctx, `DELETE FROM webhook_outbox WHERE webhook_id = $1 AND organisation_id = $2`, w.ID, w.Organisation)
}
