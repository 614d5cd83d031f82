package server_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
	"github.com/doorward/doorward/internal/usage"
)

func TestUsesAreWrittenBehindTokensAndCalls(t *testing.T) {
	onEngines(t, func(t *testing.T, p *servertest.Platform) {
		c := p.NewClient("echo.call", "auth.sessions.read")
		callEcho(t, p, token(t, p, c))
		until(t, "the client's uses are seen", func() bool { // they are recorded behind the answer
			if err := p.Server.Usage().Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			use, err := p.Server.Usage().Client(t.Context(), p.Operator(), c.ID)
			if err != nil {
				t.Fatal(err)
			}
			return use.Secrets[c.Secret] == use.Token && len(use.Secrets) == 1 && len(use.Permissions) == 1 &&
				use.Token.From.IsLoopback() && use.Permissions["echo.call"].From.IsLoopback() && use.Call.From.IsLoopback()
		})
		summary, err := p.Server.Registry().ClientSummary(t.Context(), p.Operator(), c.ID)
		if err != nil || summary.LastUsedAt.IsZero() {
			t.Errorf("the client was last used %v, %v", summary.LastUsedAt, err)
		}
		secrets, err := p.Server.Registry().Secrets(t.Context(), p.Operator(), c.ID, registry.SecretFilter{}, registry.Page{})
		if err != nil || len(secrets.Items) != 1 || secrets.Items[0].LastUsedAt != summary.LastUsedAt || !secrets.Items[0].LastUsedFrom.IsLoopback() {
			t.Errorf("secrets %+v, %v", secrets.Items, err)
		}
		t.Run("twin", func(t *testing.T) {
			idle := p.NewClient("echo.call")
			refused := idle
			refused.Value = c.Value
			askToken(t, p, refused)
			if err := p.Server.Usage().Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if summary, err := p.Server.Registry().ClientSummary(t.Context(), p.Operator(), idle.ID); err != nil || !summary.LastUsedAt.IsZero() {
				t.Errorf("a client that got no token was last used %v, %v", summary.LastUsedAt, err)
			}
		})
	})
}

func TestAttemptsOfAWatchedClientAreSeenWithWhyTheyFailed(t *testing.T) {
	onEngines(t, func(t *testing.T, p *servertest.Platform) {
		c := p.NewClient("auth.sessions.read")
		if err := p.Server.Usage().Watch(t.Context(), p.Operator(), c.ID); err != nil {
			t.Fatal(err)
		}
		if a := callEcho(t, p, token(t, p, c)); a.status != http.StatusForbidden {
			t.Fatalf("the call gets %d %s", a.status, a.body)
		}
		wrong := c
		wrong.Value = p.NewClient().Value
		askToken(t, p, wrong)
		attempts := follow(t, p, c, 3)
		type attempt struct {
			kind           usage.Kind
			allowed        bool
			status         int
			lacking, path  string
			product, route string
		}
		for i, want := range []attempt{
			{kind: usage.TokenRequest, allowed: true, status: 200},
			{kind: usage.Call, status: 403, lacking: "echo.call", path: "/echo/hello", product: "echo", route: attempts[1].Route},
			{kind: usage.TokenRequest, status: 401},
		} {
			a := attempts[i]
			if got := (attempt{a.Kind, a.Allowed, a.Status, a.Lacking, a.Path, a.Product, a.Route}); got != want {
				t.Errorf("attempt %d = %+v, want %+v", i, got, want)
			}
			if a.Allowed != (a.Code == "") {
				t.Errorf("attempt %d has the code %q", i, a.Code)
			}
		}
	})
}

// follow returns the first attempts of a client.
func follow(t *testing.T, p *servertest.Platform, c servertest.Client, want int) (attempts []usage.Attempt) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	err := p.Server.Usage().Follow(ctx, p.Operator(), c.ID, 0, func(more []usage.Attempt) error {
		if attempts = append(attempts, more...); len(attempts) >= want {
			cancel()
		}
		return nil
	})
	if err != nil || len(attempts) < want {
		t.Fatalf("%d attempts, %v: %+v", len(attempts), err, attempts)
	}
	return attempts
}

func TestAWatchHoldsOnEveryNode(t *testing.T) {
	onPostgres(t, sqldbtest.Migrated, func(t *testing.T, databaseURL string) {
		first := servertest.Start(t, servertest.On(databaseURL))
		second := servertest.Start(t, func(c *server.Config) {
			c.Database, c.PublicURL, c.KeyEncryptionKey, c.Products = databaseURL, first.Config.PublicURL, first.Config.KeyEncryptionKey, first.Config.Products
		})
		c := first.NewClient("echo.call")
		issued := token(t, first, c)
		if err := first.Server.Usage().Watch(t.Context(), first.Operator(), c.ID); err != nil {
			t.Fatal(err)
		}
		until(t, "a call through the other node is seen", func() bool { // it hears of the watch by the change feed
			callEcho(t, second, issued)
			attempts, err := first.Server.Usage().Attempts(t.Context(), first.Operator(), c.ID, 0, 1)
			if err != nil {
				t.Fatal(err)
			}
			return len(attempts) > 0 && attempts[0].Kind == usage.Call
		})
	})
}
