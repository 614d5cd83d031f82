package server_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/servertest"
)

// answer is what a caller saw.
type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

// code is the error's, of the token service or a problem document.
func (a answer) code() string {
	for _, name := range []string{"code", "error"} {
		if text, ok := a.json[name].(string); ok {
			return text
		}
	}
	return ""
}

func send(t *testing.T, client *http.Client, r *http.Request) answer {
	t.Helper()
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, body: string(body)}
	_ = json.Unmarshal(body, &a.json) // metrics and health are plain text
	return a
}

func request(ctx context.Context, t *testing.T, method, address, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func get(t *testing.T, address string) answer {
	t.Helper()
	return send(t, http.DefaultClient, request(t.Context(), t, "GET", address, ""))
}

// askToken posts to the token endpoint.
func askToken(t *testing.T, p *servertest.Platform, c servertest.Client, more ...string) answer {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {string(c.ID)}, "client_secret": {c.Value}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	r := request(t.Context(), t, "POST", p.TokenURL(), form.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return send(t, http.DefaultClient, r)
}

func token(t *testing.T, p *servertest.Platform, c servertest.Client) string {
	t.Helper()
	a := askToken(t, p, c)
	value, _ := a.json["access_token"].(string)
	if a.status != http.StatusOK || value == "" {
		t.Fatalf("no token: %d %s", a.status, a.body)
	}
	return value
}

// callEcho calls the sample product Echo.
func callEcho(t *testing.T, p *servertest.Platform, token string) answer {
	t.Helper()
	r := request(t.Context(), t, "GET", p.URL+"/echo/hello", "")
	r.Header.Set("Authorization", "Bearer "+token)
	return send(t, http.DefaultClient, r)
}

// patience bounds the waiting for an event; nothing is asserted about time.
const patience = 5 * time.Second

// until repeats a probe until it is true.
func until(t *testing.T, what string, probe func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !probe() {
		if time.Since(start) > patience {
			t.Fatalf("waited %s for this: %s", patience, what)
		}
	}
	return time.Since(start)
}
