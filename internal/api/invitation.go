package api

import (
	"context"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/management"
)

func (c *call) invitation(i *registry.Invitation) management.Invitation {
	return management.Invitation{
		ID: string(i.ID), OrganisationID: optional[string](i.Organisation), Email: i.Email, Name: optional[string](i.Name), Roles: items(i.Roles, roleGrant),
		State: management.InvitationState(i.StateAt(c.Registry.Now())), InvitedBy: i.InvitedBy, CreatedAt: i.CreatedAt, SentAt: i.SentAt, ExpiresAt: i.ExpiresAt,
	}
}

func (c *call) ListInvitations(ctx context.Context, r ListInvitationsRequestObject) (ListInvitationsResponseObject, error) {
	by, err := c.in(ctx, r.Params.OrganisationID)
	if err != nil {
		return nil, err
	}
	list, err := c.Registry.InvitationList(ctx, by, page(r.Params.Limit, r.Params.Cursor))
	return ListInvitations200JSONResponse{Items: items(list.Items, c.invitation), Next: optional[string](list.Next)}, err
}

func (c *call) CreateInvitation(ctx context.Context, r CreateInvitationRequestObject) (CreateInvitationResponseObject, error) {
	by, err := c.in(ctx, r.Body.OrganisationID)
	if err != nil {
		return nil, err
	}
	once, err := c.once(r.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	key, err := created(once.Invite(ctx, by, r.Body.Email, value(r.Body.Name), roleGrantsFrom(r.Body.Roles)))
	if err != nil {
		return nil, err
	}
	i, err := c.Registry.Invitation(ctx, readBack(by.Organisation()), key)
	return CreateInvitation201JSONResponse(c.invitation(&i)), gone(err)
}

func (c *call) ResendInvitation(ctx context.Context, r ResendInvitationRequestObject) (ResendInvitationResponseObject, error) {
	by, err := c.Registry.AtInvitation(ctx, c.by, id.Invitation(r.InvitationID))
	if err != nil {
		return nil, err
	}
	if err := c.Registry.ResendInvitation(ctx, by, id.Invitation(r.InvitationID)); err != nil {
		return nil, err
	}
	i, err := c.Registry.Invitation(ctx, readBack(by.Organisation()), id.Invitation(r.InvitationID))
	return ResendInvitation200JSONResponse(c.invitation(&i)), err
}

func (c *call) RevokeInvitation(ctx context.Context, r RevokeInvitationRequestObject) (RevokeInvitationResponseObject, error) {
	by, err := c.Registry.AtInvitation(ctx, c.by, id.Invitation(r.InvitationID))
	if err != nil {
		return nil, err
	}
	return RevokeInvitation204Response{}, c.Registry.Apply(ctx, by, registry.RevokeInvitation{Invitation: id.Invitation(r.InvitationID)})
}
