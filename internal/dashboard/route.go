package dashboard

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// handler answers a request by its exchange, or returns why not.
type handler func(x *exchange) error

// route is an address and what is done there.
type route struct {
	method, pattern string
	handle          handler
}

// Route is an address that the Dashboard answers, as tests list them.
type Route struct{ Method, Pattern string }

// Routes returns every address in a fixed order.
func Routes() []Route {
	var list []Route
	for _, r := range new(dashboard).routes() {
		list = append(list, Route{r.method, r.pattern})
	}
	return list
}

// routes is the map of the Dashboard.
func (d *dashboard) routes() []route {
	return []route{
		{"GET", "/{$}", d.root},
		{"GET", "/help", d.help},
		{"GET", "/help/api", d.helpAPI},
		{"GET", "/help/errors", d.helpErrors},
		{"GET", "/help/keys", d.helpKeys},
		{"GET", "/styleguide", d.styleguide},
		{"POST", "/theme", d.setTheme},
	}
}

// mux serves the routes and the assets; what is none is an error page.
func (d *dashboard) mux() http.Handler {
	mux := http.NewServeMux()
	for _, a := range d.assets.all {
		mux.Handle("GET "+a.path, a.document)
	}
	byPattern := map[string]methods{}
	for _, r := range d.routes() {
		if byPattern[r.pattern] == nil {
			byPattern[r.pattern] = methods{}
		}
		byPattern[r.pattern][r.method] = r.handle
	}
	for pattern, m := range byPattern {
		mux.Handle(pattern, d.serve(m.dispatch))
	}
	mux.Handle("/", d.serve(func(*exchange) error { return errNoPage }))
	return mux
}

// methods are the handlers of one address.
type methods map[string]handler

func (m methods) dispatch(x *exchange) error {
	method := x.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	handle, ok := m[method]
	if !ok {
		x.w.Header().Set("Allow", m.allow())
		return errNoMethod
	}
	if method == http.MethodPost {
		if err := x.readForm(); err != nil {
			return err
		}
	}
	return handle(x)
}

func (m methods) allow() string {
	all := slices.Sorted(maps.Keys(m))
	if m[http.MethodGet] != nil {
		all = append(all, http.MethodHead)
	}
	return strings.Join(all, ", ")
}
