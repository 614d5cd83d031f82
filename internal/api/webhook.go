package api

import (
	"context"
	"errors"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/management"
)

func webhook(w *registry.Webhook) management.Webhook {
	return management.Webhook{
		ID: string(w.ID), OrganisationID: optional[string](w.Organisation), Name: w.Name, URL: w.URL, Events: append([]string{}, w.Events...),
		State: management.WebhookState(w.State), Reason: optional[string](w.Reason), Pending: w.Pending, Attempts: w.Attempts, Failure: optional[string](w.Failure),
		DeliveredAt: optionalTime(w.DeliveredAt), FailingSince: optionalTime(w.FailingSince), NextAt: optionalTime(w.NextAt), Version: w.Version, CreatedAt: w.CreatedAt,
	}
}

// webhookShown is the one answer that holds a webhook's secret. It does not fail
// once the secret is there: what cannot be read back is left out.
func (c *call) webhookShown(ctx context.Context, organisation id.Organisation, key id.Webhook, value secret.Plaintext) management.WebhookWithSecret {
	stored, err := c.Registry.Webhook(ctx, readBack(organisation), key)
	if err != nil {
		stored = registry.Webhook{ID: key, Organisation: organisation, State: registry.WebhookEnabled}
	}
	w := webhook(&stored)
	return management.WebhookWithSecret{
		ID: w.ID, SigningSecret: value.Reveal(), OrganisationID: w.OrganisationID, Name: w.Name, URL: w.URL, Events: w.Events,
		State: management.WebhookWithSecretState(w.State), Pending: w.Pending, Attempts: w.Attempts, Version: w.Version, CreatedAt: w.CreatedAt,
	}
}

func (c *call) ListWebhooks(ctx context.Context, r ListWebhooksRequestObject) (ListWebhooksResponseObject, error) {
	by, err := c.in(ctx, r.Params.OrganisationID)
	if err != nil {
		return nil, err
	}
	found, err := c.Registry.Webhooks(ctx, by)
	return ListWebhooks200JSONResponse{Items: items(found, webhook)}, err
}

func (c *call) CreateWebhook(ctx context.Context, r CreateWebhookRequestObject) (CreateWebhookResponseObject, error) {
	by, err := c.in(ctx, r.Body.OrganisationID)
	if err != nil {
		return nil, err
	}
	once, err := c.once(r.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	key, plaintext, err := once.CreateWebhook(ctx, by, registry.NewWebhook{Name: r.Body.Name, URL: r.Body.URL, Events: value(r.Body.Events)})
	if earlier, ok := errors.AsType[*registry.Repeated](err); ok {
		refusal := fault.New(fault.SecretAlreadyShown, "the webhook %s was created and its secret shown by an earlier request with this Idempotency-Key", earlier.Subject)
		refusal.ID = earlier.Subject
		return nil, refusal
	}
	if err != nil {
		return nil, err
	}
	return CreateWebhook201JSONResponse(c.webhookShown(ctx, by.Organisation(), key, plaintext)), nil
}

func (c *call) GetWebhook(ctx context.Context, r GetWebhookRequestObject) (GetWebhookResponseObject, error) {
	by, err := c.Registry.AtWebhook(ctx, c.by, id.Webhook(r.WebhookID))
	if err != nil {
		return nil, err
	}
	w, err := c.Registry.Webhook(ctx, by, id.Webhook(r.WebhookID))
	return GetWebhook200JSONResponse{Body: webhook(&w), Headers: GetWebhook200ResponseHeaders{ETag: etag(w.Version)}}, err
}

// changeWebhook makes an edit of a webhook, based on the version that If-Match
// names, and returns where it is.
func (c *call) changeWebhook(ctx context.Context, key id.Webhook, ifMatch *string, edit func(base int64) registry.Edit) (id.Organisation, error) {
	by, err := c.Registry.AtWebhook(ctx, c.by, key)
	if err != nil {
		return "", err
	}
	base, err := versionOf(ifMatch)
	if err != nil {
		return "", err
	}
	return by.Organisation(), c.Registry.Apply(ctx, by, edit(base))
}

// changedWebhook does so and returns the webhook as it is then.
func (c *call) changedWebhook(ctx context.Context, key id.Webhook, ifMatch *string, edit func(base int64) registry.Edit) (w registry.Webhook, err error) {
	organisation, err := c.changeWebhook(ctx, key, ifMatch, edit)
	if err != nil {
		return w, err
	}
	return c.Registry.Webhook(ctx, readBack(organisation), key)
}

func (c *call) UpdateWebhook(ctx context.Context, r UpdateWebhookRequestObject) (UpdateWebhookResponseObject, error) {
	edit := registry.UpdateWebhook{Webhook: id.Webhook(r.WebhookID), Name: r.Body.Name, URL: r.Body.URL, Events: r.Body.Events}
	if edit.Name == nil && edit.URL == nil && edit.Events == nil {
		return nil, fault.Errorf(fault.Invalid, "nothing is to be changed: give name, url or events")
	}
	w, err := c.changedWebhook(ctx, edit.Webhook, r.Params.IfMatch, func(base int64) registry.Edit {
		edit.Base = base
		return edit
	})
	return UpdateWebhook200JSONResponse{Body: webhook(&w), Headers: UpdateWebhook200ResponseHeaders{ETag: etag(w.Version)}}, err
}

func (c *call) DeleteWebhook(ctx context.Context, r DeleteWebhookRequestObject) (DeleteWebhookResponseObject, error) {
	key := id.Webhook(r.WebhookID)
	_, err := c.changeWebhook(ctx, key, r.Params.IfMatch, func(base int64) registry.Edit { return registry.DeleteWebhook{Webhook: key, Base: base} })
	return DeleteWebhook204Response{}, err
}

func (c *call) EnableWebhook(ctx context.Context, r EnableWebhookRequestObject) (EnableWebhookResponseObject, error) {
	key := id.Webhook(r.WebhookID)
	w, err := c.changedWebhook(ctx, key, r.Params.IfMatch, func(base int64) registry.Edit {
		return registry.SetWebhookState{Webhook: key, State: registry.WebhookEnabled, Base: base}
	})
	return EnableWebhook200JSONResponse{Body: webhook(&w), Headers: EnableWebhook200ResponseHeaders{ETag: etag(w.Version)}}, err
}

func (c *call) DisableWebhook(ctx context.Context, r DisableWebhookRequestObject) (DisableWebhookResponseObject, error) {
	key := id.Webhook(r.WebhookID)
	w, err := c.changedWebhook(ctx, key, r.Params.IfMatch, func(base int64) registry.Edit {
		return registry.SetWebhookState{Webhook: key, State: registry.WebhookDisabled, Base: base}
	})
	return DisableWebhook200JSONResponse{Body: webhook(&w), Headers: DisableWebhook200ResponseHeaders{ETag: etag(w.Version)}}, err
}

func (c *call) TestWebhook(ctx context.Context, r TestWebhookRequestObject) (TestWebhookResponseObject, error) {
	key := id.Webhook(r.WebhookID)
	_, err := c.changeWebhook(ctx, key, nil, func(int64) registry.Edit { return registry.TestWebhook{Webhook: key} })
	return TestWebhook204Response{}, err
}

func (c *call) ReplaceWebhookSecret(ctx context.Context, r ReplaceWebhookSecretRequestObject) (ReplaceWebhookSecretResponseObject, error) {
	key := id.Webhook(r.WebhookID)
	by, err := c.Registry.AtWebhook(ctx, c.by, key)
	if err != nil {
		return nil, err
	}
	base, err := versionOf(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	plaintext, err := c.Registry.ReplaceWebhookSecret(ctx, by, key, base)
	if err != nil {
		return nil, err
	}
	return ReplaceWebhookSecret200JSONResponse(c.webhookShown(ctx, by.Organisation(), key, plaintext)), nil
}
