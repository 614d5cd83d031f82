package api

import (
	"context"
	"net/http"

	"github.com/doorward/doorward/internal/registry"
)

// contractResponse is the contract as it was read at the start.
type contractResponse []byte

// VisitGetContractResponse writes it.
func (c contractResponse) VisitGetContractResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(c) //nolint:gosec // G705: our own document, as JSON
	return err
}

// GetContract serves the contract as JSON.
func (c *call) GetContract(context.Context, GetContractRequestObject) (GetContractResponseObject, error) {
	return contractResponse(c.contract.text), nil
}

func (c *call) ListOrganisations(ctx context.Context, r ListOrganisationsRequestObject) (ListOrganisationsResponseObject, error) {
	p := r.Params
	list, err := c.Registry.Organisations(ctx, c.by, registry.OrganisationFilter{Text: value(p.Text), State: as[registry.State](p.State)}, page(p.Limit, p.Cursor))
	return ListOrganisations200JSONResponse{Items: items(list.Items, organisation), Next: optional[string](list.Next)}, err
}

func (c *call) CreateOrganisation(ctx context.Context, r CreateOrganisationRequestObject) (CreateOrganisationResponseObject, error) {
	once, err := c.once(r.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	key, err := created(once.CreateOrganisation(ctx, c.by, r.Body.Name))
	if err != nil {
		return nil, err
	}
	o, err := c.Registry.Organisation(ctx, readBack(key))
	return CreateOrganisation201JSONResponse{Body: organisation(&o), Headers: CreateOrganisation201ResponseHeaders{ETag: etag(o.Version)}}, gone(err)
}

func (c *call) GetOrganisation(ctx context.Context, r GetOrganisationRequestObject) (GetOrganisationResponseObject, error) {
	by, err := c.in(ctx, &r.OrganisationID)
	if err != nil {
		return nil, err
	}
	o, err := c.Registry.Organisation(ctx, by)
	return GetOrganisation200JSONResponse{Body: organisation(&o), Headers: GetOrganisation200ResponseHeaders{ETag: etag(o.Version)}}, err
}

// changeOrganisation makes an edit of an organisation, based on the version
// that If-Match names, and returns what it is then.
func (c *call) changeOrganisation(ctx context.Context, key string, ifMatch *string, edit func(base int64) registry.Edit) (o registry.Organisation, err error) {
	by, err := c.in(ctx, &key)
	if err != nil {
		return o, err
	}
	base, err := versionOf(ifMatch)
	if err != nil {
		return o, err
	}
	if err := c.Registry.Apply(ctx, by, edit(base)); err != nil {
		return o, err
	}
	return c.Registry.Organisation(ctx, readBack(by.Organisation()))
}

func (c *call) UpdateOrganisation(ctx context.Context, r UpdateOrganisationRequestObject) (UpdateOrganisationResponseObject, error) {
	o, err := c.changeOrganisation(ctx, r.OrganisationID, r.Params.IfMatch, func(base int64) registry.Edit {
		return registry.RenameOrganisation{Name: r.Body.Name, Base: base}
	})
	return UpdateOrganisation200JSONResponse{Body: organisation(&o), Headers: UpdateOrganisation200ResponseHeaders{ETag: etag(o.Version)}}, err
}

func (c *call) SuspendOrganisation(ctx context.Context, r SuspendOrganisationRequestObject) (SuspendOrganisationResponseObject, error) {
	o, err := c.changeOrganisation(ctx, r.OrganisationID, r.Params.IfMatch, func(base int64) registry.Edit {
		return registry.SetOrganisationState{State: registry.Suspended, Base: base}
	})
	return SuspendOrganisation200JSONResponse{Body: organisation(&o), Headers: SuspendOrganisation200ResponseHeaders{ETag: etag(o.Version)}}, err
}

func (c *call) ActivateOrganisation(ctx context.Context, r ActivateOrganisationRequestObject) (ActivateOrganisationResponseObject, error) {
	o, err := c.changeOrganisation(ctx, r.OrganisationID, r.Params.IfMatch, func(base int64) registry.Edit {
		return registry.SetOrganisationState{State: registry.Active, Base: base}
	})
	return ActivateOrganisation200JSONResponse{Body: organisation(&o), Headers: ActivateOrganisation200ResponseHeaders{ETag: etag(o.Version)}}, err
}

func (c *call) DeleteOrganisation(ctx context.Context, r DeleteOrganisationRequestObject) (DeleteOrganisationResponseObject, error) {
	o, err := c.changeOrganisation(ctx, r.OrganisationID, r.Params.IfMatch, func(base int64) registry.Edit {
		return registry.DeleteOrganisation{Base: base}
	})
	return DeleteOrganisation200JSONResponse{Body: organisation(&o), Headers: DeleteOrganisation200ResponseHeaders{ETag: etag(o.Version)}}, err
}

func (c *call) RestoreOrganisation(ctx context.Context, r RestoreOrganisationRequestObject) (RestoreOrganisationResponseObject, error) {
	o, err := c.changeOrganisation(ctx, r.OrganisationID, r.Params.IfMatch, func(base int64) registry.Edit {
		return registry.RestoreOrganisation{Base: base}
	})
	return RestoreOrganisation200JSONResponse{Body: organisation(&o), Headers: RestoreOrganisation200ResponseHeaders{ETag: etag(o.Version)}}, err
}
