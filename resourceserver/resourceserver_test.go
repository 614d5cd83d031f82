package resourceserver

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/jwt"
	"github.com/google/go-cmp/cmp"
)

func TestTokenExposesItsClaims(t *testing.T) {
	i := newIssuer(t)
	guard := i.guard(t, nil)
	now := time.Now().Truncate(time.Second)
	token := i.token(t, i.keys[0], func(c *jwt.Claims) { c.IssuedAt, c.NotBefore, c.Expiry = now.Unix(), 0, now.Unix()+600 })
	got, err := guard.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	want := &Token{
		ID: "jti", Issuer: issuerURL, Audience: audience, ClientID: "prod-round-apple-123", AccountID: "a-p-0123456789abcdefghij",
		OrganisationID: "o-0123456789abcdefghij", Scope: "signicat-api", Permissions: []string{"auth.sessions.read"}, IssuedAt: now, Expiry: now.Add(10 * time.Minute),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("token (-want +got):\n%s", diff)
	}
}

func TestNarrowedTokenHoldsItsScope(t *testing.T) {
	i := newIssuer(t)
	guard := i.guard(t, nil)
	token, err := guard.Verify(t.Context(), i.token(t, i.keys[0], func(c *jwt.Claims) { c.Permissions, c.Scope = nil, "p.read p.write" }))
	if err != nil {
		t.Fatal(err)
	}
	for permission, want := range map[string]bool{"p.read": true, "p.write": true, "p": false, "P.read": false, "": false} {
		if got := token.HasPermission(permission); got != want {
			t.Errorf("HasPermission(%q) = %t, want %t", permission, got, want)
		}
	}
	wide, err := guard.Verify(t.Context(), i.token(t, i.keys[0], func(c *jwt.Claims) { c.Permissions, c.Scope = []string{}, "p.read" }))
	if err != nil || wide.HasPermission("p.read") {
		t.Errorf("token of no permissions = %+v, %v; want no permission from its scope", wide, err)
	}
}

func TestDefectiveTokensAreRefused(t *testing.T) {
	i := newIssuer(t)
	stranger := key(t, "production-1", jwt.Production)
	for name, row := range map[string]struct {
		token       string
		description string
	}{
		"expired":         {i.token(t, i.keys[0], func(c *jwt.Claims) { c.IssuedAt, c.NotBefore, c.Expiry = 1, 0, time.Now().Unix()-60 }), "the token has expired"},
		"of the future":   {i.token(t, i.keys[0], func(c *jwt.Claims) { c.NotBefore += 60 }), "the token is not valid yet"},
		"other issuer":    {i.token(t, i.keys[0], func(c *jwt.Claims) { c.Issuer += "/" }), "the token is of another issuer"},
		"other audience":  {i.token(t, i.keys[0], func(c *jwt.Claims) { c.Audience = "auth" }), "the token is for another audience"},
		"other signature": {i.token(t, stranger, nil), "the token is not signed by a current key of this issuer"},
		"no token":        {"abc", "the token is malformed"},
		"T45 unsigned":    {"eyJhbGciOiJub25lIn0.e30.", "the token is malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			guard := i.guard(t, nil)
			token, err := guard.Verify(t.Context(), row.token)
			refused, ok := errors.AsType[*Error](err)
			if !ok || token != nil {
				t.Fatalf("Verify = %v, %v; want an *Error", token, err)
			}
			want := &Error{Status: 401, Code: "invalid_token", Description: row.description}
			if refused.Status != want.Status || refused.Code != want.Code || refused.Description != want.Description {
				t.Errorf("error = %d %s %q, want %d %s %q", refused.Status, refused.Code, refused.Description, want.Status, want.Code, want.Description)
			}
			t.Run("twin", func(t *testing.T) {
				if _, err := guard.Verify(t.Context(), i.good(t)); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestOneEnvironmentIsAccepted(t *testing.T) {
	live, sandbox := key(t, "production-1", jwt.Production), key(t, "sandbox-1", jwt.Sandbox)
	i := newIssuer(t, live, sandbox)
	for name, row := range map[string]struct {
		environment string
		good, bad   *jwt.PrivateKey
	}{
		"unless told otherwise production": {"", live, sandbox},
		"production":                       {Production, live, sandbox},
		"sandbox":                          {Sandbox, sandbox, live},
	} {
		t.Run(name, func(t *testing.T) {
			guard := i.guard(t, func(c *Config) { c.Environment = row.environment })
			if _, err := guard.Verify(t.Context(), i.token(t, row.bad, nil)); !errors.Is(err, jwt.ErrEnvironment) {
				t.Errorf("error = %v, want %v", err, jwt.ErrEnvironment)
			}
			t.Run("twin", func(t *testing.T) {
				if _, err := guard.Verify(t.Context(), i.token(t, row.good, nil)); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestRequestsAreAnsweredAsRFC6750Says(t *testing.T) {
	i := newIssuer(t)
	good := "Bearer " + i.good(t)
	const bare = `Bearer realm="https://api.example.com"`
	for name, row := range map[string]struct {
		permission    string
		target        string
		authorization []string
		status        int
		challenge     string
	}{
		"no token":     {"", "/", nil, 401, bare},
		"other scheme": {"", "/", []string{"Basic YTpi"}, 401, bare},
		"scheme alone": {"", "/", []string{"Bearer"}, 401, bare},
		"empty token":  {"", "/", []string{"Bearer  "}, 401, bare},
		"bad token":    {"", "/", []string{"Bearer a"}, 401, bare + `, error="invalid_token", error_description="the token is malformed"`},
		"two tokens":   {"", "/", []string{good + " x"}, 400, bare + `, error="invalid_request", error_description="send one token after the scheme"`},
		"comma list":   {"", "/", []string{good + "," + good}, 400, bare + `, error="invalid_request", error_description="send one token after the scheme"`},
		"two headers": {
			"", "/", []string{good, good}, 400, bare + `, error="invalid_request", error_description="send the token in one Authorization header and nowhere else"`,
		},
		"token in the query as well": {
			"", "/?access_token=x", []string{good}, 400, bare + `, error="invalid_request", error_description="send the token in one Authorization header and nowhere else"`,
		},
		"token in the query alone": {
			"", "/?access_token=x", nil, 400, bare + `, error="invalid_request", error_description="send the token in one Authorization header and nowhere else"`,
		},
		"missing permission": {
			`auth."sessions\`, "/", []string{good}, 403,
			bare + `, error="insufficient_scope", error_description="this call needs a permission that the token does not have", scope="auth.\"sessions\\"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			response := call(t, i.guard(t, nil), row.permission, row.target, row.authorization...)
			if got := response.Code; got != row.status {
				t.Errorf("status = %d, want %d", got, row.status)
			}
			if got := response.Header().Get("WWW-Authenticate"); got != row.challenge {
				t.Errorf("challenge = %s\nwant %s", got, row.challenge)
			}
			if got, want := response.Header().Get("Cache-Control"), "no-store"; got != want {
				t.Errorf("Cache-Control = %q, want %q", got, want)
			}
			t.Run("twin", func(t *testing.T) {
				response := call(t, i.guard(t, nil), "auth.sessions.read", "/?x=y", strings.Replace(good, "Bearer", "bearer", 1))
				if got := response.Body.String(); response.Code != http.StatusOK || got != "prod-round-apple-123" {
					t.Errorf("answer = %d %q, want 200 and the client", response.Code, got)
				}
			})
		})
	}
}

func TestRefusalIsAProblemDocument(t *testing.T) {
	i := newIssuer(t)
	response := call(t, i.guard(t, nil), "", "/", "Bearer <script>")
	const want = `{"title":"Unauthorized","status":401,"code":"invalid_token","detail":"the token is malformed"}` + "\n"
	body, kind := response.Body.String(), response.Header().Get("Content-Type")
	if body != want || kind != "application/problem+json" {
		t.Errorf("body = %s of %s, want %s", body, kind, want)
	}
}

func TestErrorOfAnotherKindIsNoChallenge(t *testing.T) {
	recorder := httptest.NewRecorder()
	Challenge(recorder, "r", errors.New("internal cause"))
	response := recorder.Result()
	defer response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("WWW-Authenticate") != "" || response.Header.Get("Retry-After") != "10" {
		t.Errorf("answer = %d, %v; want 503 without a challenge", response.StatusCode, response.Header)
	}
	if strings.Contains(recorder.Body.String(), "internal") {
		t.Errorf("body = %s, want no internal cause", recorder.Body)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"T39 http":            func(c *Config) { c.Issuer = "http://api.example.com/auth/open" },
		"T39 metadata server": func(c *Config) { c.Issuer = "http://169.254.169.254/latest" },
		"T39 other scheme":    func(c *Config) { c.Issuer = "file:///etc/passwd" },
		"no issuer":           func(c *Config) { c.Issuer = "" },
		"issuer unparsable":   func(c *Config) { c.Issuer = "https://%zz" },
		"issuer with user":    func(c *Config) { c.Issuer = "https://u:p@api.example.com" },
		"issuer with query":   func(c *Config) { c.Issuer += "?x" },
		"issuer in capitals":  func(c *Config) { c.Issuer = "HTTPS://api.example.com/auth/open" },
		"no audience":         func(c *Config) { c.Audience = "" },
		"unknown environment": func(c *Config) { c.Environment = "test" },
	} {
		t.Run(name, func(t *testing.T) {
			config := Config{Issuer: issuerURL, Audience: audience}
			change(&config)
			if _, err := New(config); err == nil {
				t.Error("New accepts it")
			}
			t.Run("twin", func(t *testing.T) {
				for _, issuer := range []string{issuerURL, "http://127.0.0.1:8080/auth/open", "http://localhost:8080"} {
					if _, err := New(Config{Issuer: issuer, Audience: audience}); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

func TestGuardWorksOverARealSocket(t *testing.T) {
	i := newIssuer(t)
	server := httptest.NewServer(i)
	defer server.Close()
	i.url = server.URL + "/auth/open"
	guard := i.guard(t, func(c *Config) { c.HTTPClient = nil })
	if _, err := guard.Verify(t.Context(), i.good(t)); err != nil {
		t.Error(err)
	}
}
