package api

import (
	"context"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/management"
)

func permission(p *registry.DefinedPermission) management.Permission {
	return management.Permission{
		Key: p.Key, Product: p.Product, Description: optional[string](p.Description), Assignable: management.Assignable(p.Assignable), Retired: p.Retired,
	}
}

func (c *call) ListPermissions(ctx context.Context, r ListPermissionsRequestObject) (ListPermissionsResponseObject, error) {
	p := r.Params
	by, err := c.in(ctx, p.OrganisationID)
	if err != nil {
		return nil, err
	}
	list, err := c.Registry.DefinedPermissions(ctx, by, registry.PermissionFilter{
		Text: value(p.Text), Product: value(p.Product), Assignable: as[registry.Assignable](p.Assignable), Available: as[id.Environment](p.Available), Current: value(p.Current),
	}, page(p.Limit, p.Cursor))
	return ListPermissions200JSONResponse{Items: items(list.Items, permission), Next: optional[string](list.Next)}, err
}

// productOf is the first part of a permission's key.
func productOf(permission string) string {
	key, _, _ := strings.Cut(permission, ".")
	return key
}

func permissionAt(d *registry.Definition, key string) int {
	return slices.IndexFunc(d.Permissions, func(p registry.Permission) bool { return p.Key == key })
}

func unknownPermission(key string) error {
	return fault.Errorf(fault.NotFound, "there is no permission %.60s", strings.ToValidUTF8(key, ""))
}

func (c *call) GetPermission(ctx context.Context, r GetPermissionRequestObject) (GetPermissionResponseObject, error) {
	p, err := c.Registry.Product(ctx, c.by, productOf(r.Permission))
	if fault.KindOf(err) == fault.NotFound {
		return nil, unknownPermission(r.Permission)
	}
	if err != nil {
		return nil, err
	}
	found, ok := p.Definition.Permission(r.Permission)
	if !ok {
		return nil, unknownPermission(r.Permission)
	}
	return GetPermission200JSONResponse(permission(&registry.DefinedPermission{Permission: found, Product: p.Definition.Key})), nil
}

func (c *call) PutPermission(ctx context.Context, r PutPermissionRequestObject) (PutPermissionResponseObject, error) {
	key := r.Permission
	next := registry.Permission{Key: key, Description: value(r.Body.Description), Assignable: as[registry.Assignable](r.Body.Assignable), Retired: value(r.Body.Retired)}
	p, err := c.changeProduct(ctx, productOf(key), r.Params.IfMatch, func(d *registry.Definition) error {
		if at := permissionAt(d, key); at >= 0 {
			d.Permissions[at] = next
		} else {
			d.Permissions = append(d.Permissions, next)
		}
		return nil
	})
	found, _ := p.Definition.Permission(key)
	return PutPermission200JSONResponse(permission(&registry.DefinedPermission{Permission: found, Product: p.Definition.Key})), err
}

func (c *call) DeletePermission(ctx context.Context, r DeletePermissionRequestObject) (DeletePermissionResponseObject, error) {
	_, err := c.changeProduct(ctx, productOf(r.Permission), r.Params.IfMatch, func(d *registry.Definition) error {
		at := permissionAt(d, r.Permission)
		if at < 0 {
			return unknownPermission(r.Permission)
		}
		d.Permissions = slices.Delete(d.Permissions, at, at+1)
		return nil
	})
	return DeletePermission204Response{}, err
}

func (c *call) ListProductGrants(ctx context.Context, r ListProductGrantsRequestObject) (ListProductGrantsResponseObject, error) {
	p := r.Params
	by, err := c.in(ctx, p.OrganisationID)
	if err != nil {
		return nil, err
	}
	list, err := c.Registry.Grants(ctx, by, registry.GrantFilter{Product: value(p.Product), Environment: as[id.Environment](p.Environment)}, page(p.Limit, p.Cursor))
	grant := func(g *registry.Grant) management.ProductGrant {
		return management.ProductGrant{OrganisationID: string(g.Organisation), Product: g.Product, Environment: management.Environment(g.Environment), CreatedAt: g.CreatedAt}
	}
	return ListProductGrants200JSONResponse{Items: items(list.Items, grant), Next: optional[string](list.Next)}, err
}

func (c *call) GrantProduct(ctx context.Context, r GrantProductRequestObject) (GrantProductResponseObject, error) {
	by, err := c.in(ctx, &r.OrganisationID)
	if err != nil {
		return nil, err
	}
	return GrantProduct204Response{}, c.Registry.Apply(ctx, by, registry.GrantProduct{Product: r.Product, Environment: id.Environment(r.Environment)})
}

func (c *call) WithdrawProduct(ctx context.Context, r WithdrawProductRequestObject) (WithdrawProductResponseObject, error) {
	by, err := c.in(ctx, &r.OrganisationID)
	if err != nil {
		return nil, err
	}
	return WithdrawProduct204Response{}, c.Registry.Apply(ctx, by, registry.WithdrawProduct{Product: r.Product, Environment: id.Environment(r.Environment)})
}
