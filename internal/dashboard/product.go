package dashboard

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
)

const (
	cataloguePage  = 50 // products
	productClients = 5  // of those that use a product, on its page
)

// catalogue lists the API products that are published, with what each is to this
// account.
func (d *dashboard) catalogue(x *exchange) error {
	query := x.URL.Query()
	page := view.Catalogue{Path: x.URL.Path, Text: strings.TrimSpace(query.Get("q"))}
	list, err := d.Registry.Products(x.Context(), x.by, registry.ProductFilter{Text: page.Text}, registry.Page{Limit: cataloguePage, After: registry.Cursor(query.Get("after"))})
	if fault.KindOf(err) == fault.Invalid && query.Has("after") { // a cursor of another list: begin anew
		return x.redirect(x.URL.Path + without(query, "after"))
	}
	if err != nil {
		return err
	}
	for i := range list.Items {
		p := &list.Items[i]
		if p.Definition.Visibility == registry.Draft { // the operator's people see those in their own area
			continue
		}
		row := view.CatalogueRow{Name: p.Definition.Name, Key: p.Definition.Key, Words: p.Definition.Description, Prefix: p.Definition.Prefix, Path: x.productPath(p), Use: x.useOf(p), Environment: string(x.account.ID.Environment())}
		if row.State, _, err = x.standing(p); err != nil {
			return err
		}
		page.Rows = append(page.Rows, row)
	}
	if query.Has("after") {
		page.Newest = page.Path + without(query, "after")
	}
	if list.Next != "" {
		query.Set("after", string(list.Next))
		page.Older = page.Path + "?" + query.Encode()
	}
	return x.show(http.StatusOK, view.CataloguePage(x.page("Products"), page))
}

func (x *exchange) productPath(p *registry.OfferedProduct) string {
	return x.here() + "/products/" + p.Definition.Key
}

// useOf leads to a new client for a product, for whom can make one.
func (x *exchange) useOf(p *registry.OfferedProduct) string {
	if !slices.Contains(p.Available, x.account.ID.Environment()) || !x.by.May(actor.ClientWrite, x.account.ID) {
		return ""
	}
	return x.here() + "/clients/new?product=" + url.QueryEscape(p.Definition.Key)
}

// grantHere is what the operator does so that the account can use a product.
func (x *exchange) grantHere(p *registry.OfferedProduct) registry.GrantProduct {
	return registry.GrantProduct{Product: p.Definition.Key, Environment: x.account.ID.Environment()}
}

// standing is what a product is to this account; of one that it lacks also the
// newest request for it, if there is one.
func (x *exchange) standing(p *registry.OfferedProduct) (state string, asked *registry.Request, err error) {
	environment := x.account.ID.Environment()
	switch {
	case slices.Contains(p.Available, environment):
		return view.ProductAvailable, nil, nil
	case !slices.Contains(p.Offered, environment):
		return view.ProductElsewhere, nil, nil
	}
	asked, err = x.d.Registry.AccessRequest(x.Context(), x.by, x.grantHere(p))
	if asked != nil && asked.StateAt(x.d.Now()) == registry.RequestPending {
		return view.ProductAsked, asked, err
	}
	return view.ProductLacking, asked, err
}

// offeredHere loads the product that the address names.
func (x *exchange) offeredHere() (*registry.OfferedProduct, error) {
	p, err := x.d.Registry.Product(x.Context(), x.by, x.PathValue("product"))
	if err == nil && p.Definition.Visibility == registry.Draft {
		err = errNoPage
	}
	return &p, err
}

func (d *dashboard) catalogueProduct(x *exchange) error {
	return x.showProduct(http.StatusOK, "", nil)
}

// showProduct shows what a product offers, and to whom in this account.
func (x *exchange) showProduct(status int, typed string, errs []view.FieldError) error {
	p, err := x.offeredHere()
	if err != nil {
		return err
	}
	d := &p.Definition
	page := view.CatalogueProduct{
		Path: x.productPath(p), List: x.here() + "/products", Use: x.useOf(p), Name: d.Name, Key: d.Key, Words: d.Description, Prefix: d.Prefix,
		URL: strings.TrimSuffix(x.d.APIURL, "/") + d.Prefix, Environment: string(x.account.ID.Environment()), Permissions: permissionsOf(d), Errors: errs,
	}
	for _, r := range d.Routes {
		if r.Public {
			page.Public = append(page.Public, routeWords(d, &r))
		}
	}
	var asked *registry.Request
	if page.State, asked, err = x.standing(p); err != nil {
		return err
	}
	if asked != nil {
		if page.Access, err = x.accessRequest(asked); err != nil {
			return err
		}
	}
	page.Access.Typed = typed
	if page.Seen = x.by.May(actor.ClientRead, x.account.ID); page.Seen {
		if err := x.fillUsers(&page, p); err != nil {
			return err
		}
	}
	return x.show(status, view.CatalogueProductPage(x.page(d.Name, "Products"), page))
}

func (x *exchange) accessRequest(q *registry.Request) (view.AccessRequest, error) {
	people, err := x.people()
	return view.AccessRequest{
		Withdraw: "/o/" + string(x.organisation.ID) + "/requests/" + string(q.ID) + "/decline", Who: people.of(q.RequestedBy), Note: q.Note, Mine: q.RequestedBy == x.by.String(), At: q.CreatedAt, Ends: q.ExpiresAt,
		Declined: q.State == registry.RequestDeclined, Reason: q.Reason, DecidedAt: q.DecidedAt,
	}, err
}

// fillUsers adds the clients of the account that hold a permission of the
// product, and a call as one of them makes it.
func (x *exchange) fillUsers(page *view.CatalogueProduct, p *registry.OfferedProduct) error {
	list, err := x.d.Registry.Clients(x.Context(), x.by, registry.ClientFilter{Account: x.account.ID, Product: p.Definition.Key}, registry.Page{Limit: productClients})
	if err != nil {
		return err
	}
	products := []registry.OfferedProduct{*p}
	if page.Clients, err = x.clientRows(list.Items, products); err != nil {
		return err
	}
	if list.Next != "" {
		page.More = x.here() + "/clients?product=" + url.QueryEscape(p.Definition.Key)
	}
	for i := range list.Items {
		c := &list.Items[i]
		if c.State != registry.Enabled || page.State != view.ProductAvailable || len(p.Definition.Routes) == 0 {
			continue
		}
		example, err := x.quickStartOf(x.exampleCallOf(c, products), page.Path)
		page.Example, page.Caller = &example, c.Name
		return err
	}
	return nil
}

// requestProduct asks the operator for a product. Asked twice it is one request.
func (d *dashboard) requestProduct(x *exchange) error {
	p, err := x.offeredHere()
	if err != nil {
		return err
	}
	note := x.value("note")
	_, err = d.Registry.RequestChange(x.Context(), x.by, note, x.grantHere(p))
	if err == nil {
		return x.done(x.productPath(p), "The operator is asked for "+p.Definition.Name+".", nil)
	}
	if state, _, other := x.standing(p); other == nil && state == view.ProductAsked && fault.KindOf(err) == fault.Conflict {
		return x.done(x.productPath(p), "The operator is asked for "+p.Definition.Name+" already: the request waits.", nil)
	}
	status, errs, err := x.refused(err, "note")
	if err != nil {
		return err
	}
	return x.showProduct(status, note, errs)
}
