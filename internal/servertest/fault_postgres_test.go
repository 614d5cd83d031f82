//go:build linux

package servertest_test

import (
	"database/sql"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// onPostgres makes a platform use that database.
func onPostgres(database string, change func(*server.Config)) func(*server.Config) {
	return func(c *server.Config) {
		c.Database = database
		change(c)
	}
}

// withPostgres runs a test when PostgreSQL is one of the engines.
func withPostgres(t *testing.T, test func(t *testing.T, database *url.URL)) {
	t.Helper()
	if !slices.Contains(sqldbtest.Engines(), "postgres") {
		return
	}
	database, err := url.Parse(sqldbtest.Migrated(t, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	test(t, database)
}

func TestSTO10_blackHoledPostgreSQL(t *testing.T) {
	t.Parallel()
	withPostgres(t, func(t *testing.T, database *url.URL) {
		hole := newFaultyProxy(t, database.Host)
		through := *database
		through.Host = hole.listener.Addr().String()
		p := servertest.Start(t, onPostgres(through.String(), func(c *server.Config) { c.StaleLimit = 5 * time.Second }))
		known, stranger := p.NewClient("echo.call"), p.NewClient()
		if err := p.Server.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		accessToken := token(t, p.URL, known)
		call := func() answer { return get(t, p.URL+"/echo/x", accessToken) }
		if a := call(); a.status != http.StatusOK {
			t.Fatalf("call = %d %s", a.status, a.body)
		}

		hole.gate.Lock()
		blocked := true
		t.Cleanup(func() {
			if blocked {
				hole.gate.Unlock()
			}
		})
		var asked sync.WaitGroup
		asked.Go(func() { wantUnavailable(t, issue(t, p.URL, stranger)) }) // it needs the database: it ends at the deadline
		asked.Go(func() {
			err := p.Server.Registry().Apply(t.Context(), p.Operator(), registry.SetSecretState{Client: stranger.ID, Secret: stranger.Secret, State: registry.SecretRevoked})
			if fault.KindOf(err) != fault.Unavailable {
				t.Errorf("a change without a database = %v, want unavailable", err)
			}
		})
		served, last := 0, answer{}
		eventually(t, "the end of service without a database", func() bool {
			if last = issue(t, p.URL, known); last.status != http.StatusOK {
				return true
			}
			served++
			return false
		})
		wantUnavailable(t, last)
		wantUnavailable(t, call())
		if ready := get(t, p.OpsURL+"/readyz", ""); ready.status != http.StatusServiceUnavailable {
			t.Errorf("readyz = %d %s, want 503", ready.status, ready.body)
		}
		if jwks := get(t, p.URL+"/auth/open/.well-known/openid-configuration/jwks", ""); jwks.status != http.StatusOK {
			t.Errorf("JWK Set = %d, want 200: verification elsewhere goes on", jwks.status)
		}
		if served == 0 {
			t.Error("a known client was served not once from memory")
		}
		asked.Wait()

		hole.gate.Unlock()
		blocked = false
		t.Run("twin", func(t *testing.T) {
			eventually(t, "service without a restart", func() bool {
				return issue(t, p.URL, known).status == http.StatusOK && call().status == http.StatusOK
			})
			if err := p.Server.Registry().Apply(t.Context(), p.Operator(), registry.SetSecretState{Client: stranger.ID, Secret: stranger.Secret, State: registry.SecretRevoked}); err != nil {
				t.Errorf("a change after it came back: %v", err)
			}
			if err := p.Server.Refresh(t.Context()); err != nil {
				t.Error(err)
			}
			if a := issue(t, p.URL, stranger); a.status != http.StatusUnauthorized {
				t.Errorf("a revoked secret was answered %d %s", a.status, a.body)
			}
		})
	})
}

// standby turns a database read-only for all sessions, or back.
func standby(t *testing.T, database *url.URL, readOnly bool) {
	t.Helper()
	db, err := sql.Open("pgx", os.Getenv("DOORWARD_TEST_POSTGRES"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	setting, name := "off", strings.TrimPrefix(database.Path, "/")
	if readOnly {
		setting = "on"
	}
	if _, err := db.ExecContext(t.Context(), `ALTER DATABASE `+name+` SET default_transaction_read_only = `+setting); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1`, name); err != nil {
		t.Fatal(err)
	}
}

func TestSTO12_readOnlyStandby(t *testing.T) {
	t.Parallel()
	withPostgres(t, func(t *testing.T, database *url.URL) {
		p := servertest.Start(t, onPostgres(database.String(), func(*server.Config) {}))
		c := p.NewClient("echo.call")
		accessToken := token(t, p.URL, c)
		standby(t, database, true)
		for range 10 { // more than there are connections
			wantUnavailable(t, revoke(t, p.URL, c, accessToken))
		}
		if _, err := p.Server.Registry().CreateOrganisation(t.Context(), p.Operator(), "none"); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("a change on a standby = %v, want unavailable", err)
		}
		if !active(t, p.URL, c, accessToken) {
			t.Error("the token of a revocation that failed is inactive")
		}
		if a := get(t, p.URL+"/echo/x", accessToken); a.status != http.StatusOK {
			t.Errorf("call = %d %s, want 200", a.status, a.body)
		}
		wrong := c
		wrong.Value = c.Value[:len(c.Value)-1] + "!"
		if a := issue(t, p.URL, wrong); a.status != http.StatusUnauthorized {
			t.Errorf("a wrong secret was answered %d", a.status)
		}
		standby(t, database, false)
		t.Run("twin", func(t *testing.T) {
			eventually(t, "a revocation after the switch back", func() bool {
				return revoke(t, p.URL, c, accessToken).status == http.StatusOK
			})
			if active(t, p.URL, c, accessToken) {
				t.Error("the token is active after its revocation was acknowledged")
			}
		})
	})
}
