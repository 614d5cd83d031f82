package dashboard

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// Up to where clients are counted: what a page is about, and what a list shows
// a part of. A count costs by how many there are.
const (
	maxCount  = 10_000
	maxListed = 1000
)

// clients lists the API clients of an account. Its filters stand in the URL.
func (d *dashboard) clients(x *exchange) error {
	query := x.URL.Query()
	filter := registry.ClientFilter{
		Account: x.account.ID, Text: strings.TrimSpace(query.Get("q")), Product: query.Get("product"), State: registry.ClientState(query.Get("state")),
	}
	ending := query.Get("ending") != ""
	if ending {
		filter.ExpiresBy = d.Now().Add(soon).Truncate(soon / 100) // the same on the next page
	}
	list, err := d.Registry.Clients(x.Context(), x.by, filter, registry.Page{After: registry.Cursor(query.Get("after"))})
	if fault.KindOf(err) == fault.Invalid && query.Has("after") { // a cursor of another list: begin anew
		return x.redirect(x.URL.Path + without(query, "after"))
	}
	if err != nil {
		return err
	}
	page := view.Clients{Path: x.URL.Path, Text: filter.Text, Product: filter.Product, State: string(filter.State), Ending: ending}
	page.Count = len(list.Items)
	if list.Next != "" || query.Has("after") {
		if page.Count, err = d.Registry.CountClients(x.Context(), x.by, filter, maxListed+1); err != nil {
			return err
		}
	}
	page.More = page.Count > maxListed
	if page.Locked, err = x.locked("clients", actor.ClientWrite); err != nil {
		return err
	}
	products, err := x.products()
	if err != nil {
		return err
	}
	if page.Rows, err = x.clientRows(list.Items, products); err != nil {
		return err
	}
	for _, p := range products {
		page.Products = append(page.Products, view.Option{Value: p.Definition.Key, Label: p.Definition.Name, Chosen: p.Definition.Key == filter.Product})
	}
	page.Chips = chipsOf(x.URL.Path, query, nameOf(products, filter.Product))
	if list.Next != "" {
		query.Set("after", string(list.Next))
		page.Older = x.URL.Path + "?" + query.Encode()
	}
	if x.URL.Query().Has("after") {
		page.Newest = x.URL.Path + without(x.URL.Query(), "after")
	}
	return x.show(http.StatusOK, view.ClientsPage(x.page("Clients"), page))
}

// clientRows are clients as the list shows them, with their last calls.
func (x *exchange) clientRows(list []registry.ClientSummary, products []registry.OfferedProduct) (rows []view.ClientRow, err error) {
	keys := make([]id.Client, len(list))
	for i, c := range list {
		keys[i] = c.ID
	}
	calls, err := x.d.Usage.Calls(x.Context(), x.by, keys)
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		rows = append(rows, view.ClientRow{
			Name: c.Name, ID: string(c.ID), Path: x.here() + "/clients/" + string(c.ID), Products: productsOf(c.Permissions, products),
			Secrets: c.Secrets, EndsAt: c.ExpiresAt, Ending: !c.ExpiresAt.IsZero() && c.ExpiresAt.Before(x.d.Now().Add(soon)),
			CalledAt: calls[c.ID].At, Disabled: c.State == registry.Disabled,
		})
	}
	return rows, nil
}

// chipsOf are the filters in force, each with the list without it.
func chipsOf(path string, query url.Values, product string) (list []view.Chip) {
	for _, c := range []struct{ name, words string }{
		{"q", "name or id: " + query.Get("q")}, {"product", "product: " + product}, {"state", "status: " + query.Get("state")}, {"ending", "a secret ends soon"},
	} {
		if query.Get(c.name) != "" {
			list = append(list, view.Chip{Text: c.words, Path: path + without(query, c.name, "after")})
		}
	}
	return list
}

// without is a query string without some parameters and without empty ones.
func without(query url.Values, names ...string) string {
	left := url.Values{}
	for name, values := range query {
		if !slices.Contains(names, name) && values[0] != "" {
			left[name] = values
		}
	}
	if len(left) == 0 {
		return ""
	}
	return "?" + left.Encode()
}

// products are those that the account may use, or for clients of the operator
// all, by name.
func (x *exchange) products() (all []registry.OfferedProduct, err error) {
	filter := registry.ProductFilter{Available: x.environment()}
	if x.operator {
		filter.Available = ""
	}
	for page := (registry.Page{Limit: registry.MaxPageSize}); ; {
		list, err := x.d.Registry.Products(x.Context(), x.by, filter, page)
		if err != nil {
			return nil, err
		}
		all = append(all, list.Items...)
		if page.After = list.Next; page.After == "" {
			break
		}
	}
	slices.SortStableFunc(all, func(a, b registry.OfferedProduct) int {
		if management := a.Definition.Key == registry.ManagementKey; management != (b.Definition.Key == registry.ManagementKey) {
			return map[bool]int{true: 1, false: -1}[management] // for few, so it comes last
		}
		return strings.Compare(a.Definition.Name, b.Definition.Name)
	})
	return all, nil
}

func nameOf(products []registry.OfferedProduct, key string) string {
	for _, p := range products {
		if p.Definition.Key == key {
			return p.Definition.Name
		}
	}
	return key
}

// productsOf are the names of the products to which permissions belong.
func productsOf(permissions []string, products []registry.OfferedProduct) (names []string) {
	for _, permission := range permissions {
		key, _, _ := strings.Cut(permission, ".")
		if name := nameOf(products, key); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
