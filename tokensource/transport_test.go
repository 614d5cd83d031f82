package tokensource

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// api refuses some tokens and writes down what it got.
type api struct {
	refused   map[string]bool
	status    int
	challenge string
	got       []string
}

func (a *api) serve(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
	}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	a.got = append(a.got, token+" "+string(body))
	if !a.refused[token] {
		return answer(http.StatusOK, "done"), nil
	}
	response := answer(a.status, "refused")
	response.Header.Set("WWW-Authenticate", a.challenge)
	return response, nil
}

const invalidToken = `Bearer realm="x", error="invalid_token"`

func call(t *testing.T, a *api, body io.Reader) int {
	t.Helper()
	s := source(t, (&issuer{lifetime: 600}).serve)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example.com/echo", body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.Transport(roundTrip(a.serve)).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if request.Header.Get("Authorization") != "" {
		t.Error("the caller's request was changed")
	}
	return response.StatusCode
}

func TestCallIsRepeatedOnceWithANewToken(t *testing.T) {
	for name, row := range map[string]struct {
		api    api
		body   io.Reader
		status int
		got    []string
	}{
		"good token": {api{}, strings.NewReader("b"), 200, []string{"token-1 b"}},
		"refused token": {
			api{refused: map[string]bool{"token-1": true}, status: 401, challenge: invalidToken}, strings.NewReader("b"), 200, []string{"token-1 b", "token-2 b"},
		},
		"no body": {api{refused: map[string]bool{"token-1": true}, status: 401, challenge: invalidToken}, nil, 200, []string{"token-1 ", "token-2 "}},
		"both refused": {
			api{refused: map[string]bool{"token-1": true, "token-2": true}, status: 401, challenge: invalidToken}, nil, 401, []string{"token-1 ", "token-2 "},
		},
		"body that cannot be sent again": {
			api{refused: map[string]bool{"token-1": true}, status: 401, challenge: invalidToken}, io.MultiReader(strings.NewReader("b")), 401, []string{"token-1 b"},
		},
		"403":                 {api{refused: map[string]bool{"token-1": true}, status: 403, challenge: invalidToken}, nil, 403, []string{"token-1 "}},
		"insufficient scope":  {api{refused: map[string]bool{"token-1": true}, status: 401, challenge: `Bearer error="insufficient_scope"`}, nil, 401, []string{"token-1 "}},
		"challenge of others": {api{refused: map[string]bool{"token-1": true}, status: 401, challenge: `Basic realm="x"`}, nil, 401, []string{"token-1 "}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := call(t, &row.api, row.body); got != row.status {
				t.Errorf("status = %d, want %d", got, row.status)
			}
			if diff := cmp.Diff(row.got, row.api.got); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFirstAnswerStandsWhenNoOtherTokenCanBeHad(t *testing.T) {
	i := &issuer{lifetime: 600}
	a := &api{refused: map[string]bool{"token-1": true}, status: 401, challenge: invalidToken}
	s := source(t, func(r *http.Request) (*http.Response, error) {
		if i.count() > 0 {
			return nil, errors.New("connection refused")
		}
		return i.serve(r)
	})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example.com/echo", strings.NewReader("b"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.Transport(roundTrip(a.serve)).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusUnauthorized || string(body) != "refused" || err != nil {
		t.Errorf("answer = %d %q, %v; want the API's own 401", response.StatusCode, body, err)
	}
}

func TestCallIsNotRepeatedWithTheTokenThatWasRefused(t *testing.T) {
	a := &api{refused: map[string]bool{"same": true}, status: 401, challenge: invalidToken}
	s := source(t, func(*http.Request) (*http.Response, error) {
		return answer(http.StatusOK, `{"access_token":"same","token_type":"Bearer","expires_in":600}`), nil
	})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example.com/echo", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.Transport(roundTrip(a.serve)).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if diff := cmp.Diff([]string{"same "}, a.got); diff != "" || response.StatusCode != http.StatusUnauthorized {
		t.Errorf("status = %d, want 401; calls (-want +got):\n%s", response.StatusCode, diff)
	}
}

// closer tells whether it was closed.
type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error { c.closed = true; return nil }

func TestCallWithoutATokenIsNotSent(t *testing.T) {
	a := &api{}
	s := source(t, func(*http.Request) (*http.Response, error) {
		return answer(http.StatusUnauthorized, `{"error":"invalid_client"}`), nil
	})
	body := &closer{Reader: strings.NewReader("b")}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example.com/echo", body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.Transport(roundTrip(a.serve)).RoundTrip(request)
	if err == nil {
		response.Body.Close()
	}
	if refused, ok := errors.AsType[*Error](err); !ok || refused.Code != "invalid_client" {
		t.Errorf("error = %v, want invalid_client", err)
	}
	if len(a.got) > 0 || !body.closed {
		t.Errorf("calls = %q, body closed: %t; want no call and a closed body", a.got, body.closed)
	}
}

func TestTokenStaysWithTheOriginOfTheCall(t *testing.T) {
	tokens := make(chan string, 4)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { tokens <- "elsewhere " + r.Header.Get("Authorization") }))
	defer elsewhere.Close()
	here := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens <- "here " + r.Header.Get("Authorization")
		switch r.URL.Path {
		case "/near":
			http.Redirect(w, r, "/there", http.StatusFound)
		case "/far":
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		}
	}))
	defer here.Close()
	client := &http.Client{Transport: source(t, (&issuer{lifetime: 600}).serve).Transport(nil)}
	for path, want := range map[string][]string{
		"/near": {"here Bearer token-1", "here Bearer token-1"},
		"/far":  {"here Bearer token-1", "elsewhere "},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, here.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if diff := cmp.Diff(want, []string{<-tokens, <-tokens}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

func TestChallengesAreReadAsLists(t *testing.T) {
	for field, want := range map[string]bool{
		`Bearer error="invalid_token"`:                                      true,
		`bearer error=invalid_token`:                                        true,
		`Bearer realm="a, b", error="invalid_token", error_description="x"`: true,
		`Bearer error = "invalid_token"`:                                    true,
		`Basic realm="x", Bearer realm="y", error="invalid_token"`:          true,
		`DPoP error="invalid_token"`:                                        false,
		`Bearer realm="x", DPoP error="invalid_token"`:                      false,
		`Bearer realm="x"`:                                                  false,
		`Bearer`:                                                            false,
		``:                                                                  false,
		`Bearer error="invalid_request"`:                                    false,
		`Bearer error_description="x, error=\"invalid_token\""`:             false,
		`Bearer error_description="x, error=invalid_token"`:                 false,
		`Negotiate, Bearer error="invalid_token"`:                           true,
		`Bearer error="insufficient_scope", error_description="invalid_token" `: false,
		`Bearer realm="unfinished, error="invalid_token`:                        false,
	} {
		if got := isInvalidToken(field); got != want {
			t.Errorf("%s: %t, want %t", field, got, want)
		}
	}
}

func FuzzChallenge(f *testing.F) {
	f.Add(`Bearer realm="a, b", error="invalid_token"`)
	f.Add(`Bearer realm="\`)
	f.Fuzz(func(t *testing.T, field string) {
		if isInvalidToken(field) && !strings.Contains(field, "invalid_token") {
			t.Errorf("%q is taken for invalid_token", field)
		}
	})
}
