package api

import (
	"context"
	"slices"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/management"
)

func product(p *registry.OfferedProduct) management.Product {
	d := definition(&p.Definition)
	return management.Product{
		Key: p.Definition.Key, Name: d.Name, Description: d.Description, Prefix: d.Prefix, Visibility: *d.Visibility,
		SandboxAccess: *d.SandboxAccess, ProductionAccess: *d.ProductionAccess, Upstreams: d.Upstreams,
		Permissions: *d.Permissions, Routes: *d.Routes, Source: management.Source(p.Source),
		Available: items(p.Available, func(e *id.Environment) management.Environment { return management.Environment(*e) }), Version: p.Version,
	}
}

func definition(d *registry.Definition) management.ProductDefinition {
	permissions := items(d.Permissions, func(p *registry.Permission) management.ProductPermission {
		w := management.ProductPermission{Key: p.Key, Description: optional[string](p.Description), Assignable: optional[management.Assignable](p.Assignable)}
		if p.Retired {
			w.Retired = &p.Retired
		}
		return w
	})
	routes := items(d.Routes, route)
	w := management.ProductDefinition{
		Name: d.Name, Description: optional[string](d.Description), Prefix: d.Prefix, Visibility: optional[management.Visibility](d.Visibility),
		SandboxAccess: optional[management.Access](d.SandboxAccess), ProductionAccess: optional[management.Access](d.ProductionAccess),
		Permissions: &permissions, Routes: &routes,
	}
	if len(d.Upstreams) > 0 {
		w.Upstreams = &management.Upstreams{Sandbox: optional[string](d.Upstreams[id.Sandbox]), Production: optional[string](d.Upstreams[id.Production])}
	}
	return w
}

func route(r *registry.Route) management.Route {
	w := management.Route{
		Method: management.Method(r.Method), Path: r.Path, Account: optional[string](r.Account), EncodedSlash: optional[string](r.EncodedSlash),
	}
	if len(r.Permissions) > 0 {
		w.Permissions = &r.Permissions
	}
	if r.Public {
		w.Public = &r.Public
	}
	return w
}

func routeFrom(w *management.Route) registry.Route {
	return registry.Route{
		Method: string(w.Method), Path: w.Path, Permissions: value(w.Permissions), Public: value(w.Public),
		Account: value(w.Account), EncodedSlash: value(w.EncodedSlash),
	}
}

func definitionFrom(key string, w *management.ProductDefinition) registry.Definition {
	d := registry.Definition{
		Key: key, Name: w.Name, Description: value(w.Description), Prefix: w.Prefix, Visibility: as[registry.Visibility](w.Visibility),
		SandboxAccess: as[registry.Access](w.SandboxAccess), ProductionAccess: as[registry.Access](w.ProductionAccess),
	}
	upstreams := map[id.Environment]string{}
	if w.Upstreams != nil {
		for environment, text := range map[id.Environment]*string{id.Sandbox: w.Upstreams.Sandbox, id.Production: w.Upstreams.Production} {
			if text != nil {
				upstreams[environment] = *text
			}
		}
	}
	if len(upstreams) > 0 {
		d.Upstreams = upstreams
	}
	for _, p := range value(w.Permissions) {
		d.Permissions = append(d.Permissions, registry.Permission{Key: p.Key, Description: value(p.Description), Assignable: as[registry.Assignable](p.Assignable), Retired: value(p.Retired)})
	}
	for _, r := range value(w.Routes) {
		d.Routes = append(d.Routes, routeFrom(&r))
	}
	return d
}

func (c *call) ListProducts(ctx context.Context, r ListProductsRequestObject) (ListProductsResponseObject, error) {
	p := r.Params
	by, err := c.in(ctx, p.OrganisationID)
	if err != nil {
		return nil, err
	}
	filter := registry.ProductFilter{Text: value(p.Text), Visibility: as[registry.Visibility](p.Visibility), Available: as[id.Environment](p.Available)}
	list, err := c.Registry.Products(ctx, by, filter, page(p.Limit, p.Cursor))
	return ListProducts200JSONResponse{Items: items(list.Items, product), Next: optional[string](list.Next)}, err
}

func (c *call) GetProduct(ctx context.Context, r GetProductRequestObject) (GetProductResponseObject, error) {
	by, err := c.in(ctx, r.Params.OrganisationID)
	if err != nil {
		return nil, err
	}
	p, err := c.Registry.Product(ctx, by, r.Product)
	if err != nil {
		return nil, err
	}
	return GetProduct200JSONResponse{Body: product(&p), Headers: GetProduct200ResponseHeaders{ETag: etag(p.Version)}}, nil
}

func (c *call) PutProduct(ctx context.Context, r PutProductRequestObject) (PutProductResponseObject, error) {
	base, err := versionOf(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := c.Registry.Apply(ctx, c.by, registry.PutProduct{Definition: definitionFrom(r.Product, r.Body), Source: registry.Managed, Base: base}); err != nil {
		return nil, err
	}
	p, err := c.Registry.Product(ctx, readBack(""), r.Product)
	if err != nil {
		return nil, err
	}
	return PutProduct200JSONResponse{Body: product(&p), Headers: PutProduct200ResponseHeaders{ETag: etag(p.Version)}}, nil
}

func (c *call) DeleteProduct(ctx context.Context, r DeleteProductRequestObject) (DeleteProductResponseObject, error) {
	base, err := versionOf(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return DeleteProduct204Response{}, c.Registry.Apply(ctx, c.by, registry.DeleteProduct{Product: r.Product, Base: base})
}

func (c *call) ListProductVersions(ctx context.Context, r ListProductVersionsRequestObject) (ListProductVersionsResponseObject, error) {
	list, err := c.Registry.ProductVersions(ctx, c.by, r.Product, page(r.Params.Limit, r.Params.Cursor))
	version := func(v *registry.ProductVersion) management.ProductVersion {
		return management.ProductVersion{Version: v.Version, CreatedAt: v.CreatedAt, Definition: definition(&v.Definition)}
	}
	return ListProductVersions200JSONResponse{Items: items(list.Items, version), Next: optional[string](list.Next)}, err
}

// changeProduct makes the next version of a product from the live one. It is
// based on that one whatever If-Match says, so that nobody's change is lost.
func (c *call) changeProduct(ctx context.Context, key string, ifMatch *string, change func(d *registry.Definition) error) (p registry.OfferedProduct, err error) {
	base, err := versionOf(ifMatch)
	if err != nil {
		return p, err
	}
	if err := c.by.Require(actor.ProductWrite, ""); err != nil {
		return p, err
	}
	if p, err = c.Registry.Product(ctx, readBack(""), key); err != nil {
		return p, err
	}
	if base == 0 {
		base = p.Version
	}
	next := p.Definition
	next.Permissions, next.Routes = slices.Clone(next.Permissions), slices.Clone(next.Routes)
	if err := change(&next); err != nil {
		return p, err
	}
	if err := c.Registry.Apply(ctx, c.by, registry.PutProduct{Definition: next, Source: registry.Managed, Base: base}); err != nil {
		return p, err
	}
	return c.Registry.Product(ctx, readBack(""), key)
}

func (c *call) GetRoutes(ctx context.Context, r GetRoutesRequestObject) (GetRoutesResponseObject, error) {
	p, err := c.Registry.Product(ctx, c.by, r.Product)
	return GetRoutes200JSONResponse{Body: management.RouteList{Items: items(p.Definition.Routes, route)}, Headers: GetRoutes200ResponseHeaders{ETag: etag(p.Version)}}, err
}

func (c *call) PutRoute(ctx context.Context, r PutRouteRequestObject) (PutRouteResponseObject, error) {
	p, err := c.changeProduct(ctx, r.Product, r.Params.IfMatch, func(d *registry.Definition) error {
		if at := routeAt(d, string(r.Body.Method), r.Body.Path); at >= 0 {
			d.Routes[at] = routeFrom(r.Body)
		} else {
			d.Routes = append(d.Routes, routeFrom(r.Body))
		}
		return nil
	})
	return PutRoute200JSONResponse{Body: management.RouteList{Items: items(p.Definition.Routes, route)}, Headers: PutRoute200ResponseHeaders{ETag: etag(p.Version)}}, err
}

func (c *call) DeleteRoute(ctx context.Context, r DeleteRouteRequestObject) (DeleteRouteResponseObject, error) {
	_, err := c.changeProduct(ctx, r.Product, r.Params.IfMatch, func(d *registry.Definition) error {
		at := routeAt(d, string(r.Params.Method), r.Params.Path)
		if at < 0 {
			return fault.Errorf(fault.NotFound, "the product has no such route: write method and path as the definition has them")
		}
		d.Routes = slices.Delete(d.Routes, at, at+1)
		return nil
	})
	return DeleteRoute204Response{}, err
}

func routeAt(d *registry.Definition, method, path string) int {
	return slices.IndexFunc(d.Routes, func(r registry.Route) bool { return r.Method == method && r.Path == path })
}
