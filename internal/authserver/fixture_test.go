package authserver_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/authserver"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
	"github.com/doorward/doorward/internal/throttle"
)

const (
	publicURL  = "https://api.example.com"
	issuerPath = "/auth/open"
	issuer     = publicURL + issuerPath
	scope      = "signicat-api"
	helpURL    = "https://dashboard.example.com/help/errors"

	tokenPath      = issuerPath + "/connect/token"
	introspectPath = issuerPath + "/connect/introspect"
	revokePath     = issuerPath + "/connect/revocation"
)

// keys are made once: they are not what is tested.
var keys = sync.OnceValue(func() map[id.Environment]*jwt.PrivateKey {
	made := map[id.Environment]*jwt.PrivateKey{}
	for _, env := range []id.Environment{id.Sandbox, id.Production} {
		key, err := jwt.GenerateKey(jwt.ES256, string(env)+"-signing-key-0123456789", jwt.UseAccessToken, string(env))
		if err != nil {
			panic(err)
		}
		made[env] = key
	}
	return made
})

// world is an installation with two organisations and their clients.
type world struct {
	t      testing.TB
	db     *sqldb.DB
	reg    *registry.Registry
	access *access.Access
	mint   *secret.Mint
	server *authserver.Server
	now    time.Time

	organisationA, organisationB id.Organisation
	sandboxA, productionA        id.Account
	productionB                  id.Account
	a1, b1, s1                   credentials // production of A and B, sandbox of A

	seen []authserver.Observation
	log  bytes.Buffer
}

type credentials struct {
	id       id.Client
	secretID id.Secret
	secret   string
}

var system = actor.NewSystem("test")

func newWorld(t testing.TB, db *sqldb.DB, change ...func(*authserver.Config)) *world {
	t.Helper()
	w := &world{t: t, db: db, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return w.now }
	w.mint, _ = secret.NewMint(bytes.Repeat([]byte{7}, secret.KeySize))
	w.reg = registry.New(registry.Config{DB: db, Now: clock, Rand: rand.Reader, Mint: w.mint, IssuerPath: issuerPath})
	w.populate()
	var err error
	w.access, err = access.New(t.Context(), access.Config{
		Registry: w.reg, DB: db, Now: clock, Log: slog.New(slog.DiscardHandler),
		Keys: publicKey, ReloadKeys: func(context.Context) error { return nil },
		Issuer: issuer, Audience: publicURL, Scope: scope, StaleLimit: time.Minute,
	})
	w.must(err)
	config := authserver.Config{
		Access: w.access, Registry: w.reg, Mint: w.mint,
		Signer:     func(env id.Environment) *jwt.PrivateKey { return keys()[env] },
		JWKSet:     jwkSet,
		Algorithms: []jwt.Algorithm{jwt.ES256},
		PublicURL:  publicURL, IssuerPath: issuerPath, Scope: scope, HelpURL: helpURL,
		Failures: throttle.NewFailures(throttle.Config{PerClient: -1, PerAddress: -1, Now: clock}),
		Now:      clock, Rand: rand.Reader,
		Observe: func(o authserver.Observation) { w.seen = append(w.seen, o) },
		Log:     slog.New(slog.NewTextHandler(&w.log, nil)),
	}
	for _, c := range change {
		c(&config)
	}
	w.server, err = authserver.New(config)
	w.must(err)
	return w
}

func publicKey(kid string) (*jwt.PublicKey, bool) {
	for _, key := range keys() {
		if public := key.Public(); public.ID == kid {
			return &public, true
		}
	}
	return nil, false
}

func jwkSet() ([]byte, string) {
	body, err := jwt.AppendJWKSet(nil, []jwt.PublicKey{keys()[id.Sandbox].Public(), keys()[id.Production].Public()})
	if err != nil {
		panic(err)
	}
	return body, `"the-set"`
}

func (w *world) populate() {
	w.must(w.reg.PutProducts(w.t.Context(), system, registry.Declared, registry.Definition{
		Key: "echo", Name: "Echo", Prefix: "/echo", ProductionAccess: registry.Open,
		Upstreams:   map[id.Environment]string{id.Sandbox: "http://127.0.0.1:1", id.Production: "http://127.0.0.1:1"},
		Permissions: []registry.Permission{{Key: "echo.call"}, {Key: "echo.read"}, {Key: "echo.write"}},
		Routes:      []registry.Route{{Method: "*", Path: "/{rest...}", Permissions: [][]string{{"echo.call"}}}},
	}))
	w.must(w.reg.PutProducts(w.t.Context(), system, registry.Builtin, registry.Definition{
		Key: "management", Name: "Management", Prefix: "/management/v1", ProductionAccess: registry.Open,
		Permissions: []registry.Permission{{Key: "management.token.read", Assignable: registry.ByOperator}},
	}))
	var err error
	w.organisationA, err = w.reg.CreateOrganisation(w.t.Context(), system, "A")
	w.must(err)
	w.organisationB, err = w.reg.CreateOrganisation(w.t.Context(), system, "B")
	w.must(err)
	w.productionA = w.account(w.organisationA, id.Production)
	w.sandboxA = w.account(w.organisationA, id.Sandbox)
	w.productionB = w.account(w.organisationB, id.Production)
	w.a1 = w.client(w.organisationA, w.productionA, "a1", "echo.call", "echo.read")
	w.b1 = w.client(w.organisationB, w.productionB, "b1", "echo.call")
	w.s1 = w.client(w.organisationA, w.sandboxA, "s1", "echo.call")
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) account(organisation id.Organisation, env id.Environment) id.Account {
	w.t.Helper()
	account, err := w.reg.CreateAccount(w.t.Context(), system.In(organisation), env, rand.Text())
	w.must(err)
	return account
}

// client makes one with a secret; no account makes it the organisation's, no
// organisation the operator's.
func (w *world) client(organisation id.Organisation, account id.Account, name string, permissions ...string) credentials {
	w.t.Helper()
	by := system.In(organisation)
	key, err := w.reg.CreateClient(w.t.Context(), by, registry.NewClient{Account: account, Name: name})
	w.must(err)
	if len(permissions) > 0 {
		w.must(w.reg.Apply(w.t.Context(), by, registry.AddPermissions{Client: key, Permissions: permissions}))
	}
	return w.secret(organisation, key, time.Time{})
}

func (w *world) secret(organisation id.Organisation, client id.Client, expires time.Time) credentials {
	w.t.Helper()
	secretID, plaintext, err := w.reg.AddSecret(w.t.Context(), system.In(organisation), client, "one", expires)
	w.must(err)
	return credentials{client, secretID, plaintext.Reveal()}
}

// apply makes changes that are in force when it returns.
func (w *world) apply(organisation id.Organisation, edits ...registry.Edit) {
	w.t.Helper()
	w.must(w.reg.Apply(w.t.Context(), system.In(organisation), edits...))
	w.must(w.access.Refresh(w.t.Context()))
}

// request is a POST of a form, with what a test changes of it.
func request(path, body string, change ...func(*http.Request)) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range change {
		c(r)
	}
	return r
}

func basic(id, secret string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(id, secret) }
}

func header(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
}

func from(address string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(address), 4711).String() }
}

// form is client credentials in the body, and more parameters.
func (c credentials) form(more ...string) string {
	return strings.Join(append([]string{"client_id=" + string(c.id), "client_secret=" + c.secret}, more...), "&")
}

func (c credentials) tokenForm(more ...string) string {
	return c.form(append([]string{"grant_type=client_credentials"}, more...)...)
}

// answer is a response with what tests look at.
type answer struct {
	*http.Response
	body string

	Error       string `json:"error"`
	Description string `json:"error_description"`
	URI         string `json:"error_uri"`
	Token       string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"`
	Type        string `json:"token_type"`
	Scope       string `json:"scope"`
}

func (w *world) do(r *http.Request) *answer {
	w.t.Helper()
	recorder := httptest.NewRecorder()
	w.server.ServeHTTP(recorder, r)
	return read(w.t, recorder.Result())
}

func read(t testing.TB, response *http.Response) *answer {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := &answer{Response: response, body: string(body)}
	if len(body) > 0 {
		if err := json.Unmarshal(body, a); err != nil {
			t.Errorf("the answer %q is not JSON: %v", body, err)
		}
	}
	return a
}

// token is an access token of those credentials.
func (w *world) token(c credentials, more ...string) string {
	w.t.Helper()
	a := w.do(request(tokenPath, c.tokenForm(more...)))
	if a.StatusCode != http.StatusOK {
		w.t.Fatalf("no token: %d %s", a.StatusCode, a.body)
	}
	return a.Token
}

// issued fails the test unless the request gets a token.
func (w *world) issued(t testing.TB, r *http.Request) *answer {
	t.Helper()
	a := w.do(r)
	if a.StatusCode != http.StatusOK || a.Token == "" {
		t.Errorf("answer = %d %s, want a token", a.StatusCode, a.body)
	}
	return a
}

// refused fails the test unless the request gets that error, in the form that
// all errors have.
func (w *world) refused(t testing.TB, r *http.Request, status int, code string) *answer {
	t.Helper()
	a := w.do(r)
	if a.StatusCode != status || a.Error != code || a.Token != "" {
		t.Errorf("answer = %d %s, want %d %s", a.StatusCode, a.body, status, code)
	}
	checkError(t, a)
	return a
}

func introspected(t testing.TB, a *answer) map[string]any {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(a.body), &members); err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("answer = %d %s, want an introspection", a.StatusCode, a.body)
	}
	return members
}

func newSQLiteWorld(t testing.TB, change ...func(*authserver.Config)) *world {
	t.Helper()
	return newWorld(t, sqldbtest.New(t), change...)
}

func formEncoded(text string) string { return url.QueryEscape(text) }

// percent escapes every byte, letters too.
func percent(text string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		b.Write([]byte{'%', hex[text[i]>>4], hex[text[i]&15]})
	}
	return b.String()
}
