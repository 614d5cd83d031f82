//go:build linux

package servertest_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// No request needs a second connection while it holds one: with a pool of one,
// such a request would wait for itself.
func TestAPoolOfOneConnectionServesEveryRequest(t *testing.T) {
	for _, engine := range sqldbtest.Engines() {
		t.Run(engine, func(t *testing.T) {
			p := servertest.Start(t, servertest.On(sqldbtest.Migrated(t, engine)), func(c *server.Config) { c.MaxConns = 1 })
			var working sync.WaitGroup
			for range 8 {
				c := p.NewClient("echo.call", "management.client.read")
				working.Go(func() {
					accessToken := token(t, p.URL, c) // of a client that is read from the database
					for _, address := range []string{p.URL + "/echo/x", p.URL + "/management/v1/clients", p.URL + "/management/v1/clients/" + string(c.ID) + "/secrets"} {
						if a := get(t, address, accessToken); a.status != http.StatusOK {
							t.Errorf("%s = %d %s", address, a.status, a.body)
						}
					}
					if a := revoke(t, p.URL, c, accessToken); a.status != http.StatusOK {
						t.Errorf("revocation = %d %s", a.status, a.body)
					}
					if active(t, p.URL, c, accessToken) {
						t.Error("the token is active after its revocation")
					}
				})
			}
			working.Wait()
			if a := get(t, p.OpsURL+"/readyz", ""); a.status != http.StatusOK {
				t.Errorf("readyz = %d %s", a.status, a.body)
			}
		})
	}
}
