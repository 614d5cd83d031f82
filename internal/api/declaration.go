package api

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/management"
)

func (c *call) ExportDeclaration(ctx context.Context, r ExportDeclarationRequestObject) (ExportDeclarationResponseObject, error) {
	by, err := c.in(ctx, r.Params.OrganisationID)
	if err != nil {
		return nil, err
	}
	d, err := c.Registry.Declared(ctx, by)
	return ExportDeclaration200JSONResponse(declaration(&d)), err
}

func (c *call) PlanDeclaration(ctx context.Context, r PlanDeclarationRequestObject) (PlanDeclarationResponseObject, error) {
	p, err := c.declare(ctx, r.Params.OrganisationID, r.Body, registry.Declaring{Prune: value(r.Params.Prune), DryRun: true})
	return PlanDeclaration200JSONResponse{Body: plan(&p), Headers: PlanDeclaration200ResponseHeaders{ETag: `"` + p.Digest + `"`}}, err
}

func (c *call) ApplyDeclaration(ctx context.Context, r ApplyDeclarationRequestObject) (ApplyDeclarationResponseObject, error) {
	expected := strings.Trim(value(r.Params.IfMatch), `"`)
	p, err := c.declare(ctx, r.Params.OrganisationID, r.Body, registry.Declaring{Prune: value(r.Params.Prune), Expected: expected})
	return ApplyDeclaration200JSONResponse{Body: plan(&p), Headers: ApplyDeclaration200ResponseHeaders{ETag: `"` + p.Digest + `"`}}, err
}

func (c *call) declare(ctx context.Context, organisation *string, body *management.Declaration, how registry.Declaring) (p registry.Plan, err error) {
	by, err := c.in(ctx, organisation)
	if err != nil {
		return p, err
	}
	d, err := declarationFrom(body)
	if err != nil {
		return p, err
	}
	return c.Registry.Declare(ctx, by, d, how)
}

func plan(p *registry.Plan) management.Plan {
	field := func(f *registry.PlannedField) management.PlannedField {
		return management.PlannedField{Name: f.Name, Before: f.Before, After: f.After}
	}
	return management.Plan{Steps: items(p.Steps, func(s *registry.PlannedStep) management.PlannedStep {
		return management.PlannedStep{
			Action: management.PlannedStepAction(s.Action), Kind: management.PlannedStepKind(s.Kind), ID: optional[string](s.ID), Name: s.Name,
			Organisation: optional[string](s.Organisation), Account: optional[string](s.Account), Fields: items(s.Fields, field),
		}
	})}
}

// listed is a list on the wire; one that is nil is left out.
func listed[From, To any](list []From, wire func(*From) To) *[]To {
	if list == nil {
		return nil
	}
	out := items(list, wire)
	return &out
}

// unlisted is the list inside, nil if it was left out.
func unlisted[From, To any](list *[]From, inside func(*From) (To, error)) (out []To, err error) {
	if list == nil {
		return nil, nil
	}
	out = make([]To, len(*list))
	for i := range *list {
		if out[i], err = inside(&(*list)[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func declaration(d *registry.Declaration) management.Declaration {
	return management.Declaration{
		Products: listed(d.Products, func(d *registry.Definition) management.DeclaredProduct {
			w := definition(d)
			return management.DeclaredProduct{
				Key: d.Key, Name: w.Name, Description: w.Description, Prefix: w.Prefix, Visibility: w.Visibility, SandboxAccess: w.SandboxAccess,
				ProductionAccess: w.ProductionAccess, Upstreams: w.Upstreams, Permissions: w.Permissions, Routes: w.Routes,
			}
		}),
		Organisations: listed(d.Organisations, declaredOrganisation),
		Clients:       listed(d.Clients, declaredClient),
	}
}

func declaredOrganisation(o *registry.DeclaredOrganisation) management.DeclaredOrganisation {
	return management.DeclaredOrganisation{
		ID: optional[string](o.ID), Name: optional[string](o.Name), State: unless[management.State](o.State, registry.Active),
		Grants: listed(o.Grants, func(g *registry.ProductGrant) management.DeclaredGrant {
			return management.DeclaredGrant{Product: g.Product, Environment: management.Environment(g.Environment)}
		}),
		Accounts: listed(o.Accounts, func(a *registry.DeclaredAccount) management.DeclaredAccount {
			return management.DeclaredAccount{
				ID: optional[string](a.ID), Name: optional[string](a.Name), Environment: optional[management.Environment](a.Environment),
				State: unless[management.State](a.State, registry.Active), Clients: listed(a.Clients, declaredClient),
			}
		}),
		Clients: listed(o.Clients, declaredClient),
	}
}

func declaredClient(c *registry.DeclaredClient) management.DeclaredClient {
	w := management.DeclaredClient{
		ClientID: optional[string](c.ID), Name: optional[string](c.Name), State: unless[management.ClientState](c.State, registry.Enabled), Permissions: c.Permissions,
	}
	if lifetime := int(value(c.TokenLifetime) / time.Second); lifetime > 0 {
		w.TokenLifetime = &lifetime
	}
	if list := value(c.Networks); len(list) > 0 {
		w.Networks = listed(list, func(n *netip.Prefix) string { return n.String() })
	}
	w.ContactID, w.Note = optional[string](value(c.Contact)), optional[string](value(c.Note))
	return w
}

// unless leaves out the usual state.
func unless[To, From ~string](state, usual From) *To {
	if state == usual {
		return nil
	}
	return optional[To](state)
}

func declarationFrom(w *management.Declaration) (d registry.Declaration, err error) {
	d.Products, err = unlisted(w.Products, func(p *management.DeclaredProduct) (registry.Definition, error) {
		return definitionFrom(p.Key, &management.ProductDefinition{
			Name: p.Name, Description: p.Description, Prefix: p.Prefix, Visibility: p.Visibility, SandboxAccess: p.SandboxAccess,
			ProductionAccess: p.ProductionAccess, Upstreams: p.Upstreams, Permissions: p.Permissions, Routes: p.Routes,
		}), nil
	})
	if err != nil {
		return d, err
	}
	if d.Organisations, err = unlisted(w.Organisations, organisationFrom); err != nil {
		return d, err
	}
	d.Clients, err = unlisted(w.Clients, clientFrom)
	return d, err
}

func organisationFrom(w *management.DeclaredOrganisation) (o registry.DeclaredOrganisation, err error) {
	o = registry.DeclaredOrganisation{ID: as[id.Organisation](w.ID), Name: value(w.Name), State: as[registry.State](w.State)}
	o.Grants, err = unlisted(w.Grants, func(g *management.DeclaredGrant) (registry.ProductGrant, error) {
		return registry.ProductGrant{Product: g.Product, Environment: id.Environment(g.Environment)}, nil
	})
	if err != nil {
		return o, err
	}
	o.Accounts, err = unlisted(w.Accounts, func(w *management.DeclaredAccount) (a registry.DeclaredAccount, err error) {
		a = registry.DeclaredAccount{ID: as[id.Account](w.ID), Name: value(w.Name), Environment: as[id.Environment](w.Environment), State: as[registry.State](w.State)}
		a.Clients, err = unlisted(w.Clients, clientFrom)
		return a, err
	})
	if err != nil {
		return o, err
	}
	o.Clients, err = unlisted(w.Clients, clientFrom)
	return o, err
}

func clientFrom(w *management.DeclaredClient) (c registry.DeclaredClient, err error) {
	c = registry.DeclaredClient{ID: as[id.Client](w.ClientID), Name: value(w.Name), State: as[registry.ClientState](w.State), Contact: (*id.Person)(w.ContactID), Note: w.Note, Permissions: w.Permissions}
	if w.TokenLifetime != nil {
		lifetime := time.Duration(*w.TokenLifetime) * time.Second
		c.TokenLifetime = &lifetime
	}
	if w.Networks != nil {
		found, err := networks(*w.Networks)
		if err != nil {
			return c, err
		}
		c.Networks = &found
	}
	return c, nil
}
