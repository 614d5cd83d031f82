package authserver_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/authserver"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/throttle"
)

func issuingLimit(perSecond float64, burst int) func(*authserver.Config) {
	return func(c *authserver.Config) { c.Issuing = throttle.NewRate(perSecond, burst, 1024, c.Now) }
}

// longKeys are 100 permissions of 48 characters.
func longKeys() []string {
	keys := make([]string, registry.MaxPermissions)
	for i := range keys {
		keys[i] = fmt.Sprintf("long.%s.%s%03d", strings.Repeat("x", 20), strings.Repeat("y", 19), i)
	}
	return keys
}

func (w *world) manyPermissions(t testing.TB) credentials {
	t.Helper()
	long := longKeys()
	product := registry.Definition{
		Key: "long", Name: "Long", Prefix: "/long", ProductionAccess: registry.Open,
		Upstreams: map[id.Environment]string{id.Sandbox: "http://127.0.0.1:1", id.Production: "http://127.0.0.1:1"},
		Routes:    []registry.Route{{Method: "*", Path: "/{rest...}", Permissions: [][]string{{long[0]}}}},
	}
	for _, key := range long {
		product.Permissions = append(product.Permissions, registry.Permission{Key: key})
	}
	w.must(w.reg.PutProducts(t.Context(), system, registry.Declared, product))
	return w.client(w.organisationA, w.productionA, "many", long...)
}

func TestHundredLongPermissionsFitAToken(t *testing.T) {
	const defaultURL = "http://127.0.0.1:8080"
	needed := 0
	for _, key := range longKeys() {
		needed += len(key) + len(`"",`)
	}
	if got := authserver.PermissionBudget(defaultURL+issuerPath, defaultURL, jwt.ES256); got < needed {
		t.Errorf("budget = %d bytes, want at least %d", got, needed)
	}
	w := newSQLiteWorld(t)
	c := w.manyPermissions(t)
	if got := decoded(t, w.token(c), id.Production); len(*got.Permissions) != 100 {
		t.Errorf("%d permissions in the token, want 100", len(*got.Permissions))
	}
	everything := strings.Join(longKeys(), "+")
	if got := decoded(t, w.token(c, "scope="+everything), id.Production); got.Scope != strings.Join(longKeys(), " ") || got.Permissions != nil {
		t.Error("a token narrowed to all permissions does not list them in its scope alone")
	}
}

// The largest token of each algorithm takes permissions of just that size.
func TestPermissionBudgetIsWhatTheLargestTokenLeaves(t *testing.T) {
	for _, algorithm := range []jwt.Algorithm{jwt.ES256, jwt.RS256, jwt.EdDSA} {
		t.Run(string(algorithm), func(t *testing.T) {
			key, err := jwt.GenerateKey(algorithm, "production-signing-key-012345678901", jwt.UseAccessToken, jwt.Production)
			if err != nil {
				t.Fatal(err)
			}
			claims := jwt.Claims{
				Issuer: issuer, Audience: publicURL, Subject: "sandbox-abcdefghij-abcdefghij-123456", ClientID: "sandbox-abcdefghij-abcdefghij-123456",
				ID: strings.Repeat("j", 22), Scope: strings.Repeat("s", 64), IssuedAt: 1234567890, NotBefore: 1234567890, Expiry: 1234567890,
				AccountID: "a-p-0123456789abcdefghij", OrganisationID: "o-0123456789abcdefghij", SecretID: "0123456789ab", Generation: 1234567890,
			}
			budget := authserver.PermissionBudget(issuer, publicURL, algorithm)
			fill := func(bytes int) []string { // as many bytes as JSON, with the last comma
				return []string{strings.Repeat("p", bytes/2-3), strings.Repeat("q", bytes-bytes/2-3)}
			}
			claims.Permissions = fill(budget)
			if text, _ := json.Marshal(claims.Permissions); len(text)-1 != budget {
				t.Fatalf("the permissions have %d bytes, want %d", len(text)-1, budget)
			}
			if _, err := key.Sign(nil, jwt.TypeAccessToken, &claims); err != nil {
				t.Errorf("permissions of %d bytes: %v", budget, err)
			}
			claims.Permissions = fill(budget + 4)
			if _, err := key.Sign(nil, jwt.TypeAccessToken, &claims); !errors.Is(err, jwt.ErrTooLarge) {
				t.Errorf("permissions of %d bytes: error = %v, want too large", budget+4, err)
			}
		})
	}
}

// Under other settings than those that permissions were given under, a token
// can be too long: the client is told how to get a shorter one.
func TestTokenThatWouldBeTooLongIsRefused(t *testing.T) {
	key, err := jwt.GenerateKey(jwt.RS256, strings.Repeat("k", 128), jwt.UseAccessToken, jwt.Production)
	if err != nil {
		t.Fatal(err)
	}
	w := newSQLiteWorld(t, func(c *authserver.Config) { c.Signer = func(id.Environment) *jwt.PrivateKey { return key } })
	c := w.manyPermissions(t)
	w.refused(t, request(tokenPath, c.tokenForm()), 400, "invalid_scope")
	w.issued(t, request(tokenPath, c.tokenForm("scope="+longKeys()[0])))
}

func TestNoTokenWithoutASigningKey(t *testing.T) {
	w := newSQLiteWorld(t, func(c *authserver.Config) { c.Signer = func(id.Environment) *jwt.PrivateKey { return nil } })
	w.refused(t, request(tokenPath, w.a1.tokenForm()), 503, "temporarily_unavailable")
}

// A key of the wrong environment, or a random source that fails, is our fault:
// no token, and no word of why.
func TestFaultsOfOursAreServerErrors(t *testing.T) {
	for name, change := range map[string]func(*authserver.Config){
		"key of the other environment": func(c *authserver.Config) {
			c.Signer = func(id.Environment) *jwt.PrivateKey { return keys()[id.Sandbox] }
		},
		"no randomness": func(c *authserver.Config) { c.Rand = strings.NewReader("too short") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newSQLiteWorld(t, change)
			w.refused(t, request(tokenPath, w.a1.tokenForm()), 500, "server_error")
			if !strings.Contains(w.log.String(), "level=ERROR") {
				t.Errorf("log = %s, want the cause", &w.log)
			}
		})
	}
}

func TestSettingsAreChecked(t *testing.T) {
	w := newSQLiteWorld(t)
	good := w.server.Config
	if _, err := authserver.New(good); err != nil {
		t.Fatalf("good settings: %v", err)
	}
	for name, change := range map[string]func(*authserver.Config){
		"no scheme":            func(c *authserver.Config) { c.PublicURL = "api.example.com" },
		"slash at the end":     func(c *authserver.Config) { c.PublicURL += "/" },
		"query":                func(c *authserver.Config) { c.PublicURL += "?x" },
		"issuer path relative": func(c *authserver.Config) { c.IssuerPath = "auth" },
		"issuer path ends":     func(c *authserver.Config) { c.IssuerPath += "/" },
		"scope of two words":   func(c *authserver.Config) { c.Scope = "a b" },
		"scope with a quote":   func(c *authserver.Config) { c.Scope = `a"b` },
		"scope too long":       func(c *authserver.Config) { c.Scope = strings.Repeat("a", 65) },
		"help URL":             func(c *authserver.Config) { c.HelpURL = `https://x/"` },
		"other issuer":         func(c *authserver.Config) { c.IssuerPath = "/other" },
		"other audience":       func(c *authserver.Config) { c.PublicURL = "https://other.example" },
		"other scope":          func(c *authserver.Config) { c.Scope = "other" },
		"no algorithm":         func(c *authserver.Config) { c.Algorithms = nil },
		"no clock":             func(c *authserver.Config) { c.Now = nil },
	} {
		t.Run(name, func(t *testing.T) {
			config := good
			change(&config)
			if _, err := authserver.New(config); err == nil {
				t.Error("New accepts the settings")
			}
		})
	}
}
