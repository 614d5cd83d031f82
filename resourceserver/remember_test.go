package resourceserver

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/jwt"
)

func TestRememberedTokenIsHeldAgainstTimeAndKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		guard := i.guard(t, nil)
		long, short := i.good(t), i.token(t, i.keys[0], func(c *jwt.Claims) { c.Expiry = c.IssuedAt + 60 })
		for _, token := range []string{long, short, long, short} {
			if _, err := guard.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(66 * time.Second)
		if _, err := guard.Verify(t.Context(), short); !errors.Is(err, jwt.ErrExpired) {
			t.Errorf("error = %v for a remembered token that has expired, want %v", err, jwt.ErrExpired)
		}
		if _, err := guard.Verify(t.Context(), long); err != nil {
			t.Errorf("twin: %v", err)
		}
		i.publish(key(t, "production-2", jwt.Production))
		time.Sleep(keyLifetime)
		_, _ = guard.Verify(t.Context(), long) // starts the fetch
		synctest.Wait()
		if _, err := guard.Verify(t.Context(), long); !errors.Is(err, jwt.ErrSignature) {
			t.Errorf("error = %v for a remembered token of a withdrawn key, want %v", err, jwt.ErrSignature)
		}
	})
}

func TestRefetchOfTheSameKeysKeepsWhatIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		guard := i.guard(t, nil)
		token := i.good(t)
		first, err := guard.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(keyLifetime)
		_, _ = guard.Verify(t.Context(), token)
		synctest.Wait()
		if second, err := guard.Verify(t.Context(), token); err != nil || second != first {
			t.Errorf("Verify = %p, %v, want the token that is remembered, %p", second, err, first)
		}
	})
}

func TestMemoryOfTokensIsBounded(t *testing.T) {
	m := &memory{}
	for n := range 5 * generation {
		m.put(fmt.Sprint(n), verified{})
		m.get("0")
	}
	if got := len(m.young) + len(m.old); got > 2*generation {
		t.Errorf("%d tokens, want at most %d", got, 2*generation)
	}
	if _, ok := m.get("0"); !ok {
		t.Error("a token that is asked for all the time was forgotten")
	}
	if _, ok := m.get("7"); ok {
		t.Error("a token that nobody asked for is still there")
	}
}

func TestWarmVerificationAllocatesNothing(t *testing.T) {
	i := newIssuer(t)
	guard := i.guard(t, nil)
	token := i.good(t)
	ctx := t.Context()
	if got := testing.AllocsPerRun(100, func() { _, _ = guard.Verify(ctx, token) }); got != 0 {
		t.Errorf("%f allocations, want none", got)
	}
}

func TestAllPermissionsAreNeeded(t *testing.T) {
	i := newIssuer(t)
	guard := i.guard(t, nil)
	token := i.token(t, i.keys[0], func(c *jwt.Claims) { c.Permissions = []string{"a.read", "a.write"} })
	for name, row := range map[string]struct {
		needed  []string
		missing string
	}{
		"none":      {nil, ""},
		"empty one": {[]string{""}, ""},
		"both":      {[]string{"a.read", "a.write"}, ""},
		"one more":  {[]string{"a.read", "b.read", "a.write"}, "b.read"},
	} {
		_, err := guard.Authorize(t.Context(), token, row.needed...)
		refused, _ := errors.AsType[*Error](err)
		if row.missing == "" && err != nil || row.missing != "" && (refused == nil || refused.Permission != row.missing || refused.Status != 403) {
			t.Errorf("%s: error = %v, want one about %q", name, err, row.missing)
		}
	}
}

func TestAccountOfTheCallIsTheTokens(t *testing.T) {
	const own, other = "a-p-0123456789abcdefghij", "a-p-jihgfedcba9876543210"
	i := newIssuer(t)
	guard := i.guard(t, nil)
	ofAccount := i.good(t)
	ofOrganisation := i.token(t, i.keys[0], func(c *jwt.Claims) { c.AccountID = "" })
	account := guard.Account("signicat-accountId")
	good := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for name, row := range map[string]struct {
		token, query string
		want         int
	}{
		"none":                           {ofAccount, "", 204},
		"its own":                        {ofAccount, "?signicat-accountId=" + own, 204},
		"another":                        {ofAccount, "?signicat-accountId=" + other, 403},
		"empty":                          {ofAccount, "?signicat-accountId=", 403},
		"its own and another":            {ofAccount, "?signicat-accountId=" + own + "&signicat-accountId=" + other, 400},
		"unparsable":                     {ofAccount, "?signicat-accountId=" + own + ";signicat-accountId=" + other, 400},
		"percent-encoded":                {ofAccount, "?signicat%2DaccountId=" + other, 403},
		"none of an organisation":        {ofOrganisation, "", 204},
		"one of an organisation's token": {ofOrganisation, "?signicat-accountId=" + own, 403},
		"empty of an organisation":       {ofOrganisation, "?signicat-accountId=", 403},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/sessions"+row.query, nil)
		r.Header.Set("Authorization", "Bearer "+row.token)
		w := httptest.NewRecorder()
		guard.Handler()(account(good)).ServeHTTP(w, r)
		if w.Code != row.want {
			t.Errorf("%s: status %d, want %d", name, w.Code, row.want)
		}
	}
	w := httptest.NewRecorder()
	account(good).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("not behind Handler: status %d, want 401", w.Code)
	}
}

func TestAssertionIsTakenFromItsOwnField(t *testing.T) {
	signer, err := jwt.GenerateKey(jwt.ES256, "assertion-1", jwt.UseAssertion, "")
	if err != nil {
		t.Fatal(err)
	}
	i := newIssuer(t, signer)
	guard := i.guard(t, func(c *Config) { c.Tokens, c.Audience = Assertions, "auth" })
	now := time.Now().Unix()
	text, err := signer.Sign(nil, jwt.TypeAssertion, &jwt.Claims{Issuer: i.url, Audience: "auth", Subject: "prod-round-apple-123", IssuedAt: now, Expiry: now + 60})
	if err != nil {
		t.Fatal(err)
	}
	assertion := string(text)
	for name, row := range map[string]struct {
		header http.Header
		want   int
	}{
		"its field":              {http.Header{"Doorward-Assertion": {assertion}}, 200},
		"beside a token":         {http.Header{"Doorward-Assertion": {assertion}, "Authorization": {"Bearer x"}}, 200},
		"in Authorization":       {http.Header{"Authorization": {"Bearer " + assertion}}, 401},
		"none":                   {http.Header{}, 401},
		"two":                    {http.Header{"Doorward-Assertion": {assertion, assertion}}, 400},
		"two in one":             {http.Header{"Doorward-Assertion": {assertion + ", " + assertion}}, 400},
		"with a scheme":          {http.Header{"Doorward-Assertion": {"Bearer " + assertion}}, 400},
		"with another signature": {http.Header{"Doorward-Assertion": {assertion[:len(assertion)-4] + "AAAA"}}, 401},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header = row.header
		w := httptest.NewRecorder()
		guard.Handler()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if token, ok := FromContext(r.Context()); !ok || token.ClientID != "prod-round-apple-123" {
				t.Errorf("%s: token %+v, want the client of the assertion", name, token)
			}
		})).ServeHTTP(w, r)
		if w.Code != row.want {
			t.Errorf("%s: status %d, want %d", name, w.Code, row.want)
		}
	}
}
