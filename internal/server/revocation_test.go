package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// onEngines runs a test on a platform per engine.
func onEngines(t *testing.T, test func(t *testing.T, p *servertest.Platform)) {
	t.Helper()
	for _, engine := range sqldbtest.Engines() {
		t.Run(engine, func(t *testing.T) {
			test(t, servertest.Start(t, servertest.On(sqldbtest.Migrated(t, engine))))
		})
	}
}

func TestSEC06_whatIsTakenAwayStopsTokensThatWereIssuedBefore(t *testing.T) {
	for name, row := range map[string]struct {
		edit   func(p *servertest.Platform, c servertest.Client) registry.Edit
		asking []string // more parameters of the token request that is refused
		token  string   // its error
		call   string   // code of the refused call
	}{
		"secret revoked": {
			func(_ *servertest.Platform, c servertest.Client) registry.Edit {
				return registry.SetSecretState{Client: c.ID, Secret: c.Secret, State: registry.SecretRevoked}
			}, nil, "invalid_client", "secret_revoked",
		},
		"client disabled": {
			func(_ *servertest.Platform, c servertest.Client) registry.Edit {
				return registry.SetClientState{Client: c.ID, State: registry.Disabled}
			}, nil, "invalid_client", "client_disabled",
		},
		"permission removed": {
			func(_ *servertest.Platform, c servertest.Client) registry.Edit {
				return registry.RemovePermissions{Client: c.ID, Permissions: []string{"echo.call"}}
			}, []string{"scope", "echo.call"}, "invalid_scope", "permission_missing",
		},
		"account suspended": {
			func(p *servertest.Platform, _ servertest.Client) registry.Edit {
				return registry.SetAccountState{Account: p.Sandbox, State: registry.Suspended}
			}, nil, "invalid_client", "account_suspended",
		},
	} {
		t.Run("SEC-06 "+name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, p *servertest.Platform) {
				c := p.NewClient("echo.call", "auth.sessions.read")
				issued := token(t, p, c)
				t.Run("twin", func(t *testing.T) {
					for range 3 { // and the caches are warm
						if a := askToken(t, p, c, row.asking...); a.status != http.StatusOK {
							t.Fatalf("before the change the token endpoint answers %d %s", a.status, a.body)
						}
						if a := callEcho(t, p, issued); a.status != http.StatusOK {
							t.Fatalf("before the change the call gets %d %s", a.status, a.body)
						}
					}
				})
				p.Apply(row.edit(p, c))
				var calling, asking answer
				took := until(t, "the call is refused", func() bool {
					calling = callEcho(t, p, issued)
					return calling.status != http.StatusOK
				})
				took += until(t, "the token endpoint refuses", func() bool {
					asking = askToken(t, p, c, row.asking...)
					return asking.status != http.StatusOK
				})
				if calling.code() != row.call {
					t.Errorf("the call gets %d %q, want the code %q", calling.status, calling.code(), row.call)
				}
				if asking.code() != row.token {
					t.Errorf("the token endpoint answers %d %q, want %q", asking.status, asking.code(), row.token)
				}
				t.Logf("in force after %s; published: 1s", took.Round(time.Millisecond))
			})
		})
	}
}

func TestTokensOfBeforeStayDeadWhenTheClientIsEnabledAgain(t *testing.T) {
	p := servertest.Start(t)
	c := p.NewClient("echo.call")
	before := token(t, p, c)
	p.Apply(registry.SetClientState{Client: c.ID, State: registry.Disabled}, registry.SetClientState{Client: c.ID, State: registry.Enabled})
	until(t, "the old token is refused", func() bool { return callEcho(t, p, before).status == http.StatusUnauthorized })
	if a := callEcho(t, p, token(t, p, c)); a.status != http.StatusOK {
		t.Errorf("a new token gets %d %s", a.status, a.body)
	}
}
