package registry

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
)

// Limits of webhooks.
const (
	MaxWebhooks          = 10   // of an organisation, or of the operator
	MaxWebhookEvents     = 32   // names in a webhook's list
	maxWebhookURL        = 2048 // bytes
	WebhookSecretOverlap = 24 * time.Hour
)

// WebhookState says whether a webhook gets events.
type WebhookState string

// A disabled webhook gets none, and loses those that were waiting: what
// happened meanwhile stands in the audit log.
const (
	WebhookEnabled  WebhookState = "enabled"
	WebhookDisabled WebhookState = "disabled"
)

// Webhook is an HTTPS address to which the records of the audit log are sent
// as they are made: those of one organisation, or of all for the operator's.
type Webhook struct {
	ID           id.Webhook      `json:"id"`
	Organisation id.Organisation `json:"organisation,omitempty"` // empty: the operator's
	Name         string          `json:"name"`
	URL          string          `json:"url"`
	Events       []string        `json:"events,omitempty"` // actions like client.disable, or client.*; none: all
	State        WebhookState    `json:"state"`
	Reason       string          `json:"reason,omitempty"` // why it is disabled
	Version      int64           `json:"version"`          // raised by each edit
	CreatedAt    time.Time       `json:"created_at"`

	Pending      int64     `json:"pending,omitempty"`      // events that wait
	DeliveredAt  time.Time `json:"delivered_at,omitzero"`  // last success; zero: none yet
	FailingSince time.Time `json:"failing_since,omitzero"` // zero: the last attempt was a success
	Attempts     int64     `json:"attempts,omitempty"`     // failed ones since
	NextAt       time.Time `json:"next_at,omitzero"`       // of the next attempt while it fails
	Failure      string    `json:"failure,omitempty"`      // of the last attempt
}

// WebhookSecretIdentity is what the signing secret of a webhook is sealed for.
func WebhookSecretIdentity(key id.Webhook) string { return "webhook.secret/" + string(key) }

// CreateWebhook makes an enabled webhook of the actor's organisation, or of
// the operator. Like every edit that decides where the audit log goes, it needs
// the right to read that log. The new webhook's first event is its creation.
type CreateWebhook struct {
	ID     id.Webhook `json:"id"`
	Name   string     `json:"name"`
	URL    string     `json:"url"`
	Events []string   `json:"events,omitempty"`
	Sealed []byte     `json:"-"` // the signing secret
}

func (e CreateWebhook) apply(ctx context.Context, c *change) error {
	c.says("webhook.create", c.by.Organisation(), string(e.ID))
	if err := c.mayDirectWebhook(); err != nil {
		return err
	}
	if c.by.Organisation() != "" {
		if _, err := loadOrganisation(ctx, c.tx, c.by.Organisation()); err != nil {
			return err
		}
	}
	if _, ok := id.ParseWebhook(string(e.ID)); !ok || len(e.Sealed) == 0 {
		return fault.Errorf(fault.Invalid, "a webhook needs its id, wh- and 20 of a-z and 0-9, and its sealed secret: only who made it can add it")
	}
	w := Webhook{ID: e.ID, Organisation: c.by.Organisation(), Name: e.Name, URL: e.URL, Events: e.Events}
	if err := c.validWebhook(ctx, &w); err != nil {
		return err
	}
	var count int
	if err := c.tx.QueryRow(ctx, `SELECT count(*) FROM webhook WHERE organisation_id = $1`, w.Organisation).Scan(&count); err != nil {
		return err
	}
	if count >= MaxWebhooks {
		return fault.Errorf(fault.Conflict, "there are %d webhooks already: delete one first", MaxWebhooks)
	}
	return c.insertWebhook(ctx, &w, e.Sealed)
}

// UpdateWebhook changes the settings that are not nil. Another URL is tried at
// once.
type UpdateWebhook struct {
	Webhook id.Webhook `json:"webhook"`
	Name    *string    `json:"name,omitempty"`
	URL     *string    `json:"url,omitempty"`
	Events  *[]string  `json:"events,omitempty"`
	Base    int64      `json:"base,omitempty"`
}

func (e UpdateWebhook) apply(ctx context.Context, c *change) error {
	w, err := c.webhook(ctx, e.Webhook, e.Base)
	if err != nil {
		return err
	}
	c.says("webhook.update", w.Organisation, string(w.ID))
	if err := c.mayDirectWebhook(); err != nil {
		return err
	}
	moved := e.URL != nil && *e.URL != w.URL
	if e.Name != nil {
		w.Name = *e.Name
	}
	if e.URL != nil {
		w.URL = *e.URL
	}
	if e.Events != nil {
		w.Events = *e.Events
	}
	if err := c.validWebhook(ctx, &w); err != nil {
		return err
	}
	if moved {
		if err := c.restartWebhook(ctx, &w); err != nil {
			return err
		}
	}
	return c.updateWebhook(ctx, &w)
}

// SetWebhookState enables or disables a webhook.
type SetWebhookState struct {
	Webhook id.Webhook   `json:"webhook"`
	State   WebhookState `json:"state"`
	Reason  string       `json:"reason,omitempty"` // of disabling
	Base    int64        `json:"base,omitempty"`
}

func (e SetWebhookState) apply(ctx context.Context, c *change) error {
	w, err := c.webhook(ctx, e.Webhook, e.Base)
	if err != nil {
		return err
	}
	if err := validText("reason", e.Reason); err != nil {
		return err
	}
	switch e.State {
	case WebhookEnabled:
		c.says("webhook.enable", w.Organisation, string(w.ID))
		err = c.mayDirectWebhook()
	case WebhookDisabled:
		c.says("webhook.disable", w.Organisation, string(w.ID))
		err = c.may(actor.WebhookWrite, "")
	default:
		err = fault.Errorf(fault.Invalid, "the state %q is not one of enabled, disabled", e.State)
	}
	if err != nil {
		return err
	}
	w.State, w.Reason = e.State, ""
	if e.State == WebhookDisabled {
		w.Reason = e.Reason
		if err := c.emptyOutbox(ctx, &w); err != nil {
			return err
		}
	}
	if err := c.restartWebhook(ctx, &w); err != nil {
		return err
	}
	return c.updateWebhook(ctx, &w)
}

// ReplaceWebhookSecret gives a webhook another signing secret. The previous
// one signs too for a day, so that the receiver can change over.
type ReplaceWebhookSecret struct {
	Webhook id.Webhook `json:"webhook"`
	Sealed  []byte     `json:"-"`
	Base    int64      `json:"base,omitempty"`
}

func (e ReplaceWebhookSecret) apply(ctx context.Context, c *change) error {
	w, err := c.webhook(ctx, e.Webhook, e.Base)
	if err != nil {
		return err
	}
	c.says("webhook.secret.replace", w.Organisation, string(w.ID))
	if err := c.mayDirectWebhook(); err != nil {
		return err
	}
	if len(e.Sealed) == 0 {
		return fault.Errorf(fault.Invalid, "the new secret is missing: only who made it can set it")
	}
	return c.exec(ctx, `UPDATE webhook SET previous_secret = secret, previous_until = $1, secret = $2, version = version + 1 WHERE id = $3 AND organisation_id = $4`,
		micros(c.Now().Add(WebhookSecretOverlap)), e.Sealed, w.ID, w.Organisation)
}

// TestWebhook sends a webhook.test event to one webhook.
type TestWebhook struct {
	Webhook id.Webhook `json:"webhook"`
}

func (e TestWebhook) apply(ctx context.Context, c *change) error {
	w, err := c.webhook(ctx, e.Webhook, 0)
	if err != nil {
		return err
	}
	c.before = nil
	c.says("webhook.test", w.Organisation, string(w.ID))
	if err := c.may(actor.WebhookWrite, ""); err != nil {
		return err
	}
	if w.State != WebhookEnabled {
		return fault.Errorf(fault.Conflict, "the webhook is disabled: enable it first")
	}
	return c.exec(ctx, `UPDATE webhook SET next_at = 0 WHERE id = $1 AND organisation_id = $2`, w.ID, w.Organisation)
}

// DeleteWebhook deletes a webhook and the events that wait for it.
type DeleteWebhook struct {
	Webhook id.Webhook `json:"webhook"`
	Base    int64      `json:"base,omitempty"`
}

func (e DeleteWebhook) apply(ctx context.Context, c *change) error {
	w, err := c.webhook(ctx, e.Webhook, e.Base)
	if err != nil {
		return err
	}
	c.says("webhook.delete", w.Organisation, string(w.ID))
	if err := c.may(actor.WebhookWrite, ""); err != nil {
		return err
	}
	if err := c.emptyOutbox(ctx, &w); err != nil {
		return err
	}
	return c.exec(ctx, `DELETE FROM webhook WHERE id = $1 AND organisation_id = $2`, w.ID, w.Organisation)
}

// mayDirectWebhook asks for both rights: who says where the audit log goes
// must be one who may read it.
func (c *change) mayDirectWebhook() error {
	if err := c.may(actor.WebhookWrite, ""); err != nil {
		return err
	}
	return c.may(actor.AuditRead, "")
}

// validWebhook checks the settings that people choose.
func (c *change) validWebhook(ctx context.Context, w *Webhook) error {
	if err := validName("webhook's name", w.Name); err != nil {
		return err
	}
	printable := strings.IndexFunc(w.URL, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
	if len(w.URL) > maxWebhookURL || !printable {
		return fault.Errorf(fault.Invalid, "the webhook's URL needs to be ASCII without spaces, %d characters at most", maxWebhookURL)
	}
	if err := c.Targets.Check(w.URL); err != nil {
		return fault.Errorf(fault.Invalid, "the webhook's URL cannot be used: %s", err.Error())
	}
	if len(w.Events) > MaxWebhookEvents {
		return fault.Errorf(fault.Invalid, "a webhook may list %d events at most; list none to get all", MaxWebhookEvents)
	}
	for _, name := range w.Events {
		if !validEventName(name) {
			return fault.Errorf(fault.Invalid, "%q names no event: write one like client.disable, or client.* for all about clients", name)
		}
	}
	taken, err := exists(ctx, c.tx, `SELECT EXISTS (SELECT 1 FROM webhook WHERE organisation_id = $1 AND name = $2 AND id <> $3)`, w.Organisation, w.Name, w.ID)
	if taken {
		return fault.Errorf(fault.Conflict, "another webhook here has that name: choose another")
	}
	return err
}

// validEventName accepts an action's name, or its first part and a star.
func validEventName(name string) bool {
	parts := strings.Split(name, ".")
	if len(parts) == 2 && parts[1] == "*" {
		parts = parts[:1]
	} else if len(parts) < 2 {
		return false
	}
	return len(name) <= MaxPermissionLength && !slices.ContainsFunc(parts, func(part string) bool { return !validKeyPart(part) })
}

// webhook loads one of the actor's organisation, for an edit.
func (c *change) webhook(ctx context.Context, key id.Webhook, base int64) (Webhook, error) {
	w, err := loadWebhook(ctx, c.tx, c.by, key)
	if err != nil {
		return w, err
	}
	c.before = w
	return w, stale(base, w.Version, "the webhook")
}

// NewWebhook is what a webhook is made of; see [CreateWebhook].
type NewWebhook struct {
	Name   string
	URL    string
	Events []string
}

// CreateWebhook makes a webhook. The Plaintext, with which its receiver checks
// signatures, cannot be read again.
func (r *Registry) CreateWebhook(ctx context.Context, by actor.Actor, n NewWebhook) (id.Webhook, secret.Plaintext, error) {
	key := id.NewWebhook(r.Rand)
	value, sealed, err := r.newWebhookSecret(key)
	if err != nil {
		return "", secret.Plaintext{}, err
	}
	if err := r.Apply(ctx, by, CreateWebhook{ID: key, Name: n.Name, URL: n.URL, Events: n.Events, Sealed: sealed}); err != nil {
		return "", secret.Plaintext{}, err
	}
	return key, value, nil
}

// ReplaceWebhookSecret gives a webhook a new signing secret and returns it,
// this once. A base of 0 replaces that of any version.
func (r *Registry) ReplaceWebhookSecret(ctx context.Context, by actor.Actor, key id.Webhook, base int64) (secret.Plaintext, error) {
	value, sealed, err := r.newWebhookSecret(key)
	if err != nil {
		return secret.Plaintext{}, err
	}
	if err := r.Apply(ctx, by, ReplaceWebhookSecret{Webhook: key, Sealed: sealed, Base: base}); err != nil {
		return secret.Plaintext{}, err
	}
	return value, nil
}

// webhookSecretPrefix and webhookSecretSize are Standard Webhooks': the key is
// what the base64 behind the prefix stands for.
const (
	webhookSecretPrefix = "whsec_"
	webhookSecretSize   = 32
)

func (r *Registry) newWebhookSecret(key id.Webhook) (value secret.Plaintext, sealed []byte, err error) {
	if r.Sealer == nil {
		return value, nil, fmt.Errorf("no sealer for the secrets of webhooks was configured")
	}
	random := make([]byte, webhookSecretSize)
	defer clear(random)
	if _, err := io.ReadFull(r.Rand, random); err != nil {
		return value, nil, fmt.Errorf("draw a webhook's secret: %w", err)
	}
	if sealed, err = r.Sealer.Seal(r.Rand, random, WebhookSecretIdentity(key)); err != nil {
		return value, nil, err
	}
	return secret.NewPlaintext(webhookSecretPrefix + base64.StdEncoding.EncodeToString(random)), sealed, nil
}

// Webhook returns a webhook of the actor's organisation, or of the operator.
func (r *Registry) Webhook(ctx context.Context, by actor.Actor, key id.Webhook) (w Webhook, err error) {
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		if w, err = loadWebhook(ctx, tx, by, key); err != nil {
			return err
		}
		return by.Require(actor.WebhookRead, "")
	})
	return w, err
}

// Webhooks returns those of the actor's organisation, or the operator's, by
// id. There are MaxWebhooks at most.
func (r *Registry) Webhooks(ctx context.Context, by actor.Actor) (webhooks []Webhook, err error) {
	if err := by.Require(actor.WebhookRead, ""); err != nil {
		return nil, err
	}
	err = r.DB.View(ctx, func(tx *sqldb.Tx) error {
		webhooks, err = listWebhooks(ctx, tx, by)
		return err
	})
	return webhooks, err
}
