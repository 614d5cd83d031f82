// Package dashboard serves the web pages: everything that people do with
// Doorward, and the help that every refusal points to.
//
// It hides pages, style, scripts and the headers that protect them. A handler
// returns an error or a page to one writer; every screen is a URL and every
// change a form, so that nothing needs a script. What must stay true: every
// answer, errors and redirects included, carries the whole set of security
// headers; nothing is loaded from elsewhere; a GET changes nothing; what a
// person may do is asked of the registry, never remembered here.
package dashboard

import (
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/signin"
	"github.com/doorward/doorward/internal/usage"
)

// Config says what the Dashboard works with and how it presents itself.
type Config struct {
	Name string // of the installation, in titles; empty = "Doorward"
	URL  string // that people use, e.g. https://dashboard.example

	// Registry, People and Usage belong together; without them there is help
	// alone.
	Registry *registry.Registry
	People   *signin.People
	Usage    *usage.Usage

	Chain   func() journal.ChainState // what is known of the audit chain; nil: nothing
	Process Process

	TokenURL         string // where clients get tokens
	KeySetURL        string // of the public keys of tokens
	APIURL           string // of the API domain
	AccountParameter string // that names the account of a call

	Now  func() time.Time // nil = time.Now
	Rand io.Reader        // nil = crypto/rand
	Log  *slog.Logger     // nil = none
}

// Dashboard answers requests. It is safe for concurrent use.
type Dashboard struct {
	http.Handler
	streams *streams
}

// EndStreams ends the answers that would go on by themselves, before a server
// stops: others are short, and may finish.
func (d *Dashboard) EndStreams() { d.streams.end() }

// New returns the Dashboard.
func New(c Config) *Dashboard {
	if c.Name == "" {
		c.Name = "Doorward"
	}
	if c.Chain == nil {
		c.Chain = func() journal.ChainState { return journal.ChainState{} }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	d := &dashboard{Config: c, assets: loadAssets(), https: strings.HasPrefix(c.URL, "https://"), exports: make(chan struct{}, maxExports), streams: newStreams()}
	return &Dashboard{protect(d.https, d.sameOrigin(d.mux())), d.streams}
}

type dashboard struct {
	Config

	assets  assets
	https   bool
	exports chan struct{} // that run
	streams *streams
}
