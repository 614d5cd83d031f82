package dashboard

import (
	"net/http"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

const (
	grantsPage = 50 // grants
	matches    = 10 // organisations that a search shows
)

// productGrants lists the organisations that were given a product, and finds
// others to give it to.
func (d *dashboard) productGrants(x *exchange) error {
	p, frame, err := x.enterProduct("Organisations")
	if err != nil {
		return err
	}
	query := x.URL.Query()
	page := view.ProductGrants{Frame: frame, Path: frame.Path + "/organisations", Text: strings.TrimSpace(query.Get("q")), Gives: x.by.May(actor.GrantWrite, "")}
	for _, environment := range environments {
		page.Open = append(page.Open, view.EnvironmentAccess{Environment: string(environment), Open: p.Definition.AccessIn(environment) == registry.Open, Reached: p.Definition.Reaches(environment)})
	}
	list, err := d.Registry.Grants(x.Context(), x.by, registry.GrantFilter{Product: frame.Key}, registry.Page{Limit: grantsPage, After: registry.Cursor(query.Get("after"))})
	if fault.KindOf(err) == fault.Invalid && query.Has("after") {
		return x.redirect(x.URL.Path + without(query, "after"))
	}
	if err != nil {
		return err
	}
	for _, g := range list.Items {
		page.Rows = append(page.Rows, view.GranteeRow{
			Name: g.Name, ID: string(g.Organisation), Path: "/o/" + string(g.Organisation), Environment: string(g.Environment), At: g.CreatedAt,
			Withdraw: page.Path + "/" + string(g.Organisation) + "/" + string(g.Environment) + "/withdraw",
		})
	}
	if query.Has("after") {
		page.Newest = page.Path + without(query, "after")
	}
	if list.Next != "" {
		query.Set("after", string(list.Next))
		page.Older = page.Path + "?" + query.Encode()
	}
	if page.Text != "" {
		if page.Matches, err = x.grantable(frame.Key, page.Text); err != nil {
			return err
		}
	}
	return x.show(http.StatusOK, view.ProductGrantsPage(x.productPage(frame), page))
}

// grantable are organisations of that name or id, with where each was given the
// product.
func (x *exchange) grantable(product, text string) (rows []view.GrantChoice, err error) {
	list, err := x.d.Registry.Organisations(x.Context(), x.by, registry.OrganisationFilter{Text: text}, registry.Page{Limit: matches})
	if err != nil {
		return nil, err
	}
	for _, o := range list.Items {
		grants, err := x.d.Registry.Grants(x.Context(), x.by.In(o.ID), registry.GrantFilter{Product: product}, registry.Page{})
		if err != nil {
			return nil, err
		}
		row := view.GrantChoice{Name: o.Name, ID: string(o.ID)}
		for _, environment := range environments {
			given := slices.ContainsFunc(grants.Items, func(g registry.Grant) bool { return g.Environment == environment })
			row.Environments = append(row.Environments, view.GivenIn{Environment: string(environment), Given: given})
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// grantee is the organisation and environment that a form or an address names.
func (x *exchange) grantee(value func(string) string) (o registry.Organisation, by actor.Actor, environment id.Environment, err error) {
	by, environment = x.by.In(id.Organisation(value("organisation"))), id.Environment(value("environment"))
	if !environment.Valid() || by.Organisation() == "" {
		return o, by, environment, errNoPage
	}
	o, err = x.d.Registry.Organisation(x.Context(), by)
	return o, by, environment, err
}

func (d *dashboard) grantProduct(x *exchange) error {
	_, frame, err := x.enterProduct("Organisations")
	if err != nil {
		return err
	}
	o, by, environment, err := x.grantee(x.value)
	if err == nil {
		err = d.Registry.Apply(x.Context(), by, registry.GrantProduct{Product: frame.Key, Environment: environment})
	}
	if err != nil {
		return err
	}
	return x.done(frame.Path+"/organisations", o.Name+" may use "+frame.Name+" in "+string(environment)+".", nil)
}

// confirmProductWithdrawal says what taking a product from an organisation stops.
func (d *dashboard) confirmProductWithdrawal(x *exchange) error {
	p, frame, err := x.enterProduct("Organisations")
	if err != nil {
		return err
	}
	o, by, environment, err := x.grantee(x.PathValue)
	if err != nil {
		return err
	}
	clients, err := d.Registry.CountClients(x.Context(), by, registry.ClientFilter{Product: frame.Key}, maxCount)
	if err != nil {
		return err
	}
	page := view.Withdrawal{
		Frame: frame, Path: x.URL.Path, Back: frame.Path + "/organisations", Name: o.Name, Environment: string(environment),
		Clients: clients, Open: p.Definition.AccessIn(environment) == registry.Open, May: x.by.May(actor.GrantWrite, ""),
	}
	w := x.page("Withdraw product", o.Name, frame.Name)
	w.Width = "narrow"
	return x.show(http.StatusOK, view.WithdrawalPage(w, page))
}

func (d *dashboard) withdrawProductFrom(x *exchange) error {
	_, frame, err := x.enterProduct("Organisations")
	if err != nil {
		return err
	}
	o, by, environment, err := x.grantee(x.PathValue)
	if err == nil {
		err = d.Registry.Apply(x.Context(), by, registry.WithdrawProduct{Product: frame.Key, Environment: environment})
	}
	if err != nil {
		return err
	}
	undo := &view.Action{Label: "Undo", Path: frame.Path + "/organisations", Class: "small", Icon: "undo-2", Fields: []view.Hidden{{Name: "organisation", Value: string(o.ID)}, {Name: "environment", Value: string(environment)}}}
	return x.done(frame.Path+"/organisations", o.Name+" does not have "+frame.Name+" in "+string(environment)+" any more.", undo)
}
