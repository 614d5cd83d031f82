package resourceserver

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/doorward/doorward/internal/jwt"
)

const (
	issuerURL = "https://api.example.com/auth/open"
	audience  = "https://api.example.com"
	jwksPath  = "/auth/open/.well-known/openid-configuration/jwks"
	metaPath  = "/.well-known/oauth-authorization-server/auth/open"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// issuer is an authorization server in memory: an http.RoundTripper for the guard
// and an http.Handler for a real socket.
type issuer struct {
	mu       sync.Mutex
	keys     []*jwt.PrivateKey
	requests []string // scheme, host and path
	answer   func(w http.ResponseWriter, r *http.Request) bool
	url      string
}

func newIssuer(t *testing.T, keys ...*jwt.PrivateKey) *issuer {
	t.Helper()
	if len(keys) == 0 {
		keys = []*jwt.PrivateKey{key(t, "production-1", jwt.Production)}
	}
	return &issuer{keys: keys, url: issuerURL}
}

func key(t *testing.T, kid, environment string) *jwt.PrivateKey {
	t.Helper()
	key, err := jwt.GenerateKey(jwt.EdDSA, kid, jwt.UseAccessToken, environment)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// override answers requests in the issuer's place where it returns true; nil ends it.
func (i *issuer) override(answer func(w http.ResponseWriter, r *http.Request) bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = answer
}

func (i *issuer) publish(keys ...*jwt.PrivateKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

func (i *issuer) count(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := 0
	for _, request := range i.requests {
		if strings.HasSuffix(request, path) {
			n++
		}
	}
	return n
}

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	i.mu.Lock()
	i.requests = append(i.requests, r.URL.String())
	i.mu.Unlock()
	i.ServeHTTP(recorder, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	answer, keys := i.answer, i.keys
	i.mu.Unlock()
	if answer != nil && answer(w, r) {
		return
	}
	switch r.URL.Path {
	case metaPath:
		origin := strings.TrimSuffix(i.url, "/auth/open")
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, i.url, origin+jwksPath)
	case jwksPath:
		var public []jwt.PublicKey
		for _, k := range keys {
			public = append(public, k.Public())
		}
		set, err := jwt.AppendJWKSet(nil, public)
		if err != nil {
			panic(err)
		}
		_, _ = w.Write(set)
	default:
		http.NotFound(w, r)
	}
}

func (i *issuer) guard(t *testing.T, change func(*Config)) *Guard {
	t.Helper()
	config := Config{Issuer: i.url, Audience: audience, HTTPClient: &http.Client{Transport: i}}
	if change != nil {
		change(&config)
	}
	guard, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

// token signs claims that are good but for the change.
func (i *issuer) token(t *testing.T, signer *jwt.PrivateKey, change func(*jwt.Claims)) string {
	t.Helper()
	now := time.Now().Unix()
	claims := &jwt.Claims{
		Issuer: i.url, Audience: audience, Subject: "prod-round-apple-123", ClientID: "prod-round-apple-123", ID: "jti", Scope: "signicat-api",
		IssuedAt: now, NotBefore: now, Expiry: now + 3600, AccountID: "a-p-0123456789abcdefghij", OrganisationID: "o-0123456789abcdefghij",
		Permissions: []string{"auth.sessions.read"}, Sandbox: signer.Public().Environment == jwt.Sandbox,
	}
	if change != nil {
		change(claims)
	}
	token, err := signer.Sign(nil, jwt.TypeAccessToken, claims)
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

func (i *issuer) good(t *testing.T) string {
	t.Helper()
	return i.token(t, i.keys[0], nil)
}

// call sends a request through the middleware to a handler that names the client.
func call(t *testing.T, guard *Guard, permission, target string, authorization ...string) *httptest.ResponseRecorder {
	t.Helper()
	handler := guard.Handler(permission)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := FromContext(r.Context())
		if !ok {
			t.Error("no token in the context behind the guard")
			return
		}
		_, _ = io.WriteString(w, token.ClientID)
	}))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	for _, field := range authorization {
		r.Header.Add("Authorization", field)
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, r)
	return recorder
}
