package api

import (
	"context"
	"fmt"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/management"
)

func (c *call) ListRequests(ctx context.Context, r ListRequestsRequestObject) (ListRequestsResponseObject, error) {
	by, err := c.in(ctx, r.Params.OrganisationID)
	if err != nil {
		return nil, err
	}
	filter := registry.RequestFilter{Pending: value(r.Params.Pending), Own: value(r.Params.Own)}
	list, err := c.Registry.Requests(ctx, by, filter, page(r.Params.Limit, r.Params.Cursor))
	return ListRequests200JSONResponse{Items: items(list.Items, c.requested), Next: optional[string](list.Next)}, err
}

func (c *call) CreateRequest(ctx context.Context, r CreateRequestRequestObject) (CreateRequestResponseObject, error) {
	by, err := c.in(ctx, r.Body.OrganisationID)
	if err != nil {
		return nil, err
	}
	edits := make([]registry.Edit, len(r.Body.Changes))
	for i := range r.Body.Changes {
		change := requestedChange{&r.Body.Changes[i], fmt.Sprintf("changes[%d].", i)}
		if edits[i], err = change.edit(c.Registry, by); err != nil {
			return nil, err
		}
	}
	once, err := c.once(r.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	key, err := created(once.RequestChange(ctx, by, value(r.Body.Note), edits...))
	if err != nil {
		return nil, err
	}
	q, err := c.Registry.Request(ctx, readBack(by.Organisation()), key)
	return CreateRequest201JSONResponse(c.requested(&q)), gone(err)
}

func (c *call) GetRequest(ctx context.Context, r GetRequestRequestObject) (GetRequestResponseObject, error) {
	by, err := c.Registry.AtRequest(ctx, c.by, id.Request(r.RequestID))
	if err != nil {
		return nil, err
	}
	q, err := c.Registry.Request(ctx, by, id.Request(r.RequestID))
	return GetRequest200JSONResponse(c.requested(&q)), err
}

// decided makes an edit of a request, and returns what became of it.
func (c *call) decided(ctx context.Context, key string, edit registry.Edit) (w management.Request, err error) {
	by, err := c.Registry.AtRequest(ctx, c.by, id.Request(key))
	if err != nil {
		return w, err
	}
	if err := c.Registry.Apply(ctx, by, edit); err != nil {
		return w, err
	}
	q, err := c.Registry.Request(ctx, readBack(by.Organisation()), id.Request(key))
	return c.requested(&q), err
}

func (c *call) ApproveRequest(ctx context.Context, r ApproveRequestRequestObject) (ApproveRequestResponseObject, error) {
	w, err := c.decided(ctx, r.RequestID, registry.ApproveRequest{Request: id.Request(r.RequestID)})
	return ApproveRequest200JSONResponse(w), err
}

func (c *call) DeclineRequest(ctx context.Context, r DeclineRequestRequestObject) (DeclineRequestResponseObject, error) {
	w, err := c.decided(ctx, r.RequestID, registry.DeclineRequest{Request: id.Request(r.RequestID), Reason: value(value(r.Body).Reason)})
	return DeclineRequest200JSONResponse(w), err
}

func (c *call) WithdrawRequest(ctx context.Context, r WithdrawRequestRequestObject) (WithdrawRequestResponseObject, error) {
	w, err := c.decided(ctx, r.RequestID, registry.WithdrawRequest{Request: id.Request(r.RequestID)})
	return WithdrawRequest200JSONResponse(w), err
}

func (c *call) requested(q *registry.Request) management.Request {
	return management.Request{
		ID: string(q.ID), OrganisationID: string(q.Organisation), AccountID: optional[string](q.Account), ForOperator: q.ForOperator,
		RequestedBy: q.RequestedBy, Note: q.Note, Changes: items(q.Edits, changeOf), State: management.RequestState(q.StateAt(c.Registry.Now())),
		Reason: optional[string](q.Reason), DecidedBy: optional[string](q.DecidedBy),
		CreatedAt: q.CreatedAt, ExpiresAt: q.ExpiresAt, DecidedAt: optionalTime(q.DecidedAt),
	}
}
