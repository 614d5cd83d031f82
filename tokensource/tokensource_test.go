package tokensource

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	tokenURL = "https://api.example.com/auth/open/connect/token"
	clientID = "sandbox-round-apple-123"
	secret   = "dw_s_k3v9x0q2m5n8_canary"
)

// roundTrip answers requests in memory.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

// issuer gives token-1, token-2 and so on.
type issuer struct {
	mu       sync.Mutex
	issued   int
	lifetime int
	wait     <-chan struct{} // nil: answers at once
	last     url.Values
	header   http.Header
}

func (i *issuer) serve(r *http.Request) (*http.Response, error) {
	if i.wait != nil {
		select {
		case <-i.wait:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.issued++
	i.header = r.Header
	if i.last, err = url.ParseQuery(string(body)); err != nil {
		return nil, err
	}
	return answer(http.StatusOK, fmt.Sprintf(`{"access_token":"token-%d","expires_in":%d,"token_type":"Bearer","scope":"x"}`, i.issued, i.lifetime)), nil
}

func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.issued
}

func config(serve roundTrip) Config {
	return Config{TokenURL: tokenURL, ClientID: clientID, ClientSecret: secret, HTTPClient: &http.Client{Transport: serve}}
}

func source(t *testing.T, serve roundTrip) *Source {
	t.Helper()
	s, err := New(config(serve))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ask(t *testing.T, s *Source) string {
	t.Helper()
	token, err := s.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestClientAuthenticatesInTheStyleThatIsConfigured(t *testing.T) {
	for name, row := range map[string]struct {
		style AuthStyle
		user  string
		body  url.Values
	}{
		"basic": {AuthBasic, "a+b%3A%25", url.Values{"grant_type": {"client_credentials"}, "scope": {"p.read p.write"}}},
		"post": {AuthPost, "", url.Values{
			"grant_type": {"client_credentials"}, "scope": {"p.read p.write"}, "client_id": {"a b:%"}, "client_secret": {secret},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			i := &issuer{lifetime: 600}
			c := config(i.serve)
			c.ClientID, c.AuthStyle, c.Scopes = "a b:%", row.style, []string{"p.read", "p.write"}
			s, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := ask(t, s), "token-1"; got != want {
				t.Errorf("token = %q, want %q", got, want)
			}
			user, _, _ := (&http.Request{Header: i.header}).BasicAuth()
			if user != row.user {
				t.Errorf("user = %q, want %q", user, row.user)
			}
			if diff := cmp.Diff(row.body, i.last); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTokenWithoutLifetimeIsUsedOnce(t *testing.T) {
	for _, lifetime := range []int{0, -5} {
		i := &issuer{lifetime: lifetime}
		s := source(t, i.serve)
		if a, b := ask(t, s), ask(t, s); a == b {
			t.Errorf("lifetime %d: %q given twice", lifetime, a)
		}
	}
}

func TestManyCallersShareOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := make(chan struct{})
		i := &issuer{lifetime: 600, wait: wait}
		s := source(t, i.serve)
		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() {
				if got, err := s.Token(t.Context()); got != "token-1" || err != nil {
					t.Errorf("Token = %q, %v; want token-1", got, err)
				}
			})
		}
		synctest.Wait()
		close(wait)
		callers.Wait()
		if got := i.count(); got != 1 {
			t.Errorf("%d token requests, want 1", got)
		}
	})
}

func TestCallerCanLeaveWithoutStoppingTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := make(chan struct{})
		i := &issuer{lifetime: 600, wait: wait}
		s := source(t, i.serve)
		ctx, leave := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		callers.Go(func() {
			if _, err := s.Token(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("error of who left = %v, want %v", err, context.Canceled)
			}
		})
		synctest.Wait()
		callers.Go(func() {
			if got, err := s.Token(t.Context()); got != "token-1" || err != nil {
				t.Errorf("Token of who stayed = %q, %v; want token-1", got, err)
			}
		})
		synctest.Wait()
		leave()
		synctest.Wait()
		close(wait)
		callers.Wait()
	})
}

func TestRequestThatHangsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := source(t, (&issuer{wait: make(chan struct{})}).serve)
		began := time.Now()
		_, err := s.Token(t.Context())
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != defaultTimeout {
			t.Errorf("error = %v after %v, want %v after %v", err, time.Since(began), context.DeadlineExceeded, defaultTimeout)
		}
	})
}

func TestFailureIsNotKept(t *testing.T) {
	i := &issuer{lifetime: 600}
	broken := true
	s := source(t, func(r *http.Request) (*http.Response, error) {
		if broken {
			return nil, errors.New("connection refused")
		}
		return i.serve(r)
	})
	if _, err := s.Token(t.Context()); err == nil {
		t.Error("no error of a server that is away")
	}
	broken = false
	if got, want := ask(t, s), "token-1"; got != want {
		t.Errorf("token = %q, want %q", got, want)
	}
}

func TestInvalidateDropsThatTokenOnly(t *testing.T) {
	i := &issuer{lifetime: 600}
	s := source(t, i.serve)
	first := ask(t, s)
	s.Invalidate("another")
	if got := ask(t, s); got != first {
		t.Errorf("token = %q after another was invalidated, want %q", got, first)
	}
	s.Invalidate(first)
	second := ask(t, s)
	if second == first {
		t.Errorf("token = %q, which was invalidated", second)
	}
	s.Invalidate(first)
	if got := ask(t, s); got != second {
		t.Errorf("token = %q after a late invalidation of the first, want %q", got, second)
	}
}

func TestRefusalOfTheServerIsAnError(t *testing.T) {
	s := source(t, func(*http.Request) (*http.Response, error) {
		response := answer(http.StatusTooManyRequests, `{"error":"invalid_client","error_description":"no `+secret+"\\n"+strings.Repeat("x", 500)+`"}`)
		response.Header.Set("Retry-After", "7")
		return response, nil
	})
	_, err := s.Token(t.Context())
	refused, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("error = %v, want an *Error", err)
	}
	want := &Error{Status: 429, Code: "invalid_client", Description: ("no [redacted]?" + strings.Repeat("x", 500))[:200], RetryAfter: 7 * time.Second}
	if diff := cmp.Diff(want, refused); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
	if got, want := (&Error{Status: 401, Code: "invalid_client", Description: "unknown"}).Error(), "token endpoint answered 401: invalid_client: unknown"; got != want {
		t.Errorf("message = %q, want %q", got, want)
	}
}

func TestUnusableAnswersAreErrors(t *testing.T) {
	const good = `{"access_token":"t","token_type":"bearer","expires_in":60}`
	for name, body := range map[string]string{
		"not JSON":            `<html>`,
		"no token":            `{"token_type":"Bearer"}`,
		"other type":          `{"access_token":"t","token_type":"DPoP"}`,
		"no type":             `{"access_token":"t"}`,
		"line break in token": `{"access_token":"t\r\nX: y","token_type":"Bearer"}`,
		"lifetime a string":   `{"access_token":"canary","token_type":"Bearer","expires_in":"canary"}`,
		"too long":            `{"access_token":"` + strings.Repeat("t", maxResponse) + `","token_type":"Bearer"}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := source(t, func(*http.Request) (*http.Response, error) { return answer(http.StatusOK, body), nil })
			if got, err := s.Token(t.Context()); err == nil || strings.Contains(err.Error(), "canary") {
				t.Errorf("Token = %q, %v; want an error that does not quote the answer", got, err)
			}
			t.Run("twin", func(t *testing.T) {
				ask(t, source(t, func(*http.Request) (*http.Response, error) { return answer(http.StatusOK, good), nil }))
			})
		})
	}
}

func TestRedirectOfATokenRequestIsNotFollowed(t *testing.T) {
	reached := make(chan string, 1)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached <- r.Method }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	s, err := New(Config{TokenURL: server.URL, ClientID: clientID, ClientSecret: secret, AuthStyle: AuthPost})
	if err != nil {
		t.Fatal(err)
	}
	refused, ok := errors.AsType[*Error](func() error { _, err := s.Token(t.Context()); return err }())
	if !ok || refused.Status != http.StatusTemporaryRedirect {
		t.Errorf("error = %v, want status 307", refused)
	}
	if len(reached) > 0 {
		t.Error("the credentials went to the redirect's address")
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no URL":            func(c *Config) { c.TokenURL = "" },
		"http":              func(c *Config) { c.TokenURL = "http://api.example.com/token" },
		"other scheme":      func(c *Config) { c.TokenURL = "ftp://localhost/token" },
		"credentials":       func(c *Config) { c.TokenURL = "https://u:" + secret + "@api.example.com/token" },
		"query":             func(c *Config) { c.TokenURL += "?client_secret=" + secret },
		"unparsable":        func(c *Config) { c.TokenURL = "https://" + secret + "%zz/" },
		"no client id":      func(c *Config) { c.ClientID = "" },
		"no secret":         func(c *Config) { c.ClientSecret = "" },
		"unknown style":     func(c *Config) { c.AuthStyle = 7 },
		"loopback lookalik": func(c *Config) { c.TokenURL = "http://localhost.example.com/token" },
	} {
		t.Run(name, func(t *testing.T) {
			c := config(nil)
			change(&c)
			if _, err := New(c); err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("error = %v, want one that does not show the secret", err)
			}
		})
	}
	for _, good := range []string{tokenURL, "http://127.0.0.1:8080/t", "http://[::1]:8080/t", "http://localhost/t"} {
		c := config(nil)
		c.TokenURL = good
		if _, err := New(c); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func TestNothingPrintsTheSecretOrAToken(t *testing.T) {
	i := &issuer{lifetime: 600}
	c := config(i.serve)
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ask(t, s)
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{c, &c, c.ClientSecret, s, s.Transport(nil), []any{c.ClientSecret}} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	c.HTTPClient = nil // or JSON cannot hold it
	if err := json.NewEncoder(&out).Encode([]any{c.ClientSecret, &c.ClientSecret}); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "secret", c.ClientSecret, "config", c)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "secret", c.ClientSecret, "config", c)
	for _, canary := range []string{secret, fmt.Sprintf("%x", secret), "token-1"} {
		if strings.Contains(out.String(), canary) {
			t.Errorf("%q is printed", canary)
		}
	}
	if !strings.Contains(out.String(), redacted) {
		t.Error("nothing is redacted, mend the test")
	}
}
