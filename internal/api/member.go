package api

import (
	"context"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/management"
)

func roleGrant(g *actor.RoleGrant) management.RoleGrant {
	return management.RoleGrant{Role: management.RoleName(g.Role), AccountID: optional[string](g.Account)}
}

func roleGrantsFrom(list []management.RoleGrant) []actor.RoleGrant {
	return items(list, func(g *management.RoleGrant) actor.RoleGrant {
		return actor.RoleGrant{Role: actor.Role(g.Role), Account: as[id.Account](g.AccountID)}
	})
}

func member(m *registry.Member) management.Member {
	w := management.Member{
		PersonID: string(m.Person), Email: m.Email, Name: optional[string](m.Name), Roles: items(m.Roles, roleGrant),
		Verified: m.Verified, Version: m.Version, JoinedAt: m.JoinedAt,
	}
	if m.Access.Shown {
		w.SecondFactor, w.LastSeenAt = &m.Access.SecondFactor, optionalTime(m.Access.SeenAt)
	}
	return w
}

func (c *call) ListMembers(ctx context.Context, r ListMembersRequestObject) (ListMembersResponseObject, error) {
	by, err := c.in(ctx, r.Params.OrganisationID)
	if err != nil {
		return nil, err
	}
	list, err := c.Registry.MemberList(ctx, by, registry.MemberFilter{Text: value(r.Params.Text)}, page(r.Params.Limit, r.Params.Cursor))
	return ListMembers200JSONResponse{Items: items(list.Items, member), Next: optional[string](list.Next)}, err
}

func (c *call) GetMember(ctx context.Context, r GetMemberRequestObject) (GetMemberResponseObject, error) {
	by, err := c.in(ctx, r.Params.OrganisationID)
	if err != nil {
		return nil, err
	}
	m, err := c.Registry.Member(ctx, by, id.Person(r.PersonID))
	return GetMember200JSONResponse{Body: member(&m), Headers: GetMember200ResponseHeaders{ETag: etag(m.Version)}}, err
}

func (c *call) ChangeMemberRoles(ctx context.Context, r ChangeMemberRolesRequestObject) (ChangeMemberRolesResponseObject, error) {
	by, err := c.in(ctx, r.Params.OrganisationID)
	if err != nil {
		return nil, err
	}
	base, err := versionOf(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := c.Registry.Apply(ctx, by, registry.ChangeRoles{Person: id.Person(r.PersonID), Roles: roleGrantsFrom(r.Body.Roles), Base: base}); err != nil {
		return nil, err
	}
	m, err := c.Registry.Member(ctx, readBack(by.Organisation()), id.Person(r.PersonID))
	return ChangeMemberRoles200JSONResponse{Body: member(&m), Headers: ChangeMemberRoles200ResponseHeaders{ETag: etag(m.Version)}}, err
}

func (c *call) RemoveMember(ctx context.Context, r RemoveMemberRequestObject) (RemoveMemberResponseObject, error) {
	by, err := c.in(ctx, r.Params.OrganisationID)
	if err != nil {
		return nil, err
	}
	base, err := versionOf(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return RemoveMember204Response{}, c.Registry.Apply(ctx, by, registry.RemoveMember{Person: id.Person(r.PersonID), Base: base})
}

// ListRoles says what the code says of roles: it is the same for everybody.
func (c *call) ListRoles(context.Context, ListRolesRequestObject) (ListRolesResponseObject, error) {
	list := management.RoleList{Items: []management.Role{}}
	for _, role := range actor.Roles() {
		w := management.Role{Role: management.RoleName(role), Title: role.Title(), Operator: role.Operator(), Abilities: []string{}}
		held := role.Abilities()
		for _, ability := range actor.EveryAbility() {
			if held[ability] {
				w.Abilities = append(w.Abilities, string(ability))
			}
		}
		list.Items = append(list.Items, w)
	}
	return ListRoles200JSONResponse(list), nil
}
