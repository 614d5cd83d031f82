package dashboard

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/dashboard/view"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
)

// routesPage is how many routes a page shows; there may be thousands.
const routesPage = 200

// productRoutes lists the routes of a product, and tries a call on them.
func (d *dashboard) productRoutes(x *exchange) error {
	p, frame, err := x.enterProduct("Routes")
	if err != nil {
		return err
	}
	query := x.URL.Query()
	page := view.ProductRoutes{
		Frame: frame, Path: frame.Path + "/routes", Text: strings.TrimSpace(query.Get("q")), Prefix: p.Definition.Prefix, All: len(p.Definition.Routes),
		Method: query.Get("method"), Tried: query.Get("path"),
	}
	for i := range p.Definition.Routes {
		row := routeRow(frame.Path, &p.Definition, &p.Definition.Routes[i])
		if !strings.Contains(strings.ToLower(row.Words+" "+row.Needs), strings.ToLower(page.Text)) {
			continue
		}
		if page.Found++; page.Found <= routesPage {
			page.Rows = append(page.Rows, row)
		}
	}
	if page.Tried != "" {
		page.Verdict = tried(&p.Definition, frame.Path, page.Method, page.Tried)
	}
	return x.show(http.StatusOK, view.ProductRoutesPage(x.productPage(frame), page))
}

func routeRow(path string, d *registry.Definition, r *registry.Route) view.RouteRow {
	return view.RouteRow{Words: routeWords(d, r), Needs: needsWords(r), Public: r.Public, Edit: path + "/routes/edit" + routeQuery(r.Method, r.Path)}
}

// tried says which route a call is of, as the gateway finds it in this version of
// the product.
func tried(d *registry.Definition, path, method, target string) *view.RouteVerdict {
	v := &view.RouteVerdict{}
	method = strings.ToUpper(strings.TrimSpace(method))
	routes, err := access.Compile([]registry.Definition{*d})
	if err != nil {
		v.Text = message(err)
		return v
	}
	parsed, err := access.ParseTarget(strings.TrimSpace(target), "")
	var match access.Match
	if err == nil {
		match, err = routes.Match(method, &parsed)
	}
	if refusal, ok := errors.AsType[*fault.Error](err); ok {
		row, _ := fault.Lookup(refusal.Code)
		v.Code, v.Status, v.Text = string(refusal.Code), row.Status, titleOf(refusal.Detail(), row.Title)
		return v
	}
	if err != nil || match.Route == nil {
		v.Text = "No route of this product takes it."
		return v
	}
	row := routeRow(path, d, match.Route)
	v.Route = &row
	return v
}

// routeForm is a route as a form has it.
func (x *exchange) routeForm() view.RouteForm {
	return view.RouteForm{
		WasMethod: x.value("was_method"), WasPath: x.value("was_path"), Method: x.value("method"), Path: x.value("path"),
		Permissions: x.value("permissions"), Public: x.value("public") != "", Account: x.value("account"), EncodedSlash: x.value("encoded_slash"),
	}
}

func routeFrom(f *view.RouteForm) registry.Route {
	return registry.Route{
		Method: strings.ToUpper(f.Method), Path: f.Path, Permissions: setsOf(f.Permissions), Public: f.Public, Account: f.Account, EncodedSlash: f.EncodedSlash,
	}
}

// productRoute is the form of one route, or of a new one.
func (d *dashboard) productRoute(x *exchange) error {
	p, frame, err := x.enterProduct("Routes")
	if err != nil {
		return err
	}
	form := view.RouteForm{Method: http.MethodGet}
	if query := x.URL.Query(); query.Has("method") || query.Has("path") {
		at := routeAt(&p.Definition, query.Get("method"), query.Get("path"))
		if at < 0 {
			return errNoPage
		}
		r := &p.Definition.Routes[at]
		form = view.RouteForm{
			WasMethod: r.Method, WasPath: r.Path, Method: r.Method, Path: r.Path, Permissions: setsText(r.Permissions), Public: r.Public, Account: r.Account, EncodedSlash: r.EncodedSlash,
		}
	}
	return x.showRoute(http.StatusOK, &p, frame, form, nil)
}

func (x *exchange) showRoute(status int, p *registry.OfferedProduct, frame view.ProductFrame, form view.RouteForm, errs []view.FieldError) error {
	page := view.EditRoute{Frame: frame, Path: frame.Path + "/routes", Prefix: p.Definition.Prefix, Form: form, Errors: errs}
	for _, permission := range p.Definition.Permissions {
		page.Known = append(page.Known, view.Permission{Key: permission.Key, Words: titleOf(permission.Description, permission.Key)})
	}
	w := x.page(page.Title(), frame.Name)
	w.Width = "middle"
	return x.show(status, view.EditRoutePage(w, page))
}

func (d *dashboard) saveRoute(x *exchange) error {
	return x.changeRoute(func(next *registry.Definition, form *view.RouteForm) (string, error) {
		route := routeFrom(form)
		if form.WasPath == "" {
			next.Routes = append(next.Routes, route)
			return "Route " + routeWords(next, &route) + " is added.", nil
		}
		at := routeAt(next, form.WasMethod, form.WasPath)
		if at < 0 {
			return "", fault.Errorf(fault.Conflict, "the route is not there any more: somebody changed the product meanwhile")
		}
		next.Routes[at] = route
		return "Route " + routeWords(next, &route) + " is changed.", nil
	})
}

func (d *dashboard) removeRoute(x *exchange) error {
	return x.changeRoute(func(next *registry.Definition, form *view.RouteForm) (string, error) {
		at := routeAt(next, form.WasMethod, form.WasPath)
		if at < 0 {
			return "", fault.Errorf(fault.Conflict, "the route is not there any more: somebody changed the product meanwhile")
		}
		said := "Route " + routeWords(next, &next.Routes[at]) + " is removed."
		next.Routes = slices.Delete(next.Routes, at, at+1)
		return said, nil
	})
}

func (x *exchange) changeRoute(change func(next *registry.Definition, form *view.RouteForm) (said string, err error)) error {
	p, frame, err := x.changesProduct("Routes")
	if err != nil {
		return err
	}
	form, next := x.routeForm(), copyOf(&p.Definition)
	said, err := change(&next, &form)
	if err == nil {
		err = x.putProduct(&p, next, frame.Path+"/routes", said)
	}
	if err == nil {
		return nil
	}
	status, errs, err := x.refused(err, "path", "method the method", "permissions permission", "account account", "encoded_slash")
	if err != nil {
		return err
	}
	return x.showRoute(status, &p, frame, form, errs)
}
