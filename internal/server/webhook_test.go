package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
)

func TestARunningServerDeliversToWebhooks(t *testing.T) {
	t.Parallel()
	came := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { came <- r.Header.Get("Webhook-Id") }))
	defer receiver.Close()
	for name, allow := range map[string][]netip.Prefix{"allowed": {netip.MustParsePrefix("127.0.0.0/8")}, "KEY-15 not allowed": nil} {
		t.Run(name, func(t *testing.T) {
			p := servertest.Start(t, func(c *server.Config) { c.Egress.Allow = allow })
			_, _, err := p.Server.Registry().CreateWebhook(t.Context(), p.Operator(), registry.NewWebhook{Name: "w", URL: receiver.URL})
			if allow == nil {
				if err == nil {
					t.Error("KEY-15 a webhook to loopback was made")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			select {
			case <-came:
			case <-time.After(10 * time.Second):
				t.Error("nothing came")
			}
		})
	}
}
