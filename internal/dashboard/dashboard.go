// Package dashboard serves the web pages. So far that is the help: the page of
// error codes that every refusal of the gateway, the management API and the
// token endpoint points to.
//
// It hides pages, style and the headers that protect them. What must stay true:
// every answer, errors and redirects included, carries the whole set of security
// headers; no page needs a script; nothing is loaded from elsewhere.
package dashboard

import (
	"net/http"
	"strings"

	"github.com/a-h/templ"

	"github.com/doorward/doorward/internal/dashboard/view"
)

// Config says how the Dashboard presents itself.
type Config struct {
	Name string // of the installation, in titles; empty = "Doorward"
	URL  string // that people use, e.g. https://dashboard.example
}

// New returns the Dashboard. It is safe for concurrent use.
func New(c Config) http.Handler {
	if c.Name == "" {
		c.Name = "Doorward"
	}
	style := newAsset("app", ".css", "text/css; charset=utf-8", appCSS)
	icon := newAsset("icon", ".svg", "image/svg+xml", iconSVG)
	d := &dashboard{name: c.Name, stylesheet: style.path, icon: icon.path}
	mux := http.NewServeMux()
	mux.Handle(style.path, style.document)
	mux.Handle(icon.path, icon.document)
	mux.Handle(view.HelpErrorsPath, d.helpErrors())
	mux.Handle("/", d.notice(http.StatusNotFound, "Page not found", "There is no page at this address."))
	return protect(strings.HasPrefix(c.URL, "https://"), d.readOnly(mux))
}

type dashboard struct {
	name       string
	stylesheet string // path
	icon       string // path
}

func (d *dashboard) page(title string) view.Page {
	return view.Page{Title: title, Site: d.name, Stylesheet: d.stylesheet, Icon: d.icon}
}

func (d *dashboard) notice(status int, title, text string) http.Handler {
	return newPage(status, view.Notice(d.page(title), text))
}

// readOnly lets only those methods through that change nothing: there is no
// form yet.
func (d *dashboard) readOnly(next http.Handler) http.Handler {
	refusal := d.notice(http.StatusMethodNotAllowed, "Method not allowed", "This page can be read, but nothing can be sent to it.")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Allow", "GET, HEAD")
		refusal.ServeHTTP(w, r)
	})
}

func newPage(status int, content templ.Component) *document {
	return newDocument(status, "text/html; charset=utf-8", "no-cache", rendered(content))
}
