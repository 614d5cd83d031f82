package api

import (
	"context"
	"errors"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/management"
)

func (c *call) ListSecrets(ctx context.Context, r ListSecretsRequestObject) (ListSecretsResponseObject, error) {
	p := r.Params
	by, err := c.Registry.AtClient(ctx, c.by, id.Client(r.ClientID))
	if err != nil {
		return nil, err
	}
	list, err := c.Registry.Secrets(ctx, by, id.Client(r.ClientID), registry.SecretFilter{State: as[registry.SecretState](p.State)}, page(p.Limit, p.Cursor))
	return ListSecrets200JSONResponse{Items: items(list.Items, c.secret), Next: optional[string](list.Next)}, err
}

func (c *call) CreateSecret(ctx context.Context, r CreateSecretRequestObject) (CreateSecretResponseObject, error) {
	by, err := c.Registry.AtClient(ctx, c.by, id.Client(r.ClientID))
	if err != nil {
		return nil, err
	}
	once, err := c.once(r.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	key, plaintext, err := once.AddSecret(ctx, by, id.Client(r.ClientID), r.Body.Name, value(r.Body.ExpiresAt))
	made, err := c.shown(ctx, by, id.Client(r.ClientID), key, plaintext, err)
	return CreateSecret201JSONResponse(made), err
}

func (c *call) RotateSecret(ctx context.Context, r RotateSecretRequestObject) (RotateSecretResponseObject, error) {
	by, err := c.Registry.AtClient(ctx, c.by, id.Client(r.ClientID))
	if err != nil {
		return nil, err
	}
	once, err := c.once(r.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	key, plaintext, err := once.RotateSecret(ctx, by, id.Client(r.ClientID), id.Secret(r.SecretID), r.Body.Name, value(r.Body.ExpiresAt), r.Body.EndsAt)
	made, err := c.shown(ctx, by, id.Client(r.ClientID), key, plaintext, err)
	return RotateSecret201JSONResponse(made), err
}

// shown is the one answer that holds a secret. It does not fail once the secret
// is there: what cannot be read back is left out.
func (c *call) shown(ctx context.Context, by actor.Actor, of id.Client, key id.Secret, plaintext secret.Plaintext, err error) (made management.NewSecret, _ error) {
	if earlier, ok := errors.AsType[*registry.Repeated](err); ok {
		refusal := fault.New(fault.SecretAlreadyShown, "the secret %s was created and shown by an earlier request with this Idempotency-Key", earlier.Subject)
		refusal.ID = earlier.Subject
		return made, refusal
	}
	if err != nil {
		return made, err
	}
	s := registry.Secret{ID: key, Client: of, State: registry.SecretActive, CreatedWith: c.by.Credential(), CreatedAt: c.Registry.Now().UTC()}
	if stored, err := c.Registry.Secret(ctx, readBack(by.Organisation()), of, key); err == nil {
		s = stored
	}
	w := c.secret(&s)
	return management.NewSecret{
		ID: w.ID, ClientID: w.ClientID, ClientSecret: plaintext.Reveal(), Name: w.Name, State: w.State,
		CreatedWith: w.CreatedWith, CreatedAt: w.CreatedAt, ExpiresAt: w.ExpiresAt,
	}, nil
}

func (c *call) GetSecret(ctx context.Context, r GetSecretRequestObject) (GetSecretResponseObject, error) {
	by, err := c.Registry.AtClient(ctx, c.by, id.Client(r.ClientID))
	if err != nil {
		return nil, err
	}
	s, err := c.Registry.Secret(ctx, by, id.Client(r.ClientID), id.Secret(r.SecretID))
	return GetSecret200JSONResponse(c.secret(&s)), err
}

func (c *call) GetSecretDescendants(ctx context.Context, r GetSecretDescendantsRequestObject) (GetSecretDescendantsResponseObject, error) {
	by, err := c.Registry.AtClient(ctx, c.by, id.Client(r.ClientID))
	if err != nil {
		return nil, err
	}
	found, err := c.Registry.Descendants(ctx, by, id.Client(r.ClientID), id.Secret(r.SecretID))
	return GetSecretDescendants200JSONResponse{Items: items(found, c.secret)}, err
}

// setSecret changes the state of a secret and returns it as it is then.
func (c *call) setSecret(ctx context.Context, edit registry.SetSecretState) (w management.Secret, err error) {
	by, err := c.Registry.AtClient(ctx, c.by, edit.Client)
	if err != nil {
		return w, err
	}
	if err := c.Registry.Apply(ctx, by, edit); err != nil {
		return w, err
	}
	s, err := c.Registry.Secret(ctx, readBack(by.Organisation()), edit.Client, edit.Secret)
	return c.secret(&s), err
}

func (c *call) DisableSecret(ctx context.Context, r DisableSecretRequestObject) (DisableSecretResponseObject, error) {
	s, err := c.setSecret(ctx, registry.SetSecretState{Client: id.Client(r.ClientID), Secret: id.Secret(r.SecretID), State: registry.SecretDisabled})
	return DisableSecret200JSONResponse(s), err
}

func (c *call) EnableSecret(ctx context.Context, r EnableSecretRequestObject) (EnableSecretResponseObject, error) {
	s, err := c.setSecret(ctx, registry.SetSecretState{Client: id.Client(r.ClientID), Secret: id.Secret(r.SecretID), State: registry.SecretActive})
	return EnableSecret200JSONResponse(s), err
}

func (c *call) RevokeSecret(ctx context.Context, r RevokeSecretRequestObject) (RevokeSecretResponseObject, error) {
	edit := registry.SetSecretState{Client: id.Client(r.ClientID), Secret: id.Secret(r.SecretID), State: registry.SecretRevoked}
	if r.Body != nil {
		edit.WithDescendants = value(r.Body.WithDescendants)
	}
	s, err := c.setSecret(ctx, edit)
	return RevokeSecret200JSONResponse(s), err
}
