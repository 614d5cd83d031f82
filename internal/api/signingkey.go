package api

import (
	"context"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/signingkey"
	"github.com/doorward/doorward/management"
)

func (c *call) keys() management.SigningKeyList {
	return management.SigningKeyList{Items: items(c.Keys.Keys(), func(k *signingkey.Info) management.SigningKey {
		return management.SigningKey{
			Kid: k.ID, Purpose: management.KeyPurpose(k.Purpose), Algorithm: string(k.Algorithm), State: k.State,
			PublishedAt: k.Published, ActivatedAt: optionalTime(k.Activated), RetiredAt: optionalTime(k.Retired),
		}
	})}
}

func (c *call) ListSigningKeys(context.Context, ListSigningKeysRequestObject) (ListSigningKeysResponseObject, error) {
	if err := c.by.Require(actor.KeyRead, ""); err != nil {
		return nil, err
	}
	return ListSigningKeys200JSONResponse(c.keys()), nil
}

func (c *call) RotateSigningKey(ctx context.Context, r RotateSigningKeyRequestObject) (RotateSigningKeyResponseObject, error) {
	if err := c.Keys.Rotate(ctx, c.by, string(r.Body.Purpose)); err != nil {
		return nil, err
	}
	return RotateSigningKey200JSONResponse(c.keys()), nil
}

func (c *call) WithdrawSigningKey(ctx context.Context, r WithdrawSigningKeyRequestObject) (WithdrawSigningKeyResponseObject, error) {
	if err := c.Keys.Withdraw(ctx, c.by, r.Kid); err != nil {
		return nil, err
	}
	return WithdrawSigningKey200JSONResponse(c.keys()), nil
}
