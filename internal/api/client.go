package api

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/management"
)

func (c *call) ListClients(ctx context.Context, r ListClientsRequestObject) (ListClientsResponseObject, error) {
	p := r.Params
	by, err := c.in(ctx, p.OrganisationID)
	if err != nil {
		return nil, err
	}
	list, err := c.Registry.Clients(ctx, by, registry.ClientFilter{
		Text: value(p.Text), Account: as[id.Account](p.AccountID), Owner: as[registry.Owner](p.Owner), State: as[registry.ClientState](p.State),
		Product: value(p.Product), Permission: value(p.Permission), ExpiresBy: value(p.ExpiresBy),
	}, page(p.Limit, p.Cursor))
	return ListClients200JSONResponse{Items: items(list.Items, client), Next: optional[string](list.Next)}, err
}

func (c *call) CreateClient(ctx context.Context, r CreateClientRequestObject) (CreateClientResponseObject, error) {
	n := registry.NewClient{
		Account: as[id.Account](r.Body.AccountID), Name: r.Body.Name, TokenLifetime: time.Duration(value(r.Body.TokenLifetime)) * time.Second,
		Contact: as[id.Person](r.Body.ContactID), Note: value(r.Body.Note),
	}
	by, err := c.ownerOf(ctx, r.Body, &n)
	if err != nil {
		return nil, err
	}
	if n.TokenLifetime == 0 && r.Body.TokenLifetime != nil {
		n.TokenLifetime = -1 // refused: the default is for those that leave it out
	}
	if n.Networks, err = networks(value(r.Body.Networks)); err != nil {
		return nil, err
	}
	once, err := c.once(r.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	key, err := created(once.CreateClient(ctx, by, n))
	if err != nil {
		return nil, err
	}
	s, err := c.Registry.ClientSummary(ctx, readBack(by.Organisation()), key)
	return CreateClient201JSONResponse{Body: client(&s), Headers: CreateClient201ResponseHeaders{ETag: etag(s.Version)}}, gone(err)
}

// ownerOf holds the owner that a new client should have against what else the
// request names, and returns the actor where that owner is.
func (c *call) ownerOf(ctx context.Context, body *management.ClientCreation, n *registry.NewClient) (actor.Actor, error) {
	by, err := c.in(ctx, body.OrganisationID)
	if err != nil {
		return by, err
	}
	switch body.Owner {
	case management.OwnerAccount:
		if n.Account == "" {
			accounts, _ := c.by.Where(actor.ClientWrite)
			if len(accounts) != 1 {
				return by, wrongParameter("account_id", "name the account that shall own the client")
			}
			n.Account = accounts[0]
		}
		if body.OrganisationID == nil {
			by, err = c.Registry.AtAccount(ctx, by, n.Account)
		}
		return by, err
	case management.OwnerOrganisation:
		if by.Organisation() == "" {
			return by, wrongParameter("organisation_id", "name the organisation that shall own the client")
		}
	case management.OwnerOperator:
		if !by.Operator() {
			return by, fault.Errorf(fault.Forbidden, "clients of the operator are created by the operator")
		}
		if body.OrganisationID != nil {
			return by, wrongParameter("organisation_id", "a client of the operator belongs to no organisation")
		}
	default:
		return by, wrongParameter("owner", "it is not one of account, organisation, operator")
	}
	if n.Account != "" {
		return by, wrongParameter("account_id", "only a client that an account owns has one")
	}
	return by, nil
}

func networks(texts []string) ([]netip.Prefix, error) {
	found := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, wrongParameter(fmt.Sprintf("networks[%d]", i), "write a network like 192.0.2.0/24 or 2001:db8::/32")
		}
		found[i] = network
	}
	return found, nil
}

func (c *call) GetClient(ctx context.Context, r GetClientRequestObject) (GetClientResponseObject, error) {
	by, err := c.Registry.AtClient(ctx, c.by, id.Client(r.ClientID))
	if err != nil {
		return nil, err
	}
	s, err := c.Registry.ClientSummary(ctx, by, id.Client(r.ClientID))
	return GetClient200JSONResponse{Body: client(&s), Headers: GetClient200ResponseHeaders{ETag: etag(s.Version)}}, err
}

// changeClient makes an edit of a client, based on the version that If-Match
// names, and returns the actor where the client is.
func (c *call) changeClient(ctx context.Context, key id.Client, ifMatch *string, edits func(base int64) []registry.Edit) (actor.Actor, error) {
	by, err := c.Registry.AtClient(ctx, c.by, key)
	if err != nil {
		return by, err
	}
	base, err := versionOf(ifMatch)
	if err != nil {
		return by, err
	}
	return by, c.Registry.Apply(ctx, by, edits(base)...)
}

// changedClient does so and returns the client as it is then.
func (c *call) changedClient(ctx context.Context, key id.Client, ifMatch *string, edit func(base int64) registry.Edit) (s registry.ClientSummary, err error) {
	by, err := c.changeClient(ctx, key, ifMatch, func(base int64) []registry.Edit { return []registry.Edit{edit(base)} })
	if err != nil {
		return s, err
	}
	return c.Registry.ClientSummary(ctx, readBack(by.Organisation()), key)
}

func (c *call) UpdateClient(ctx context.Context, r UpdateClientRequestObject) (UpdateClientResponseObject, error) {
	edit := registry.UpdateClient{Client: id.Client(r.ClientID), Name: r.Body.Name, Contact: (*id.Person)(r.Body.ContactID), Note: r.Body.Note}
	if r.Body.TokenLifetime != nil {
		lifetime := time.Duration(*r.Body.TokenLifetime) * time.Second
		edit.TokenLifetime = &lifetime
	}
	if r.Body.Networks != nil {
		found, err := networks(*r.Body.Networks)
		if err != nil {
			return nil, err
		}
		edit.Networks = &found
	}
	if edit.Name == nil && edit.TokenLifetime == nil && edit.Networks == nil && edit.Contact == nil && edit.Note == nil {
		return nil, fault.Errorf(fault.Invalid, "nothing is to be changed: give name, token_lifetime, networks, contact_id or note")
	}
	s, err := c.changedClient(ctx, edit.Client, r.Params.IfMatch, func(base int64) registry.Edit {
		edit.Base = base
		return edit
	})
	return UpdateClient200JSONResponse{Body: client(&s), Headers: UpdateClient200ResponseHeaders{ETag: etag(s.Version)}}, err
}

func (c *call) DeleteClient(ctx context.Context, r DeleteClientRequestObject) (DeleteClientResponseObject, error) {
	key := id.Client(r.ClientID)
	_, err := c.changeClient(ctx, key, r.Params.IfMatch, func(base int64) []registry.Edit {
		return []registry.Edit{registry.SetClientState{Client: key, State: registry.Deleted, Base: base}}
	})
	return DeleteClient204Response{}, err
}

func (c *call) EnableClient(ctx context.Context, r EnableClientRequestObject) (EnableClientResponseObject, error) {
	s, err := c.changedClient(ctx, id.Client(r.ClientID), r.Params.IfMatch, func(base int64) registry.Edit {
		return registry.SetClientState{Client: id.Client(r.ClientID), State: registry.Enabled, Base: base}
	})
	return EnableClient200JSONResponse{Body: client(&s), Headers: EnableClient200ResponseHeaders{ETag: etag(s.Version)}}, err
}

func (c *call) DisableClient(ctx context.Context, r DisableClientRequestObject) (DisableClientResponseObject, error) {
	s, err := c.changedClient(ctx, id.Client(r.ClientID), r.Params.IfMatch, func(base int64) registry.Edit {
		return registry.SetClientState{Client: id.Client(r.ClientID), State: registry.Disabled, Base: base}
	})
	return DisableClient200JSONResponse{Body: client(&s), Headers: DisableClient200ResponseHeaders{ETag: etag(s.Version)}}, err
}

func (c *call) GetClientPermissions(ctx context.Context, r GetClientPermissionsRequestObject) (GetClientPermissionsResponseObject, error) {
	by, err := c.Registry.AtClient(ctx, c.by, id.Client(r.ClientID))
	if err != nil {
		return nil, err
	}
	held, err := c.Registry.Permissions(ctx, by, id.Client(r.ClientID))
	return GetClientPermissions200JSONResponse{Permissions: append([]string{}, held...)}, err
}

func (c *call) ChangeClientPermissions(ctx context.Context, r ChangeClientPermissionsRequestObject) (ChangeClientPermissionsResponseObject, error) {
	key, add, remove := id.Client(r.ClientID), value(r.Body.Add), value(r.Body.Remove)
	if len(add)+len(remove) == 0 {
		return nil, fault.Errorf(fault.Invalid, "nothing is to be changed: name permissions in add or remove")
	}
	by, err := c.changeClient(ctx, key, r.Params.IfMatch, func(base int64) (edits []registry.Edit) {
		if len(remove) > 0 { // first, to make room for the others
			edits = append(edits, registry.RemovePermissions{Client: key, Permissions: remove, Base: base})
			base = 0 // the one before has raised it
		}
		if len(add) > 0 {
			edits = append(edits, registry.AddPermissions{Client: key, Permissions: add, Base: base})
		}
		return edits
	})
	if err != nil {
		return nil, err
	}
	held, err := c.Registry.Permissions(ctx, readBack(by.Organisation()), key)
	return ChangeClientPermissions200JSONResponse{Permissions: append([]string{}, held...)}, err
}
