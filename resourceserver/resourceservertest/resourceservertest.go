// Package resourceservertest is an issuer in memory, for tests of services that
// package resourceserver guards. It needs no network.
//
//	issuer := resourceservertest.New(t)
//	guard, err := resourceserver.New(issuer.Config())
//	request.Header.Set("Authorization", "Bearer "+issuer.Token(resourceservertest.Claims{Permissions: []string{"auth.sessions.read"}}))
package resourceservertest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/resourceserver"
)

// What tokens say unless a test says otherwise.
const (
	IssuerURL      = "https://issuer.example/auth/open"
	Audience       = "https://issuer.example"
	ClientID       = "prod-round-apple-123"
	AccountID      = "a-p-0123456789abcdefghij"
	OrganisationID = "o-0123456789abcdefghij"
	Scope          = "signicat-api"
)

// Claims are what a token says that is not as usual. The zero Claims make a token
// of production without permissions that was issued now for ten minutes.
type Claims struct {
	Audience       string // "": Audience; an assertion's is the key of the API product
	ClientID       string // "": ClientID
	AccountID      string // "": AccountID; None: no account
	OrganisationID string // "": OrganisationID; None: no organisation
	Sandbox        bool
	Permissions    []string      // nil: none at all
	IssuedAt       time.Time     // zero: now
	Lifetime       time.Duration // 0: 10 minutes; negative: it has expired
}

// None stands for an id that the token does not have.
const None = "-"

// Issuer signs tokens and publishes its keys. It is safe for concurrent use.
type Issuer struct {
	t testing.TB

	mu                             sync.Mutex
	production, sandbox, assertion *jwt.PrivateKey
	minted                         int
	away                           bool
}

// New makes an issuer with new keys. Its methods end the test where they fail.
func New(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{t: t}
	i.Rotate()
	return i
}

// Config is a configuration for a guard of the issuer's production tokens: change
// what your service has otherwise, and keep HTTPClient.
func (i *Issuer) Config() resourceserver.Config {
	return resourceserver.Config{Issuer: IssuerURL, Audience: Audience, HTTPClient: &http.Client{Transport: transport{i}}}
}

// Rotate replaces all keys: older tokens are no longer good for a guard that has
// fetched the keys since.
func (i *Issuer) Rotate() {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.minted++
	n := strconv.Itoa(i.minted)
	i.production = i.key("production-"+n, jwt.UseAccessToken, jwt.Production)
	i.sandbox = i.key("sandbox-"+n, jwt.UseAccessToken, jwt.Sandbox)
	i.assertion = i.key("assertion-"+n, jwt.UseAssertion, "")
}

func (i *Issuer) key(kid string, use jwt.Use, environment string) *jwt.PrivateKey {
	i.t.Helper()
	key, err := jwt.GenerateKey(jwt.ES256, kid, use, environment)
	if err != nil {
		i.t.Fatal(err)
	}
	return key
}

// SetAway makes the issuer unreachable, or reachable again.
func (i *Issuer) SetAway(away bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.away = away
}

// Token is an access token.
func (i *Issuer) Token(c Claims) string {
	i.t.Helper()
	claims := c.claims()
	claims.ClientID, claims.ID, claims.Scope, claims.NotBefore = claims.Subject, "jti-of-a-test", Scope, claims.IssuedAt
	i.mu.Lock()
	key := i.production
	if c.Sandbox {
		key = i.sandbox
	}
	i.mu.Unlock()
	return i.sign(key, jwt.TypeAccessToken, claims)
}

// Assertion is what the gateway sends to the service as Doorward-Assertion.
func (i *Issuer) Assertion(c Claims) string {
	i.t.Helper()
	i.mu.Lock()
	key := i.assertion
	i.mu.Unlock()
	return i.sign(key, jwt.TypeAssertion, c.claims())
}

func (i *Issuer) sign(key *jwt.PrivateKey, typ string, claims *jwt.Claims) string {
	i.t.Helper()
	token, err := key.Sign(nil, typ, claims)
	if err != nil {
		i.t.Fatal(err)
	}
	return string(token)
}

func (c Claims) claims() *jwt.Claims {
	issued, lifetime := c.IssuedAt, c.Lifetime
	if lifetime == 0 {
		lifetime = 10 * time.Minute
	}
	if issued.IsZero() {
		issued = time.Now()
		if lifetime < 0 { // far beyond what clocks may differ
			issued = issued.Add(2*lifetime - time.Hour)
			lifetime = -lifetime
		}
	}
	permissions := c.Permissions
	if permissions == nil {
		permissions = []string{}
	}
	return &jwt.Claims{
		Issuer: IssuerURL, Audience: or(c.Audience, Audience), Subject: or(c.ClientID, ClientID),
		IssuedAt: issued.Unix(), Expiry: issued.Add(lifetime).Unix(),
		AccountID: or(c.AccountID, AccountID), OrganisationID: or(c.OrganisationID, OrganisationID), Sandbox: c.Sandbox, Permissions: permissions,
	}
}

func or(value, usual string) string {
	switch value {
	case "":
		return usual
	case None:
		return ""
	}
	return value
}

// transport serves the issuer's documents without a network.
type transport struct{ issuer *Issuer }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.issuer.mu.Lock()
	defer t.issuer.mu.Unlock()
	if t.issuer.away {
		return nil, fmt.Errorf("the issuer of the test is away")
	}
	recorder := httptest.NewRecorder()
	switch r.URL.Path {
	case "/.well-known/oauth-authorization-server/auth/open":
		_, _ = io.WriteString(recorder, `{"issuer":"`+IssuerURL+`","jwks_uri":"`+IssuerURL+`/jwks"}`)
	case "/auth/open/jwks":
		set, err := jwt.AppendJWKSet(nil, []jwt.PublicKey{t.issuer.production.Public(), t.issuer.sandbox.Public(), t.issuer.assertion.Public()})
		if err != nil {
			return nil, err
		}
		_, _ = recorder.Write(set)
	default:
		recorder.WriteHeader(http.StatusNotFound)
	}
	return recorder.Result(), nil
}
