// Package servertest starts the whole platform on loopback listeners, for
// tests that look at it from outside.
package servertest

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/demo"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
	"github.com/doorward/doorward/tokensource"
)

// Platform is a running server with one organisation, two accounts and the
// sample products behind it.
type Platform struct {
	t testing.TB

	URL          string // of the API domain
	DashboardURL string
	OpsURL       string
	OperatorURL  string // where clients of the operator call the management API
	Server       *server.Server
	Organisation id.Organisation
	Sandbox      id.Account
	Production   id.Account
	Config       server.Config // that it runs with

	logs lines
	stop func() error
}

// lines are what the server logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write adds to the log.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// Logs returns what the server logged so far, at every level.
func (p *Platform) Logs() string {
	p.logs.mu.Lock()
	defer p.logs.mu.Unlock()
	return p.logs.text.String()
}

// Start starts a platform on a fresh SQLite database, or on what change sets
// the configuration to. A PublicURL is kept; else it is that of the API
// listener. It stops with the test.
func Start(t testing.TB, change ...func(*server.Config)) *Platform {
	t.Helper()
	folder := t.TempDir()
	config := server.Config{
		APIListen: "127.0.0.1:0", DashboardListen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", ManagementListen: "127.0.0.1:0",
		Database: sqldbtest.Migrated(t, "sqlite"), AccessLog: "off",
	}
	config.KeyEncryptionKey.File = filepath.Join(folder, "key")
	if _, err := secret.CreateKeyEncryptionKey(config.KeyEncryptionKey.File, rand.Reader); err != nil {
		t.Fatal(err)
	}
	echo := httptest.NewServer(demo.NewEcho(""))
	t.Cleanup(echo.Close)
	authentication := httptest.NewServer(demo.NewAuthentication(demo.AuthenticationConfig{Rand: rand.Reader}))
	t.Cleanup(authentication.Close)
	config.Products = demo.Definitions(authentication.URL, echo.URL)
	for _, f := range change {
		f(&config)
	}
	p := &Platform{t: t}
	p.run(config)
	p.seed()
	return p
}

// Node starts another server on the platform's database, with the same keys,
// for the same API domain. It stops with the test.
func (p *Platform) Node(change ...func(*server.Config)) *Platform {
	p.t.Helper()
	config := p.Config
	for _, f := range change {
		f(&config)
	}
	node := &Platform{t: p.t, Organisation: p.Organisation, Sandbox: p.Sandbox, Production: p.Production}
	node.run(config)
	return node
}

// On is a change for Start: the URL of a migrated database.
func On(databaseURL string) func(*server.Config) {
	return func(c *server.Config) { c.Database = databaseURL }
}

// OperatorsApart is a change for Start: clients of the operator call the
// management API on a listener of its own, at OperatorURL.
func OperatorsApart(c *server.Config) { c.ManagementListen = "localhost:0" }

func (p *Platform) run(config server.Config) {
	p.t.Helper()
	listeners, err := config.Listen(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	scheme := "http://"
	if config.TLS.CertificateFile != "" {
		scheme = "https://"
	}
	p.URL, p.DashboardURL = scheme+listeners.API.Addr().String(), scheme+listeners.Dashboard.Addr().String()
	p.OpsURL, p.OperatorURL = "http://"+listeners.Ops.Addr().String(), p.URL
	if listeners.Management != nil {
		p.OperatorURL = scheme + listeners.Management.Addr().String()
	}
	if config.PublicURL == "" {
		config.PublicURL = p.URL
	}
	config.DashboardURL = p.DashboardURL
	p.Config = config
	logger := slog.New(slog.NewJSONHandler(&p.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p.Server, err = server.Open(p.t.Context(), config, logger)
	if err != nil {
		listeners.Close()
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Server.Serve(ctx, listeners) }()
	p.stop = func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	p.t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			p.t.Errorf("stop the platform: %v", err)
		}
		if err := p.Server.Close(); err != nil {
			p.t.Errorf("close the platform: %v", err)
		}
	})
}

// Stop stops serving, as a signal would, and waits for the end.
func (p *Platform) Stop() error { return p.stop() }

func (p *Platform) seed() {
	p.t.Helper()
	r, ctx := p.Server.Registry(), p.t.Context()
	var err error
	if p.Organisation, err = r.CreateOrganisation(ctx, actor.NewSystem("test"), "Test"); err != nil {
		p.t.Fatal(err)
	}
	for env, account := range map[id.Environment]*id.Account{id.Sandbox: &p.Sandbox, id.Production: &p.Production} {
		if *account, err = r.CreateAccount(ctx, p.Operator(), env, string(env)); err != nil {
			p.t.Fatal(err)
		}
	}
}

// Operator returns an actor that may do everything, in the organisation.
func (p *Platform) Operator() actor.Actor { return actor.NewSystem("test").In(p.Organisation) }

// Apply makes edits as the operator and puts them in force.
func (p *Platform) Apply(edits ...registry.Edit) {
	p.t.Helper()
	if err := p.Server.Registry().Apply(p.t.Context(), p.Operator(), edits...); err != nil {
		p.t.Fatal(err)
	}
}

// Client is an API client with a secret.
type Client struct {
	ID     id.Client
	Secret id.Secret
	Value  string // the client secret
}

// NewClient makes a client of the sandbox account with these permissions.
func (p *Platform) NewClient(permissions ...string) Client {
	p.t.Helper()
	return p.NewClientOf(p.Sandbox, permissions...)
}

// NewClientOf makes a client of an account with these permissions.
func (p *Platform) NewClientOf(account id.Account, permissions ...string) Client {
	p.t.Helper()
	r, ctx := p.Server.Registry(), p.t.Context()
	key, err := r.CreateClient(ctx, p.Operator(), registry.NewClient{Account: account, Name: rand.Text()})
	if err != nil {
		p.t.Fatal(err)
	}
	if len(permissions) > 0 {
		p.Apply(registry.AddPermissions{Client: key, Permissions: permissions})
	}
	public, value, err := r.AddSecret(ctx, p.Operator(), key, "first", time.Time{})
	if err != nil {
		p.t.Fatal(err)
	}
	return Client{ID: key, Secret: public, Value: value.Reveal()}
}

// TokenURL is the token endpoint.
func (p *Platform) TokenURL() string { return p.URL + "/auth/open/connect/token" }

// Source returns a token source of the client.
func (p *Platform) Source(c Client) *tokensource.Source {
	p.t.Helper()
	source, err := tokensource.New(tokensource.Config{TokenURL: p.TokenURL(), ClientID: string(c.ID), ClientSecret: tokensource.Secret(c.Value)})
	if err != nil {
		p.t.Fatal(err)
	}
	return source
}
