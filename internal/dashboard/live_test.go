package dashboard_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/usage"
)

func TestTheFirstStepsEndInAClientThatMayCall(t *testing.T) {
	s := newSite(t)
	v := s.as(t, "admin@b.example")
	if to := v.get("/start").header.Get("Location"); to != "/a/"+string(s.elsewhere)+"/start" {
		t.Fatalf("/start leads to %q", to)
	}
	page := v.follow(v.get("/start"))
	page.wants(t, http.StatusOK, "First steps", "Echo", "Call every method and path.", "Read authentication sessions", "Create a client Done.")
	if !strings.Contains(page.body, `value="echo" checked`) || strings.Contains(page.text(), "Start authentication sessions") {
		t.Error("Echo is not chosen, or more than reading is offered of a product that can be read")
	}
	a := v.post("/a/"+string(s.elsewhere)+"/start", "once", hiddenOf(page, "once"), "name", "first client", "product", "echo")
	a.wants(t, http.StatusOK, "Client first client is created", "Download .env", "GET /echo/hello", "Listening for the first call")
	list, err := s.registry.Clients(t.Context(), actor.NewSystem("test").In(s.other), registry.ClientFilter{Text: "first client"}, registry.Page{})
	must(t, err)
	if len(list.Items) != 1 || len(list.Items[0].Permissions) != 1 || list.Items[0].Permissions[0] != "echo.call" {
		t.Errorf("created: %+v", list.Items)
	}
	if !strings.Contains(a.body, `data-live="/a/`+string(s.elsewhere)+`/clients/`+string(list.Items[0].ID)+`/live/events?after=0"`) {
		t.Error("the page does not listen")
	}
	v.post("/a/"+string(s.elsewhere)+"/start", "name", "x", "product", "nonsense").wants(t, http.StatusUnprocessableEntity, "no such product")
}

func TestTheStepsGoAwayOnceACallWasMade(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Developer))
	home := s.at("/a/{account}")
	v.get(home).wants(t, http.StatusOK, "Create a client Done.", "Add a secret Done.", "Make the first call", "Newest clients", "1 client has a secret that ends within 14 days")
	s.used(t, s.client)
	if text := v.get(home).text(); strings.Contains(text, "The way to the first call") {
		t.Errorf("the steps are still there: %s", text)
	}
}

// attempt records an attempt of the client while somebody watches.
func (s *site) attempt(t *testing.T, a usage.Attempt) {
	t.Helper()
	a.At, a.Client, a.Organisation, a.Address = s.clock.Now(), s.client, s.organisation, netip.MustParseAddr("192.0.2.9")
	s.usage.Record(a)
	must(t, s.usage.Flush(t.Context()))
	s.clock.add(2 * time.Second) // attempts are taken note of in measure
}

func TestAttemptsAreShownWithTheirCauseAndTheWayOut(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Developer))
	path := s.at("/a/{account}/clients/{client}/live")
	v.get(path).wants(t, http.StatusOK, "Listening for the first call of billing.", "Look again", "GET /echo/hello")
	for _, c := range []struct {
		attempt usage.Attempt
		says    []string
		link    string
	}{
		{usage.Attempt{Kind: usage.TokenRequest, Status: 401, Code: "secret_wrong"}, []string{"Token request → 401: the secret is not one of this client"}, "/secrets"},
		{usage.Attempt{Kind: usage.TokenRequest, Status: 401, Code: string(fault.SecretRevoked)}, []string{"the secret was revoked"}, "/secrets"},
		{usage.Attempt{Kind: usage.TokenRequest, Status: 401, Code: string(fault.AddressRefused)}, []string{"may not be used from this address", "Its address was 192.0.2.9."}, "/settings"},
		{usage.Attempt{Kind: usage.TokenRequest, Status: 400, Code: string(fault.OAuthInvalidScope)}, []string{"400: invalid_scope"}, ""},
		{usage.Attempt{Kind: usage.TokenRequest, Status: 200, Allowed: true}, []string{"Token issued"}, ""},
		{usage.Attempt{Kind: usage.Call, Status: 403, Code: string(fault.PermissionMissing), Lacking: "auth.sessions.read", Method: "GET", Path: "/auth/rest/sessions/1"}, []string{"GET /auth/rest/sessions/1 → 403", "it needs auth.sessions.read", "Add auth.sessions.read"}, "/permissions/review?add=auth.sessions.read"},
		{usage.Attempt{Kind: usage.Call, Status: 401, Code: string(fault.TokenExpired), Method: "GET", Path: "/echo/a"}, []string{"401", "token_expired"}, ""},
		{usage.Attempt{Kind: usage.Call, Status: 404, Allowed: true, Method: "GET", Path: "/echo/b", Took: 3 * time.Millisecond}, []string{"→ 404 in 3.0 ms", "The answer is the product's own."}, ""},
		{usage.Attempt{Kind: usage.Call, Status: 200, Allowed: true, Method: "GET", Path: "/echo/<b>", Took: 12 * time.Millisecond}, []string{"GET /echo/<b> → 200 in 12 ms"}, ""},
	} {
		s.attempt(t, c.attempt)
		a := v.get(path, "X-Fragment", "live")
		if a.header.Get("X-Fragment") != "live" || strings.Contains(a.body, "<html") {
			t.Fatal("the part does not come alone")
		}
		newest, _, _ := strings.Cut(a.body[strings.Index(a.body, `class="banner`):], `<div class="banner`)
		for _, words := range c.says {
			if !strings.Contains(plain(newest), words) {
				t.Errorf("the newest says %q, want %q", plain(newest), words)
			}
		}
		if c.link != "" && !strings.Contains(newest, `href="`+s.at("/a/{account}/clients/{client}")+c.link+`"`) {
			t.Errorf("%q leads not to %s: %s", c.says, c.link, newest)
		}
	}
}

// TestAStreamTellsOfAttempts speaks over a real connection: the recorder of
// other tests cannot be left early.
func TestAStreamTellsOfAttempts(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Developer))
	server := httptest.NewServer(s)
	defer server.Close()
	listen := func(ctx context.Context) *http.Response {
		r, err := http.NewRequestWithContext(ctx, "GET", server.URL+s.at("/a/{account}/clients/{client}/live/events"), nil)
		must(t, err)
		for _, c := range v.cookies {
			r.AddCookie(c)
		}
		response, err := http.DefaultClient.Do(r)
		must(t, err)
		return response
	}
	response := listen(t.Context())
	defer response.Body.Close()
	if got := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || got != "text/event-stream; charset=utf-8" {
		t.Fatalf("status %d, %q", response.StatusCode, got)
	}
	lines := bufio.NewScanner(response.Body)
	next := func() string {
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "data:") {
				return lines.Text()
			}
		}
		return ""
	}
	must(t, s.usage.Watch(t.Context(), s.system, s.client))
	s.attempt(t, usage.Attempt{Kind: usage.TokenRequest, Status: 200, Allowed: true})
	if got := next(); got != "data: 1" {
		t.Fatalf("the stream says %q", got)
	}
	for range 7 {
		more := listen(t.Context())
		defer more.Body.Close()
	}
	over := listen(t.Context())
	defer over.Body.Close()
	if over.StatusCode != http.StatusTooManyRequests {
		t.Errorf("one stream too many has status %d", over.StatusCode)
	}
	s.dashboard.EndStreams()
	if rest, err := io.ReadAll(response.Body); err != nil || strings.Contains(string(rest), "done") {
		t.Errorf("the stream ends with %q, %v", rest, err)
	}
}

// A stream must not outlive the session by which it was opened.
func TestAStreamEndsWithItsSession(t *testing.T) {
	s := newSite(t)
	v := s.as(t, emailOf(actor.Developer))
	server := httptest.NewServer(s)
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+s.at("/a/{account}/clients/{client}/live/events"), nil)
	must(t, err)
	for _, c := range v.cookies {
		r.AddCookie(c)
	}
	response, err := http.DefaultClient.Do(r)
	must(t, err)
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != ": listening\n" {
		t.Fatalf("the stream begins with %q, %v", line, err)
	}
	v.post("/signout")
	must(t, s.usage.Watch(t.Context(), s.system, s.client))
	s.attempt(t, usage.Attempt{Kind: usage.TokenRequest, Status: 200, Allowed: true})
	for {
		line, err := lines.ReadString('\n')
		if strings.HasPrefix(line, "data:") {
			t.Fatalf("the stream goes on with %q", line)
		}
		if err != nil {
			return
		}
	}
}
