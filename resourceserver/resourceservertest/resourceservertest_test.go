package resourceservertest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/doorward/doorward/resourceserver"
	"github.com/doorward/doorward/resourceserver/resourceservertest"
)

func guard(t testing.TB, issuer *resourceservertest.Issuer, change func(*resourceserver.Config)) *resourceserver.Guard {
	t.Helper()
	config := issuer.Config()
	if change != nil {
		change(&config)
	}
	guard, err := resourceserver.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

func TestTokensAreWhatTheTestSays(t *testing.T) {
	issuer := resourceservertest.New(t)
	production := guard(t, issuer, nil)
	sandbox := guard(t, issuer, func(c *resourceserver.Config) { c.Environment = resourceserver.Sandbox })
	upstream := guard(t, issuer, func(c *resourceserver.Config) { c.Tokens, c.Audience = resourceserver.Assertions, "auth" })
	for name, row := range map[string]struct {
		guard  *resourceserver.Guard
		token  string
		status int // 0: good
	}{
		"usual":                         {production, issuer.Token(resourceservertest.Claims{}), 0},
		"expired":                       {production, issuer.Token(resourceservertest.Claims{Lifetime: -time.Minute}), 401},
		"of the sandbox":                {production, issuer.Token(resourceservertest.Claims{Sandbox: true}), 401},
		"of the sandbox, there":         {sandbox, issuer.Token(resourceservertest.Claims{Sandbox: true}), 0},
		"for another audience":          {production, issuer.Token(resourceservertest.Claims{Audience: "other"}), 401},
		"assertion":                     {upstream, issuer.Assertion(resourceservertest.Claims{Audience: "auth"}), 0},
		"assertion for another product": {upstream, issuer.Assertion(resourceservertest.Claims{Audience: "echo"}), 401},
		"assertion as an access token":  {production, issuer.Assertion(resourceservertest.Claims{}), 401},
		"access token as an assertion":  {upstream, issuer.Token(resourceservertest.Claims{Audience: "auth"}), 401},
	} {
		token, err := row.guard.Verify(t.Context(), row.token)
		refused, _ := errors.AsType[*resourceserver.Error](err)
		switch {
		case row.status == 0 && (err != nil || token.ClientID != resourceservertest.ClientID || token.AccountID != resourceservertest.AccountID):
			t.Errorf("%s: %+v, %v, want the usual claims", name, token, err)
		case row.status != 0 && (refused == nil || refused.Status != row.status):
			t.Errorf("%s: error %v, want status %d", name, err, row.status)
		}
	}
}

func TestIssuerCanBeAway(t *testing.T) {
	issuer := resourceservertest.New(t)
	issuer.SetAway(true)
	_, err := guard(t, issuer, nil).Verify(t.Context(), issuer.Token(resourceservertest.Claims{}))
	if refused, ok := errors.AsType[*resourceserver.Error](err); !ok || refused.Status != http.StatusServiceUnavailable {
		t.Errorf("error = %v, want status 503", err)
	}
	issuer.SetAway(false)
	if _, err := guard(t, issuer, nil).Verify(t.Context(), issuer.Token(resourceservertest.Claims{})); err != nil {
		t.Error(err)
	}
}

func TestRotationEndsOlderTokens(t *testing.T) {
	issuer := resourceservertest.New(t)
	older := issuer.Token(resourceservertest.Claims{})
	issuer.Rotate()
	if _, err := guard(t, issuer, nil).Verify(t.Context(), older); err == nil {
		t.Error("a token of a key that is gone passes")
	}
}

func ExampleNew() {
	t := &testing.T{} // in a test: its argument
	issuer := resourceservertest.New(t)
	guard, err := resourceserver.New(issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	handler := guard.Handler("auth.sessions.read")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := resourceserver.FromContext(r.Context())
		fmt.Fprint(w, "sessions of ", token.AccountID)
	}))
	for _, permission := range []string{"auth.sessions.read", "auth.sessions.create"} {
		request := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/sessions", nil)
		request.Header.Set("Authorization", "Bearer "+issuer.Token(resourceservertest.Claims{Permissions: []string{permission}}))
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, request)
		fmt.Println(response.Code)
	}
	// Output:
	// 200
	// 403
}
