package demo_test

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/demo"
)

const (
	ours   = "a-s-aaaaaaaaaaaaaaaaaaaa"
	theirs = "a-s-bbbbbbbbbbbbbbbbbbbb"
)

func newAuthentication(random io.Reader) http.Handler {
	return demo.NewAuthentication(demo.AuthenticationConfig{
		PublicURL: "https://api.example",
		HelpURL:   "https://dashboard.example/help/errors",
		Rand:      random,
	})
}

// call sends a request as the gateway would, for the account.
func call(t *testing.T, h http.Handler, account, method, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	r.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	if account != "" {
		r.Header.Set("Doorward-Account-Id", account)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func decode(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return got
}

func create(t *testing.T, h http.Handler) string {
	t.Helper()
	w := call(t, h, ours, "POST", "/sessions", `{"flow":"redirect"}`)
	if w.Code != http.StatusCreated {
		t.Fatalf("create: %d %s", w.Code, w.Body)
	}
	id, _ := decode(t, w)["id"].(string)
	return id
}

func TestSessionIsCreatedAndReadBack(t *testing.T) {
	h := newAuthentication(strings.NewReader("0123456789abcdef"))
	created := call(t, h, ours, "POST", "/sessions", `{"flow": "redirect", "callbackUrls": {"success": "https://shop.example/?a&b"}}`)
	const id = "30313233343536373839616263646566"
	want := map[string]any{
		"id":                id,
		"status":            "CREATED",
		"accountId":         ours,
		"authenticationUrl": "https://api.example/authentication/" + id,
		"flow":              "redirect",
		"callbackUrls":      map[string]any{"success": "https://shop.example/?a&b"},
	}
	if diff := cmp.Diff(want, decode(t, created)); diff != "" || created.Code != http.StatusCreated {
		t.Errorf("create: status %d (-want +got):\n%s", created.Code, diff)
	}
	if got, want := created.Header().Get("Location"), "https://api.example/auth/rest/sessions/"+id; got != want {
		t.Errorf("Location = %q, want %q", got, want)
	}
	read := call(t, h, ours, "GET", "/sessions/"+id, "")
	if diff := cmp.Diff(want, decode(t, read)); diff != "" || read.Code != http.StatusOK {
		t.Errorf("read: status %d (-want +got):\n%s", read.Code, diff)
	}
}

func TestSessionOfAnotherAccountIsInvisible(t *testing.T) {
	h := newAuthentication(rand.Reader)
	id := create(t, h)
	foreign := call(t, h, theirs, "GET", "/sessions/"+id, "")
	unknown := call(t, h, theirs, "GET", "/sessions/0000", "")
	if foreign.Code != http.StatusNotFound {
		t.Errorf("status = %d, want 404", foreign.Code)
	}
	if diff := cmp.Diff(unknown.Body.String(), foreign.Body.String()); diff != "" {
		t.Errorf("answer differs from that for an unknown session:\n%s", diff)
	}
	t.Run("twin", func(t *testing.T) {
		if w := call(t, h, ours, "GET", "/sessions/"+id, ""); w.Code != http.StatusOK {
			t.Errorf("the owner gets %d", w.Code)
		}
	})
}

func TestBadSessionRequestsAreRefused(t *testing.T) {
	const good = `{"flow":"redirect"}`
	for name, row := range map[string]struct {
		account, method, target, body string
		status                        int
		code                          string
	}{
		"no account":         {"", "POST", "/sessions", good, 403, "forbidden"},
		"no account on read": {"", "GET", "/sessions/1", "", 403, "forbidden"},
		"empty body":         {ours, "POST", "/sessions", "", 400, "invalid"},
		"array":              {ours, "POST", "/sessions", "[" + good + "]", 400, "invalid"},
		"null":               {ours, "POST", "/sessions", "null", 400, "invalid"},
		"two objects":        {ours, "POST", "/sessions", good + good, 400, "invalid"},
		"cut off":            {ours, "POST", "/sessions", good[:10], 400, "invalid"},
		"repeated field":     {ours, "POST", "/sessions", `{"flow":"redirect","flow":"headless"}`, 400, "invalid"},
		"field of ours":      {ours, "POST", "/sessions", `{"flow":"redirect","accountId":"` + theirs + `"}`, 400, "invalid"},
		"too large":          {ours, "POST", "/sessions", good + strings.Repeat(" ", 64<<10), 413, "body_too_large"},
		"unknown path":       {ours, "POST", "/session", good, 404, "route_unknown"},
		"wrong method":       {ours, "PUT", "/sessions", good, 405, "method_not_allowed"},
		"wrong method on id": {ours, "DELETE", "/sessions/1", good, 405, "method_not_allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := call(t, newAuthentication(rand.Reader), row.account, row.method, row.target, row.body)
			got := decode(t, w)
			if w.Code != row.status || got["code"] != row.code {
				t.Errorf("answer %d %v, want %d %s", w.Code, got["code"], row.status, row.code)
			}
			if got["traceId"] != "4bf92f3577b34da6a3ce929d0e0e4736" {
				t.Errorf("traceId = %v", got["traceId"])
			}
			if w.Code == 405 && w.Header().Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		if w := call(t, newAuthentication(rand.Reader), ours, "POST", "/sessions", good); w.Code != http.StatusCreated {
			t.Errorf("the good request gets %d %s", w.Code, w.Body)
		}
	})
}

func TestOldestSessionGoesFirst(t *testing.T) {
	for name, row := range map[string]struct {
		more int // sessions after the first two
		body string
		gone bool // the second session too
	}{
		"by number": {9_999, `{}`, false},
		"by size":   {140, fmt.Sprintf(`{"note":%q}`, strings.Repeat("x", 65_000)), true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newAuthentication(rand.Reader)
			first, second := create(t, h), create(t, h)
			for range row.more {
				if w := call(t, h, ours, "POST", "/sessions", row.body); w.Code != http.StatusCreated {
					t.Fatalf("create: %d %s", w.Code, w.Body)
				}
			}
			if w := call(t, h, ours, "GET", "/sessions/"+first, ""); w.Code != http.StatusNotFound {
				t.Errorf("the oldest session is still there: %d", w.Code)
			}
			if w := call(t, h, ours, "GET", "/sessions/"+second, ""); (w.Code == http.StatusNotFound) != row.gone {
				t.Errorf("the second session: %d, want gone = %v", w.Code, row.gone)
			}
		})
	}
}

func TestFailureOfRandomnessMakesNoSession(t *testing.T) {
	h := newAuthentication(iotest.ErrReader(errors.New("no entropy on /dev/urandom")))
	w := call(t, h, ours, "POST", "/sessions", `{}`)
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "entropy") {
		t.Errorf("answer = %d %s", w.Code, w.Body)
	}
}

func FuzzSessionRequestNeverFailsInside(f *testing.F) {
	f.Add(`{"flow":"redirect"}`)
	f.Add(`{"a":1,"a":2}`)
	f.Add(`[{}]`)
	h := newAuthentication(rand.Reader)
	f.Fuzz(func(t *testing.T, body string) {
		if w := call(t, h, ours, "POST", "/sessions", body); w.Code >= 500 {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	})
}
