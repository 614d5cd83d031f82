package api

import (
	"context"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

func (c *call) ListAccounts(ctx context.Context, r ListAccountsRequestObject) (ListAccountsResponseObject, error) {
	p := r.Params
	by, err := c.in(ctx, p.OrganisationID)
	if err != nil {
		return nil, err
	}
	filter := registry.AccountFilter{Text: value(p.Text), State: as[registry.State](p.State), Environment: as[id.Environment](p.Environment)}
	list, err := c.Registry.Accounts(ctx, by, filter, page(p.Limit, p.Cursor))
	return ListAccounts200JSONResponse{Items: items(list.Items, account), Next: optional[string](list.Next)}, err
}

func (c *call) CreateAccount(ctx context.Context, r CreateAccountRequestObject) (CreateAccountResponseObject, error) {
	by, err := c.in(ctx, r.Body.OrganisationID)
	if err != nil {
		return nil, err
	}
	once, err := c.once(r.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	key, err := created(once.CreateAccount(ctx, by, id.Environment(r.Body.Environment), r.Body.Name))
	if err != nil {
		return nil, err
	}
	a, err := c.Registry.Account(ctx, readBack(by.Organisation()), key)
	return CreateAccount201JSONResponse{Body: account(&a), Headers: CreateAccount201ResponseHeaders{ETag: etag(a.Version)}}, gone(err)
}

func (c *call) GetAccount(ctx context.Context, r GetAccountRequestObject) (GetAccountResponseObject, error) {
	by, err := c.Registry.AtAccount(ctx, c.by, id.Account(r.AccountID))
	if err != nil {
		return nil, err
	}
	a, err := c.Registry.Account(ctx, by, id.Account(r.AccountID))
	return GetAccount200JSONResponse{Body: account(&a), Headers: GetAccount200ResponseHeaders{ETag: etag(a.Version)}}, err
}

func (c *call) changeAccount(ctx context.Context, key id.Account, ifMatch *string, edit func(base int64) registry.Edit) (a registry.Account, err error) {
	by, err := c.Registry.AtAccount(ctx, c.by, key)
	if err != nil {
		return a, err
	}
	base, err := versionOf(ifMatch)
	if err != nil {
		return a, err
	}
	if err := c.Registry.Apply(ctx, by, edit(base)); err != nil {
		return a, err
	}
	return c.Registry.Account(ctx, readBack(by.Organisation()), key)
}

func (c *call) UpdateAccount(ctx context.Context, r UpdateAccountRequestObject) (UpdateAccountResponseObject, error) {
	key := id.Account(r.AccountID)
	a, err := c.changeAccount(ctx, key, r.Params.IfMatch, func(base int64) registry.Edit {
		return registry.RenameAccount{Account: key, Name: r.Body.Name, Base: base}
	})
	return UpdateAccount200JSONResponse{Body: account(&a), Headers: UpdateAccount200ResponseHeaders{ETag: etag(a.Version)}}, err
}

func (c *call) SuspendAccount(ctx context.Context, r SuspendAccountRequestObject) (SuspendAccountResponseObject, error) {
	key := id.Account(r.AccountID)
	a, err := c.changeAccount(ctx, key, r.Params.IfMatch, func(base int64) registry.Edit {
		return registry.SetAccountState{Account: key, State: registry.Suspended, Base: base}
	})
	return SuspendAccount200JSONResponse{Body: account(&a), Headers: SuspendAccount200ResponseHeaders{ETag: etag(a.Version)}}, err
}

func (c *call) ActivateAccount(ctx context.Context, r ActivateAccountRequestObject) (ActivateAccountResponseObject, error) {
	key := id.Account(r.AccountID)
	a, err := c.changeAccount(ctx, key, r.Params.IfMatch, func(base int64) registry.Edit {
		return registry.SetAccountState{Account: key, State: registry.Active, Base: base}
	})
	return ActivateAccount200JSONResponse{Body: account(&a), Headers: ActivateAccount200ResponseHeaders{ETag: etag(a.Version)}}, err
}

func (c *call) DeleteAccount(ctx context.Context, r DeleteAccountRequestObject) (DeleteAccountResponseObject, error) {
	by, err := c.Registry.AtAccount(ctx, c.by, id.Account(r.AccountID))
	if err != nil {
		return nil, err
	}
	base, err := versionOf(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return DeleteAccount204Response{}, c.Registry.Apply(ctx, by, registry.DeleteAccount{Account: id.Account(r.AccountID), Base: base})
}
