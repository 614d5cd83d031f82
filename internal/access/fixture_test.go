package access

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

const (
	testIssuer     = "https://api.example/auth/open"
	testAudience   = "https://api.example"
	testScope      = "signicat-api"
	testParameter  = "signicat-accountId"
	unknownAccount = id.Account("a-p-00000000000000000000")
)

// fixture is a registry with the organisations A and B of the security
// catalogue, and an Access over it.
type fixture struct {
	*registry.Registry
	t      testing.TB
	access *Access
	clock  *testClock
	keys   *keyring

	operator    actor.Actor
	orgA, orgB  id.Organisation
	sandboxA    id.Account
	productionA id.Account
	productionB id.Account
	a1, a2, b1  *caller // production; a2 has P2 too, and may write
	s1          *caller // sandbox
	orgClient   *caller // of organisation A
	opClient    *caller // of the operator
}

// caller is a client with a secret.
type caller struct {
	id           id.Client
	secret       id.Secret
	organisation id.Organisation
	account      id.Account
}

type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// keyring has keys by name; those of the names in published verify.
type keyring struct {
	mu        sync.Mutex
	private   map[string]*jwt.PrivateKey
	published map[string]*jwt.PublicKey
}

// testKeys are made once: they are read only. "forged" has the id of the
// production key, "retired" is not published, "swapped" signs for the sandbox and
// is published for production.
var testKeys = sync.OnceValue(func() map[string]*jwt.PrivateKey {
	keys := map[string]*jwt.PrivateKey{}
	for name, k := range map[string]struct{ kid, environment string }{
		"sandbox":    {"sandbox", jwt.Sandbox},
		"production": {"production", jwt.Production},
		"forged":     {"production", jwt.Production},
		"retired":    {"retired", jwt.Production},
		"swapped":    {"swapped", jwt.Sandbox},
	} {
		key, err := jwt.GenerateKey(jwt.ES256, k.kid, jwt.UseAccessToken, k.environment)
		if err != nil {
			panic(err)
		}
		keys[name] = key
	}
	return keys
})

func newKeyring() *keyring {
	k := &keyring{private: testKeys(), published: map[string]*jwt.PublicKey{}}
	k.publish("sandbox")
	k.publish("production")
	k.publish("swapped")
	k.published["swapped"].Environment = jwt.Production
	return k
}

func (k *keyring) publish(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	public := k.private[name].Public()
	k.published[public.ID] = &public
}

func (k *keyring) withdraw(kid string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.published, kid)
}

func (k *keyring) find(kid string) (*jwt.PublicKey, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.published[kid]
	return key, ok
}

func newFixture(t testing.TB, db *sqldb.DB) *fixture {
	t.Helper()
	f := &fixture{t: t, clock: &testClock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}, keys: newKeyring()}
	mint, err := secret.NewMint(make([]byte, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	f.Registry = registry.New(registry.Config{DB: db, Now: f.clock.Now, Rand: rand.Reader, Mint: mint, IssuerPath: "/auth/open"})
	f.operator = actor.NewPerson("p-operator", "", "s-operator", actor.RoleGrant{Role: actor.OperatorAdmin}).Proven(actor.Proof{SecondFactor: true, Recent: true, Verified: true})
	for _, d := range testProducts() {
		f.must(f.operator, registry.PutProduct{Definition: d, Source: registry.Managed})
	}
	f.orgA, f.orgB = f.organisation(), f.organisation()
	f.sandboxA, f.productionA = f.account(f.orgA, id.Sandbox), f.account(f.orgA, id.Production)
	f.productionB = f.account(f.orgB, id.Production)
	f.must(f.operator.In(f.orgA), registry.GrantProduct{Product: "p2", Environment: id.Production})
	f.a1 = f.client(f.orgA, f.productionA, "p1.read")
	f.a2 = f.client(f.orgA, f.productionA, "p1.read", "p1.write", "p2.read")
	f.b1 = f.client(f.orgB, f.productionB, "p1.read")
	f.s1 = f.client(f.orgA, f.sandboxA, "p1.read", "trial.call")
	f.orgClient = f.client(f.orgA, "", "p1.read", "p2.read", "trial.call")
	f.opClient = f.client("", "", "p1.read", "p2.read", "trial.call")
	f.access = f.node(db)
	return f
}

// node returns one more Access over a handle of the same database.
func (f *fixture) node(db *sqldb.DB) *Access {
	f.t.Helper()
	r := *f.Registry
	r.DB = db
	a, err := New(f.t.Context(), Config{
		Registry: &r, DB: db, Now: f.clock.Now, Keys: f.keys.find, ReloadKeys: func(context.Context) error { return nil },
		Issuer: testIssuer, Audience: testAudience, Scope: testScope, AccountParameter: testParameter,
		OrganisationParameter: "signicat-organizationId", OrganisationHeader: "Signicat-OrganizationId",
		StaleLimit: time.Minute,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return a
}

// each runs a test once per engine.
func each(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	t.Parallel()
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) { test(t, newFixture(t, db)) })
}

func testProducts() []registry.Definition {
	both := map[id.Environment]string{id.Sandbox: "http://sandbox.example", id.Production: "https://production.example"}
	read := [][]string{{"p1.read"}}
	return []registry.Definition{
		{
			Key: "p1", Name: "P1", Prefix: "/p1", Upstreams: both,
			Permissions: []registry.Permission{{Key: "p1.read"}, {Key: "p1.write"}, {Key: "p1.staff", Assignable: registry.ByOperator}},
			Routes: []registry.Route{
				{Method: "GET", Path: "/things", Permissions: read},
				{Method: "POST", Path: "/things", Permissions: [][]string{{"p1.write"}}},
				{Method: "PUT", Path: "/things", Permissions: [][]string{{"p1.write"}}},
				{Method: "PATCH", Path: "/things", Permissions: [][]string{{"p1.write"}}},
				{Method: "DELETE", Path: "/things", Permissions: [][]string{{"p1.write"}}},
				{Method: "OPTIONS", Path: "/things", Permissions: [][]string{{"p1.write"}}},
				{Method: "GET", Path: "/either", Permissions: [][]string{{"p1.read", "p1.write"}, {"p1.staff"}}},
				{Method: "GET", Path: "/open", Public: true},
				{Method: "GET", Path: "/none", Permissions: read, Account: "none"},
				{Method: "GET", Path: "/accounts/{account}/things", Permissions: read, Account: "path:account"},
				{Method: "GET", Path: "/header", Permissions: read, Account: "header:X-Account"},
			},
		},
		{
			Key: "p2", Name: "P2", Prefix: "/p2", Upstreams: both, SandboxAccess: registry.Granted,
			Permissions: []registry.Permission{{Key: "p2.read"}},
			Routes:      []registry.Route{{Method: "GET", Path: "/", Permissions: [][]string{{"p2.read"}}}},
		},
		{
			Key: "trial", Name: "Trial", Prefix: "/trial", Upstreams: both, Visibility: registry.SandboxOnly, ProductionAccess: registry.Open,
			Permissions: []registry.Permission{{Key: "trial.call"}},
			Routes:      []registry.Route{{Method: "GET", Path: "/", Permissions: [][]string{{"trial.call"}}}, {Method: "GET", Path: "/open", Public: true}},
		},
		{
			Key: "draft", Name: "Draft", Prefix: "/draft", Upstreams: both, Visibility: registry.Draft, ProductionAccess: registry.Open,
			Permissions: []registry.Permission{{Key: "draft.call"}},
			Routes:      []registry.Route{{Method: "GET", Path: "/", Permissions: [][]string{{"draft.call"}}}, {Method: "GET", Path: "/open", Public: true}},
		},
	}
}

func (f *fixture) must(by actor.Actor, edits ...registry.Edit) {
	f.t.Helper()
	if err := f.Apply(f.t.Context(), by, edits...); err != nil {
		f.t.Fatalf("%s: %T: %v", by, edits[len(edits)-1], err)
	}
}

// changes makes edits as the operator in an organisation, and waits until they
// are in force.
func (f *fixture) changes(organisation id.Organisation, edits ...registry.Edit) {
	f.t.Helper()
	f.must(f.operator.In(organisation), edits...)
	f.refresh()
}

func (f *fixture) refresh() {
	f.t.Helper()
	if err := f.access.Refresh(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

// organisation makes one that has the product p1 in production.
func (f *fixture) organisation() id.Organisation {
	f.t.Helper()
	key := id.NewOrganisation(rand.Reader)
	f.must(f.operator, registry.CreateOrganisation{ID: key, Name: string(key)})
	f.must(f.operator.In(key), registry.GrantProduct{Product: "p1", Environment: id.Production})
	return key
}

func (f *fixture) account(organisation id.Organisation, environment id.Environment) id.Account {
	f.t.Helper()
	key := id.NewAccount(rand.Reader, environment)
	f.must(f.operator.In(organisation), registry.CreateAccount{ID: key, Name: string(key)})
	return key
}

func (f *fixture) client(organisation id.Organisation, account id.Account, permissions ...string) *caller {
	f.t.Helper()
	prefix := id.OperatorClient
	switch {
	case account != "" && account.Environment() == id.Sandbox:
		prefix = id.SandboxClient
	case account != "":
		prefix = id.ProductionClient
	case organisation != "":
		prefix = id.OrganisationClient
	}
	c := &caller{id: id.NewClient(rand.Reader, prefix, id.MaxClientDigits), secret: id.NewSecret(rand.Reader), organisation: organisation, account: account}
	f.must(f.operator.In(organisation),
		registry.CreateClient{ID: c.id, Account: account, Name: string(c.id)},
		registry.AddPermissions{Client: c.id, Permissions: permissions},
		f.secretOf(c))
	return c
}

// secretOf is an edit that stores the caller's secret.
func (f *fixture) secretOf(c *caller) registry.AddSecret {
	return registry.AddSecret{Client: c.id, ID: c.secret, Name: string(c.secret), Digest: secret.DigestOf(secret.NewPlaintext(string(c.secret)))}
}

// claims are those that the token endpoint would write now.
func (f *fixture) claims(c *caller) jwt.Claims {
	f.t.Helper()
	h := f.stored(c)
	now := f.clock.Now().Unix()
	return jwt.Claims{
		Issuer: testIssuer, Audience: testAudience, Subject: string(c.id), ClientID: string(c.id), ID: rand.Text(), Scope: testScope,
		IssuedAt: now, NotBefore: now, Expiry: now + 600, AccountID: string(c.account), OrganisationID: string(c.organisation),
		Sandbox: h.Client.Environment() == id.Sandbox, SecretID: string(c.secret), Generation: h.Generation(),
	}
}

// stored reads the caller from the database, past what the node keeps.
func (f *fixture) stored(c *caller) (h Holder) {
	f.t.Helper()
	var err error
	if h.Client, err = f.ClientEntry(f.t.Context(), c.id); err != nil || h.Client == nil {
		f.t.Fatalf("client %s: %v", c.id, err)
	}
	if h.Account, err = f.AccountEntry(f.t.Context(), c.account); err != nil {
		f.t.Fatal(err)
	}
	if h.Organisation, err = f.OrganisationEntry(f.t.Context(), c.organisation); err != nil {
		f.t.Fatal(err)
	}
	return h
}

// token returns a good token of the caller, but for what edit changes.
func (f *fixture) token(c *caller, edit ...func(*jwt.Claims)) string {
	f.t.Helper()
	claims := f.claims(c)
	for _, change := range edit {
		change(&claims)
	}
	key := "production"
	if claims.Sandbox {
		key = "sandbox"
	}
	return f.signed(key, &claims)
}

func (f *fixture) signed(key string, claims *jwt.Claims) string {
	f.t.Helper()
	token, err := f.keys.private[key].Sign(nil, jwt.TypeAccessToken, claims)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(token)
}

// call is a request in short: the zero one gets /p1/things without a token.
type call struct {
	method, target, token, peer string
	header                      http.Header
}

func (c call) request() *Request {
	r := &Request{Method: c.method, Target: c.target, Host: "api.example", Header: http.Header{}, Peer: netip.MustParseAddr("192.0.2.1")}
	for name, values := range c.header {
		r.Header[name] = values
	}
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	if r.Target == "" {
		r.Target = "/p1/things"
	}
	if c.peer != "" {
		r.Peer = netip.MustParseAddr(c.peer)
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	return r
}

func (f *fixture) decide(c call) (Decision, error) {
	return f.access.Decide(f.t.Context(), c.request())
}

func (f *fixture) wants(t *testing.T, c call, want fault.Code) {
	t.Helper()
	if _, err := f.decide(c); codeOf(err) != want {
		t.Errorf("%s %s: error %v, want code %q", c.method, c.target, err, want)
	}
}

// refusal is a call that is refused, and its twin with one thing changed, which
// passes.
type refusal struct {
	name string
	call call
	want fault.Code
	twin call
}

func (f *fixture) refuses(t *testing.T, cases ...refusal) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f.wants(t, c.call, c.want)
			f.wants(t, c.call, c.want) // and again, warm
			t.Run("twin", func(t *testing.T) { f.wants(t, c.twin, "") })
		})
	}
}

func newSQLiteFixture(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	return newFixture(t, sqldbtest.New(t))
}
