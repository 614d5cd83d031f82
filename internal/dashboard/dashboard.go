// Package dashboard serves the web pages: everything that people do with
// Doorward, and the help that every refusal points to.
//
// It hides pages, style, scripts and the headers that protect them. A handler
// returns an error or a page to one writer; every screen is a URL and every
// change a form, so that nothing needs a script. What must stay true: every
// answer, errors and redirects included, carries the whole set of security
// headers; nothing is loaded from elsewhere; a GET changes nothing.
package dashboard

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Config says what the Dashboard works with and how it presents itself.
type Config struct {
	Name string           // of the installation, in titles; empty = "Doorward"
	URL  string           // that people use, e.g. https://dashboard.example
	Now  func() time.Time // nil = time.Now
	Log  *slog.Logger     // nil = none
}

// New returns the Dashboard. It is safe for concurrent use.
func New(c Config) http.Handler {
	if c.Name == "" {
		c.Name = "Doorward"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	d := &dashboard{Config: c, assets: loadAssets(), https: strings.HasPrefix(c.URL, "https://")}
	return protect(d.https, d.sameOrigin(d.mux()))
}

type dashboard struct {
	Config

	assets assets
	https  bool
}
