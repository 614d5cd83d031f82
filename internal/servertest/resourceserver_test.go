package servertest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/doorward/doorward/internal/demo"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/resourceserver"
)

// guarded is a service of the operator that is told its guard when there is one.
type guarded struct{ handler atomic.Pointer[http.Handler] }

func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*g.handler.Load()).ServeHTTP(w, r)
}

func (g *guarded) by(t *testing.T, config resourceserver.Config, permissions ...string) {
	t.Helper()
	guard, err := resourceserver.New(config)
	if err != nil {
		t.Fatal(err)
	}
	handler := guard.Handler(permissions...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := resourceserver.FromContext(r.Context())
		fmt.Fprint(w, token.ClientID, " of ", token.AccountID)
	}))
	g.handler.Store(&handler)
}

func fetch(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestServiceBehindTheGatewayVerifiesItsAssertion(t *testing.T) {
	service := &guarded{}
	upstream := httptest.NewServer(service)
	t.Cleanup(upstream.Close)
	p := servertest.Start(t, func(c *server.Config) { c.Products = append(c.Products, demo.Catchall("mine", "/mine", upstream.URL)) })
	service.by(t, resourceserver.Config{
		Issuer: p.URL + "/auth/open", Audience: "mine", Environment: resourceserver.Sandbox, Tokens: resourceserver.Assertions,
	}, "mine.call")
	client := p.NewClient("mine.call")
	calls := &http.Client{Transport: p.Source(client).Transport(nil)}
	want := fmt.Sprint(client.ID, " of ", p.Sandbox)
	for range 3 {
		if status, body := fetch(t, calls, p.URL+"/mine/things"); status != http.StatusOK || body != want {
			t.Errorf("by way of the gateway: %d %q, want 200 %q", status, body, want)
		}
	}
	if status, body := fetch(t, calls, upstream.URL+"/mine/things"); status != http.StatusUnauthorized {
		t.Errorf("past the gateway with an access token: %d %q, want 401", status, body)
	}
}

func TestServiceByItselfVerifiesAccessTokens(t *testing.T) {
	service := &guarded{}
	own := httptest.NewServer(service)
	t.Cleanup(own.Close)
	p := servertest.Start(t)
	service.by(t, resourceserver.Config{Issuer: p.URL + "/auth/open", Audience: p.URL, Environment: resourceserver.Sandbox}, "echo.call")
	may, mayNot := p.NewClient("echo.call"), p.NewClient("auth.sessions.read")
	for client, want := range map[servertest.Client]int{may: http.StatusOK, mayNot: http.StatusForbidden} {
		if status, body := fetch(t, &http.Client{Transport: p.Source(client).Transport(nil)}, own.URL); status != want {
			t.Errorf("%d %q, want %d", status, body, want)
		}
	}
	live := p.NewClientOf(p.Production, "echo.call")
	if status, body := fetch(t, &http.Client{Transport: p.Source(live).Transport(nil)}, own.URL); status != http.StatusUnauthorized {
		t.Errorf("with a token of production: %d %q, want 401", status, body)
	}
}
