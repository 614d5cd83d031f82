package gateway_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/gateway"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/metrics"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

const (
	issuer    = "https://api.example/auth/open"
	publicURL = "https://api.example"
	helpURL   = "https://dashboard.example/help/errors"
	parameter = "signicat-accountId"
)

// world is a gateway on a real listener, in front of a recording upstream,
// with decisions over a real registry.
type world struct {
	t        testing.TB
	registry *registry.Registry
	access   *access.Access
	gateway  *gateway.Gateway
	upstream *upstream
	address  string // of the gateway
	metrics  metrics.Registry
	accesses *lines
	errors   *lines

	mu         sync.Mutex
	keys       map[string]*jwt.PublicKey
	signing    map[string]*jwt.PrivateKey // by environment
	assertions atomic.Pointer[jwt.PrivateKey]
	offset     atomic.Int64

	operator     actor.Actor
	organisation id.Organisation
	sandbox      id.Account
	production   id.Account
	other        id.Account // of another organisation, in the sandbox

	client     id.Client // sandbox; p1.read, p2.read
	narrow     id.Client // sandbox; p1.read
	live       id.Client // production; p1.read
	ours       id.Client // of the organisation; p1.read
	theirs     id.Client // of the other organisation, sandbox; p1.read
	superuser  id.Client // of the operator; p1.read
	secretsFor map[id.Client]id.Secret
}

type option func(*gateway.Config, *http.Server)

func newWorld(t testing.TB, options ...option) *world {
	t.Helper()
	w := &world{t: t, keys: map[string]*jwt.PublicKey{}, signing: map[string]*jwt.PrivateKey{}, secretsFor: map[id.Client]id.Secret{}, accesses: &lines{}, errors: &lines{}}
	w.upstream = newUpstream(t)
	db := sqldbtest.New(t)
	mint, err := secret.NewMint(make([]byte, secret.KeySize))
	w.must(err)
	w.registry = registry.New(registry.Config{DB: db, Now: w.now, Rand: rand.Reader, Mint: mint, IssuerPath: "/auth/open"})
	w.fill()
	w.newKey("sandbox-1", jwt.UseAccessToken, jwt.Sandbox)
	w.newKey("production-1", jwt.UseAccessToken, jwt.Production)
	w.newKey("assertion-1", jwt.UseAssertion, "")

	log := slog.New(slog.NewTextHandler(w.errors, nil))
	w.access, err = access.New(t.Context(), access.Config{
		Registry: w.registry, DB: db, Now: w.now, Log: log, Keys: w.key, ReloadKeys: func(context.Context) error { return nil },
		Issuer: issuer, Audience: publicURL, Scope: "signicat-api", AccountParameter: parameter,
		OrganisationParameter: "signicat-organizationId", OrganisationHeader: "Signicat-OrganizationId", StaleLimit: 24 * time.Hour,
	})
	w.must(err)
	config := gateway.Config{
		Access: w.access, AssertionSigner: w.assertions.Load, Issuer: issuer, PublicURL: publicURL, HelpURL: helpURL,
		Now: w.now, Rand: rand.Reader, Log: log, AccessLog: w.accesses, Metrics: gateway.NewMetrics(&w.metrics),
	}
	// What package server sets on the API listener.
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	for _, o := range options {
		o(&config, server)
	}
	w.gateway, err = gateway.New(config)
	w.must(err)
	if server.Handler == nil {
		server.Handler = w.gateway
	}
	w.serve(server)
	return w
}

func (w *world) serve(server *http.Server) {
	w.t.Helper()
	listener := listen(w.t)
	w.address = listener.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		err := error(nil)
		if server.TLSConfig != nil {
			err = server.ServeTLS(listener, "", "")
		} else {
			err = server.Serve(listener)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			w.t.Errorf("serve: %v", err)
		}
	})
	w.t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
		w.gateway.Close()
	})
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.offset.Load())) }

func (w *world) pass(d time.Duration) { w.offset.Add(int64(d)) }

// apply makes edits by the operator in the organisation, and brings them into force.
func (w *world) apply(edits ...registry.Edit) {
	w.t.Helper()
	w.must(w.registry.Apply(w.t.Context(), w.operator.In(w.organisation), edits...))
	if w.access != nil {
		w.must(w.access.Refresh(w.t.Context()))
	}
}

func (w *world) fill() {
	w.operator = actor.NewSystem("test")
	elsewhere := id.NewOrganisation(rand.Reader)
	w.organisation = id.NewOrganisation(rand.Reader)
	w.sandbox, w.production = id.NewAccount(rand.Reader, id.Sandbox), id.NewAccount(rand.Reader, id.Production)
	w.other = id.NewAccount(rand.Reader, id.Sandbox)
	for _, d := range products(w.upstream.url()) {
		w.apply(registry.PutProduct{Definition: d, Source: registry.Managed})
	}
	w.apply(registry.CreateOrganisation{ID: w.organisation, Name: "A"}, registry.CreateOrganisation{ID: elsewhere, Name: "B"})
	w.apply(registry.CreateAccount{ID: w.sandbox, Name: "A sandbox"}, registry.CreateAccount{ID: w.production, Name: "A production"},
		registry.GrantProduct{Product: "p1", Environment: id.Production})
	w.client = w.newClient(w.operator.In(w.organisation), "sandbox-round-apple-101", w.sandbox, "p1.read", "p2.read")
	w.narrow = w.newClient(w.operator.In(w.organisation), "sandbox-round-apple-102", w.sandbox, "p1.read")
	w.live = w.newClient(w.operator.In(w.organisation), "prod-round-apple-103", w.production, "p1.read")
	w.ours = w.newClient(w.operator.In(w.organisation), "org-round-apple-104", "", "p1.read")
	w.must(w.registry.Apply(w.t.Context(), w.operator.In(elsewhere), registry.CreateAccount{ID: w.other, Name: "B sandbox"}))
	w.theirs = w.newClient(w.operator.In(elsewhere), "sandbox-round-apple-105", w.other, "p1.read")
	w.superuser = w.newClient(w.operator, "op-round-apple-106", "", "p1.read")
}

func (w *world) newClient(by actor.Actor, key id.Client, account id.Account, permissions ...string) id.Client {
	w.t.Helper()
	public := id.NewSecret(rand.Reader)
	w.secretsFor[key] = public
	w.must(w.registry.Apply(w.t.Context(), by,
		registry.CreateClient{ID: key, Account: account, Name: string(key)},
		registry.AddPermissions{Client: key, Permissions: permissions},
		registry.AddSecret{Client: key, ID: public, Name: "s", Digest: secret.DigestOf(secret.NewPlaintext(string(public)))}))
	return key
}

func products(upstream string) []registry.Definition {
	at := map[id.Environment]string{id.Sandbox: upstream, id.Production: upstream}
	read, admin := [][]string{{"p1.read"}}, [][]string{{"p1.admin"}}
	customers := func(keys ...string) (all []registry.Permission) {
		for _, key := range keys {
			all = append(all, registry.Permission{Key: key, Assignable: registry.ByCustomer})
		}
		return all
	}
	guarded := func(key, prefix string, access registry.Access, at map[id.Environment]string, routes ...registry.Route) registry.Definition {
		return registry.Definition{Key: key, Name: key, Prefix: prefix, Visibility: registry.Published, SandboxAccess: registry.Open, ProductionAccess: access, Upstreams: at, Permissions: customers(key+".read", key+".admin"), Routes: routes}
	}
	return []registry.Definition{
		guarded("p1", "/p1", registry.Granted, at,
			registry.Route{Method: "GET", Path: "/public", Public: true},
			registry.Route{Method: "POST", Path: "/public", Public: true},
			registry.Route{Method: "GET", Path: "/secret", Permissions: admin},
			registry.Route{Method: "GET", Path: "/x", Permissions: read},
			registry.Route{Method: "POST", Path: "/x", Permissions: read},
			registry.Route{Method: "GET", Path: "/things/{id}", Permissions: read},
			registry.Route{Method: "GET", Path: "/accounts/{account}", Permissions: read, Account: "path:account"},
			registry.Route{Method: "GET", Path: "/none", Permissions: read, Account: "none"},
			registry.Route{Method: "GET", Path: "/blobs/{name}", Permissions: read, EncodedSlash: "name"},
			registry.Route{Method: "*", Path: "/any/{rest...}", Permissions: read}),
		guarded("p2", "/p2", registry.Open, map[id.Environment]string{id.Sandbox: upstream + "/base/v%201/"},
			registry.Route{Method: "GET", Path: "/x", Permissions: [][]string{{"p2.read"}}},
			registry.Route{Method: "GET", Path: "/", Permissions: [][]string{{"p2.read"}}},
			registry.Route{Method: "OPTIONS", Path: "/cors", Permissions: [][]string{{"p2.read"}}}),
		guarded("dots", "/p.1/é", registry.Open, at, registry.Route{Method: "GET", Path: "/{rest...}", Public: true}),
	}
}

func (w *world) newKey(kid string, use jwt.Use, environment string) {
	w.t.Helper()
	key, err := jwt.GenerateKey(jwt.ES256, kid, use, environment)
	w.must(err)
	public := key.Public()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys[kid] = &public
	if use == jwt.UseAssertion {
		w.assertions.Store(key)
	} else {
		w.signing[environment] = key
	}
}

func (w *world) key(kid string) (*jwt.PublicKey, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key, ok := w.keys[kid]
	return key, ok
}

// claims are those of a good token of the client.
func (w *world) claims(client id.Client) *jwt.Claims {
	w.t.Helper()
	h, err := w.access.Holder(context.Background(), client)
	w.must(err)
	now := w.now()
	return &jwt.Claims{
		Issuer: issuer, Audience: publicURL, Subject: string(client), ClientID: string(client), ID: rand.Text(), Scope: "signicat-api",
		IssuedAt: now.Unix(), NotBefore: now.Unix(), Expiry: now.Add(time.Hour).Unix(),
		AccountID: string(h.Client.Account), OrganisationID: string(h.Client.Organisation), Sandbox: h.Client.Environment() == id.Sandbox,
		SecretID: string(w.secretsFor[client]), Generation: h.Generation(),
	}
}

// token is a good one of the client.
func (w *world) token(client id.Client) string {
	w.t.Helper()
	claims := w.claims(client)
	key := w.signing[jwt.Production]
	if claims.Sandbox {
		key = w.signing[jwt.Sandbox]
	}
	return w.sign(key, claims)
}

func (w *world) sign(key *jwt.PrivateKey, claims *jwt.Claims) string {
	w.t.Helper()
	token, err := key.Sign(nil, jwt.TypeAccessToken, claims)
	w.must(err)
	return string(token)
}

// assertion verifies what an upstream got.
func (w *world) assertion(token, product string) *jwt.Claims {
	w.t.Helper()
	claims, err := jwt.Verify(token, w.key, jwt.Expected{Type: jwt.TypeAssertion, Issuer: issuer, Audience: product, Now: w.now()})
	if err != nil {
		w.t.Fatalf("assertion %q: %v", token, err)
	}
	return claims
}

// lines keeps what is written to it.
type lines struct {
	mu    sync.Mutex
	text  bytes.Buffer
	again chan struct{} // closed by the next write
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.again != nil {
		close(l.again)
		l.again = nil
	}
	return l.text.Write(p)
}

// writtenAfter waits for a write, unless the text is longer than that already.
func (l *lines) writtenAfter(length int) bool {
	l.mu.Lock()
	if l.text.Len() > length {
		l.mu.Unlock()
		return true
	}
	if l.again == nil {
		l.again = make(chan struct{})
	}
	again := l.again
	l.mu.Unlock()
	select {
	case <-again:
		return true
	case <-time.After(deadline):
		return false
	}
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
