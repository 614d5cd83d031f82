package dashboard

import (
	"maps"
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

const productsPath = operatorPath + "/products"

// operatorProductRoutes are those of API products in the operator's area.
func (d *dashboard) operatorProductRoutes() []route {
	const one = productsPath + "/{product}"
	return []route{
		{method: "GET", pattern: productsPath, handle: d.operatorProducts, needs: actor.ClientRead},
		{method: "GET", pattern: productsPath + "/new", handle: d.newProduct, needs: actor.ClientRead},
		{method: "POST", pattern: productsPath + "/new", handle: d.createProduct, needs: actor.ProductWrite, uploads: true},
		{method: "GET", pattern: one, handle: d.productSettings, needs: actor.ClientRead},
		{method: "POST", pattern: one, handle: d.saveProduct, needs: actor.ProductWrite},
		{method: "POST", pattern: one + "/test", handle: d.testUpstream, needs: actor.ProductWrite},
		{method: "GET", pattern: one + "/delete", handle: d.confirmProductDeletion, needs: actor.ClientRead},
		{method: "POST", pattern: one + "/delete", handle: d.deleteProduct, needs: actor.ProductWrite},
		{method: "GET", pattern: one + "/permissions", handle: d.productPermissions, needs: actor.ClientRead},
		{method: "POST", pattern: one + "/permissions", handle: d.addPermission, needs: actor.ProductWrite},
		{method: "GET", pattern: one + "/permissions/{permission}", handle: d.productPermission, needs: actor.ClientRead},
		{method: "POST", pattern: one + "/permissions/{permission}", handle: d.savePermission, needs: actor.ProductWrite},
		{method: "POST", pattern: one + "/permissions/{permission}/remove", handle: d.removePermission, needs: actor.ProductWrite},
		{method: "GET", pattern: one + "/routes", handle: d.productRoutes, needs: actor.ClientRead},
		{method: "GET", pattern: one + "/routes/edit", handle: d.productRoute, needs: actor.ClientRead},
		{method: "POST", pattern: one + "/routes/edit", handle: d.saveRoute, needs: actor.ProductWrite},
		{method: "POST", pattern: one + "/routes/remove", handle: d.removeRoute, needs: actor.ProductWrite},
		{method: "GET", pattern: one + "/import", handle: d.importForm, needs: actor.ClientRead},
		{method: "POST", pattern: one + "/import", handle: d.importDocument, needs: actor.ProductWrite, uploads: true},
		{method: "GET", pattern: one + "/versions", handle: d.productVersions, needs: actor.ProductWrite},
		{method: "GET", pattern: one + "/versions/{version}", handle: d.productVersion, needs: actor.ProductWrite},
		{method: "POST", pattern: one + "/versions/{version}", handle: d.restoreVersion, needs: actor.ProductWrite},
		{method: "GET", pattern: one + "/organisations", handle: d.productGrants, needs: actor.ClientRead},
		{method: "POST", pattern: one + "/organisations", handle: d.grantProduct, needs: actor.GrantWrite},
		{method: "GET", pattern: one + "/organisations/{organisation}/{environment}/withdraw", handle: d.confirmProductWithdrawal, needs: actor.ClientRead},
		{method: "POST", pattern: one + "/organisations/{organisation}/{environment}/withdraw", handle: d.withdrawProductFrom, needs: actor.GrantWrite},
		{method: "GET", pattern: operatorPath + "/requests", handle: d.operatorRequests, needs: actor.ClientRead},
		{method: "POST", pattern: operatorPath + "/requests/{request}/approve", handle: d.approveForOrganisation, needs: actor.GrantWrite},
		{method: "POST", pattern: operatorPath + "/requests/{request}/decline", handle: d.declineForOrganisation, needs: actor.GrantWrite},
	}
}

// operatorProducts lists all API products, drafts too.
func (d *dashboard) operatorProducts(x *exchange) error {
	query := x.URL.Query()
	page := view.OperatorProducts{Path: productsPath, Text: strings.TrimSpace(query.Get("q"))}
	list, err := d.Registry.Products(x.Context(), x.by, registry.ProductFilter{Text: page.Text}, registry.Page{Limit: cataloguePage, After: registry.Cursor(query.Get("after"))})
	if fault.KindOf(err) == fault.Invalid && query.Has("after") {
		return x.redirect(x.URL.Path + without(query, "after"))
	}
	if err != nil {
		return err
	}
	if page.Locked, err = x.locked("API products", actor.ProductWrite); err != nil {
		return err
	}
	for _, p := range list.Items {
		holders, err := d.Registry.ProductHolders(x.Context(), x.by, p.Definition.Key)
		if err != nil {
			return err
		}
		page.Rows = append(page.Rows, view.OperatorProductRow{
			Name: p.Definition.Name, Key: p.Definition.Key, Prefix: p.Definition.Prefix, Path: productsPath + "/" + p.Definition.Key,
			Visibility: string(p.Definition.Visibility), Source: string(p.Source), Holders: view.Holders(holders),
		})
	}
	if query.Has("after") {
		page.Newest = page.Path + without(query, "after")
	}
	if list.Next != "" {
		query.Set("after", string(list.Next))
		page.Older = page.Path + "?" + query.Encode()
	}
	return x.show(http.StatusOK, view.OperatorProductsPage(x.page("Products"), page))
}

// enterProduct loads the product that the address names, and what its pages
// begin with.
func (x *exchange) enterProduct(tab string) (p registry.OfferedProduct, f view.ProductFrame, err error) {
	p, err = x.d.Registry.Product(x.Context(), x.by, x.PathValue("product"))
	if err != nil {
		return p, f, err
	}
	path := productsPath + "/" + p.Definition.Key
	f = view.ProductFrame{
		Name: p.Definition.Name, Key: p.Definition.Key, Path: path, List: productsPath, Visibility: string(p.Definition.Visibility),
		Source: string(p.Source), Version: p.Version, Tab: tab,
	}
	for _, t := range []struct{ name, path string }{{"Settings", ""}, {"Permissions", "/permissions"}, {"Routes", "/routes"}, {"Organisations", "/organisations"}, {"Versions", "/versions"}} {
		f.Tabs = append(f.Tabs, view.Link{Label: t.name, Path: path + t.path, Current: t.name == tab})
	}
	if f.Locked, err = x.locked("product", actor.ProductWrite); err != nil {
		return p, f, err
	}
	f.Editable = f.Locked == nil && p.Source == registry.Managed
	return p, f, nil
}

// changesProduct is enterProduct for those who may change products.
func (x *exchange) changesProduct(tab string) (p registry.OfferedProduct, f view.ProductFrame, err error) {
	if err := x.by.Require(actor.ProductWrite, ""); err != nil {
		return p, f, err
	}
	return x.enterProduct(tab)
}

// productPage is the page of a tab of a product.
func (x *exchange) productPage(f view.ProductFrame) view.Page {
	p := x.page(f.Name)
	if f.Tab != "Settings" {
		p.Title, p.Context = f.Tab, append([]string{f.Name}, p.Context...)
	}
	return p
}

// copyOf is a definition that can be changed without changing the other.
func copyOf(d *registry.Definition) registry.Definition {
	next := *d
	next.Upstreams = maps.Clone(d.Upstreams)
	next.Permissions, next.Routes = slices.Clone(d.Permissions), slices.Clone(d.Routes)
	return next
}

// putProduct makes a definition the live one. What stops calls is shown first,
// and has to be confirmed.
func (x *exchange) putProduct(live *registry.OfferedProduct, next registry.Definition, back, said string) error {
	effects := stops(&live.Definition, &next)
	if len(effects) == 0 || x.value("confirm") != "" {
		if err := x.d.Registry.Apply(x.Context(), x.by, registry.PutProduct{Definition: next, Source: registry.Managed, Base: x.base()}); err != nil {
			return err
		}
		return x.done(back, said, nil)
	}
	if err := x.d.Registry.CheckProduct(next); err != nil {
		return err
	}
	return x.reviewProduct(live, &next, "Review changes", back, effects)
}

// reviewProduct asks before a change of a product, and sends the same form again.
func (x *exchange) reviewProduct(live *registry.OfferedProduct, next *registry.Definition, title, back string, effects []string) error {
	holders, err := x.d.Registry.ProductHolders(x.Context(), x.by, live.Definition.Key)
	if err != nil {
		return err
	}
	page := view.ProductReview{
		Name: live.Definition.Name, Path: x.URL.RequestURI(), Back: back, Changes: differenceOf(&live.Definition, next), Effects: effects,
		Holders: view.Holders(holders), Uploads: x.route.uploads,
	}
	for _, name := range slices.Sorted(maps.Keys(x.PostForm)) {
		page.Fields = append(page.Fields, hiddenList(name, x.PostForm[name])...)
	}
	page.Fields = append(page.Fields, view.Hidden{Name: "confirm", Value: "1"})
	p := x.page(title, live.Definition.Name)
	p.Width = "middle"
	return x.show(http.StatusOK, view.ProductReviewPage(p, page))
}

// productForm is the settings of a product as a form has them.
func (x *exchange) productForm() view.ProductForm {
	f := view.ProductForm{
		Key: x.value("key"), Name: x.value("name"), Words: x.value("description"), Prefix: x.value("prefix"), Visibility: x.value("visibility"),
		SandboxAccess: x.value("sandbox_access"), ProductionAccess: x.value("production_access"),
		SandboxUpstream: x.value("sandbox_upstream"), ProductionUpstream: x.value("production_upstream"), Document: x.value("document"),
	}
	return f
}

func formOf(d *registry.Definition) view.ProductForm {
	return view.ProductForm{
		Key: d.Key, Name: d.Name, Words: d.Description, Prefix: d.Prefix, Visibility: string(d.Visibility),
		SandboxAccess: string(d.SandboxAccess), ProductionAccess: string(d.ProductionAccess),
		SandboxUpstream: d.Upstreams[id.Sandbox], ProductionUpstream: d.Upstreams[id.Production],
	}
}

// settle puts the settings of a form into a definition.
func settle(d *registry.Definition, f *view.ProductForm) {
	d.Name, d.Description, d.Prefix, d.Visibility = f.Name, f.Words, f.Prefix, registry.Visibility(f.Visibility)
	d.SandboxAccess, d.ProductionAccess = registry.Access(f.SandboxAccess), registry.Access(f.ProductionAccess)
	d.Upstreams = nil
	for environment, address := range map[id.Environment]string{id.Sandbox: f.SandboxUpstream, id.Production: f.ProductionUpstream} {
		if address == "" {
			continue
		}
		if d.Upstreams == nil {
			d.Upstreams = map[id.Environment]string{}
		}
		d.Upstreams[environment] = address
	}
}

// productFields are those that a message about settings can mean.
var productFields = []string{"name product name", "key product key", "key with the key", "prefix", "description", "sandbox_upstream sandbox upstream", "production_upstream production upstream", "visibility", "sandbox_access access"}

func (d *dashboard) newProduct(x *exchange) error {
	form := view.ProductForm{Visibility: string(registry.Draft), SandboxAccess: string(registry.Open), ProductionAccess: string(registry.Granted)}
	return x.showNewProduct(http.StatusOK, form, nil)
}

func (x *exchange) showNewProduct(status int, form view.ProductForm, errs []view.FieldError) error {
	page := view.NewProduct{Path: productsPath, Form: form, Errors: errs}
	var err error
	if page.Locked, err = x.locked("API products", actor.ProductWrite); err != nil {
		return err
	}
	p := x.page("Add product")
	p.Width = "middle"
	return x.show(status, view.NewProductPage(p, page))
}

// createProduct makes a product, with routes and permissions if a document came
// with it.
func (d *dashboard) createProduct(x *exchange) error {
	if err := x.takeUpload("document"); err != nil {
		return err
	}
	form := x.productForm()
	next := registry.Definition{Key: form.Key}
	settle(&next, &form)
	var err error
	if form.Document != "" {
		err = x.importInto(&next, form.Document)
	}
	if err == nil {
		err = d.Registry.Apply(x.Context(), x.by, registry.PutProduct{Definition: next, Source: registry.Managed, New: true})
	}
	if err == nil {
		return x.done(productsPath+"/"+next.Key, "Product "+next.Name+" is added.", nil)
	}
	status, errs, err := x.refused(err, append(productFields, "document")...)
	if err != nil {
		return err
	}
	return x.showNewProduct(status, form, errs)
}

func (d *dashboard) productSettings(x *exchange) error {
	p, frame, err := x.enterProduct("Settings")
	if err != nil {
		return err
	}
	return x.showProductSettings(http.StatusOK, view.ProductSettings{Frame: frame, Form: formOf(&p.Definition)})
}

func (x *exchange) showProductSettings(status int, s view.ProductSettings) error {
	holders, err := x.d.Registry.ProductHolders(x.Context(), x.by, s.Frame.Key)
	s.Holders = view.Holders(holders)
	if err != nil {
		return err
	}
	return x.show(status, view.ProductSettingsPage(x.productPage(s.Frame), s))
}

func (d *dashboard) saveProduct(x *exchange) error {
	p, frame, err := x.changesProduct("Settings")
	if err != nil {
		return err
	}
	form := x.productForm()
	next := copyOf(&p.Definition)
	settle(&next, &form)
	err = x.putProduct(&p, next, frame.Path, "Product "+next.Name+" is changed.")
	if err == nil {
		return nil
	}
	status, errs, err := x.refused(err, productFields...)
	if err != nil {
		return err
	}
	return x.showProductSettings(status, view.ProductSettings{Frame: frame, Form: form, Errors: errs})
}

func (d *dashboard) confirmProductDeletion(x *exchange) error {
	_, frame, err := x.enterProduct("Settings")
	if err != nil {
		return err
	}
	return x.showProductDeletion(http.StatusOK, frame, nil)
}

func (x *exchange) showProductDeletion(status int, frame view.ProductFrame, errs []view.FieldError) error {
	holders, err := x.d.Registry.ProductHolders(x.Context(), x.by, frame.Key)
	if err != nil {
		return err
	}
	p := x.page("Delete "+frame.Name, "Products")
	p.Width = "narrow"
	return x.show(status, view.ProductDeletionPage(p, view.ProductDeletion{Frame: frame, Holders: view.Holders(holders), Errors: errs}))
}

func (d *dashboard) deleteProduct(x *exchange) error {
	_, frame, err := x.changesProduct("Settings")
	if err != nil {
		return err
	}
	if x.value("name") != strings.TrimSpace(frame.Name) {
		return x.showProductDeletion(http.StatusUnprocessableEntity, frame, []view.FieldError{{Field: "name", Text: "Type the name of the product as it stands above."}})
	}
	err = d.Registry.Apply(x.Context(), x.by, registry.DeleteProduct{Product: frame.Key, Base: x.base()})
	if err == nil {
		return x.done(productsPath, "Product "+frame.Name+" is deleted.", nil)
	}
	status, errs, err := x.refused(err, "")
	if err != nil {
		return err
	}
	return x.showProductDeletion(status, frame, errs)
}

// routeQuery names a route in an address.
func routeQuery(method, path string) string {
	return "?" + url.Values{"method": {method}, "path": {path}}.Encode()
}
