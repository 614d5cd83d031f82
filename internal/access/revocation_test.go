package access

import (
	"testing"
	"time"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/registry"
)

// revocation is a change after which an old token is refused, and what brings
// its client back, if anything does.
type revocation struct {
	name         string
	stop, revive func(c *caller) registry.Edit
	want         fault.Code // of the old token
	revived      fault.Code // of the old token once its client is back
}

func setClient(state registry.ClientState) func(*caller) registry.Edit {
	return func(c *caller) registry.Edit { return registry.SetClientState{Client: c.id, State: state} }
}

func setSecret(state registry.SecretState) func(*caller) registry.Edit {
	return func(c *caller) registry.Edit {
		return registry.SetSecretState{Client: c.id, Secret: c.secret, State: state}
	}
}

func setAccount(state registry.State) func(*caller) registry.Edit {
	return func(c *caller) registry.Edit { return registry.SetAccountState{Account: c.account, State: state} }
}

func setOrganisation(state registry.State) func(*caller) registry.Edit {
	return func(*caller) registry.Edit { return registry.SetOrganisationState{State: state} }
}

func revocations() []revocation {
	return []revocation{
		{"SEC-06 revoke the secret", setSecret(registry.SecretRevoked), nil, fault.SecretRevoked, ""},
		{"SEC-06 disable the secret", setSecret(registry.SecretDisabled), setSecret(registry.SecretActive), fault.SecretRevoked, ""},
		{"TOK-35 disable the client", setClient(registry.Disabled), setClient(registry.Enabled), fault.ClientDisabled, fault.TokenRevoked},
		{"TOK-35 delete the client", setClient(registry.Deleted), nil, fault.ClientDisabled, ""},
		{"TOK-35 TEN-16 suspend the account", setAccount(registry.Suspended), setAccount(registry.Active), fault.AccountSuspended, fault.TokenRevoked},
		{"TOK-35 suspend the organisation", setOrganisation(registry.Suspended), setOrganisation(registry.Active), fault.OrganisationSuspended, fault.TokenRevoked},
		{"remove the permission",
			func(c *caller) registry.Edit {
				return registry.RemovePermissions{Client: c.id, Permissions: []string{"p1.read"}}
			},
			func(c *caller) registry.Edit {
				return registry.AddPermissions{Client: c.id, Permissions: []string{"p1.read"}}
			}, fault.PermissionMissing, ""},
	}
}

func TestRevocationIsInForceWithTheNextDecision(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		for _, tt := range revocations() {
			t.Run(tt.name, func(t *testing.T) {
				organisation := f.organisation()
				account := f.account(organisation, id.Production)
				c, neighbour := f.client(organisation, account, "p1.read"), f.client(f.orgB, f.productionB, "p1.read")
				if tt.name != "TOK-35 suspend the organisation" { // as near as can be
					neighbour = f.client(organisation, f.account(organisation, id.Production), "p1.read")
				}
				old, beside := call{token: f.token(c)}, call{token: f.token(neighbour)}
				f.wants(t, old, "")
				f.wants(t, beside, "")

				f.changes(organisation, tt.stop(c))
				f.wants(t, old, tt.want)
				f.wants(t, old, tt.want)
				t.Run("twin", func(t *testing.T) { f.wants(t, beside, "") })
				if tt.revive == nil {
					return
				}
				f.changes(organisation, tt.revive(c))
				f.wants(t, old, tt.revived)
				t.Run("back/twin", func(t *testing.T) { f.wants(t, call{token: f.token(c)}, "") })
			})
		}
	})
}

func TestRevokedTokenIsDeadAndItsSiblingIsNot(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		claims, sibling := f.claims(f.a1), call{token: f.token(f.a1)}
		token := call{token: f.signed("production", &claims)}
		f.wants(t, token, "")
		f.changes(f.orgA, registry.RevokeToken{Client: f.a1.id, TokenID: claims.ID, Expires: time.Unix(claims.Expiry, 0).Add(jwt.Skew)})
		f.wants(t, token, fault.TokenRevoked)
		t.Run("twin", func(t *testing.T) { f.wants(t, sibling, "") })
		f.clock.add(time.Duration(claims.Expiry-claims.IssuedAt)*time.Second + jwt.Skew - time.Second)
		f.access.clients.forget(f.a1.id) // read again in the last second of its life
		f.refresh()
		f.wants(t, token, fault.TokenRevoked)
		f.wants(t, sibling, "")
	})
}

func TestKEY05_withdrawnKeyStopsItsTokensWithWarmMemory(t *testing.T) {
	f := newSQLiteFixture(t)
	production, sandbox := call{token: f.token(f.a1)}, call{token: f.token(f.s1)}
	f.wants(t, production, "")
	f.wants(t, sandbox, "")
	f.keys.withdraw("production")
	f.wants(t, production, fault.TokenSignatureInvalid)
	t.Run("KEY-05/twin", func(t *testing.T) { f.wants(t, sandbox, "") })
	f.keys.publish("production")
	f.wants(t, production, "")
	t.Run("KEY-05 another key of the same id", func(t *testing.T) {
		forged := f.keys.private["forged"].Public()
		f.keys.mu.Lock()
		f.keys.published["production"] = &forged
		f.keys.mu.Unlock()
		f.wants(t, production, fault.TokenSignatureInvalid)
		t.Run("twin", func(t *testing.T) {
			f.keys.publish("production")
			f.wants(t, production, "")
		})
	})
}

func TestExpiredSecretEndsNewTokensOnly(t *testing.T) {
	f := newSQLiteFixture(t)
	c := f.client(f.orgA, f.productionA, "p1.read")
	first := c.secret
	c.secret = "c1c1c1c1c1c1"
	expiring := f.secretOf(c)
	expiring.Expires = f.clock.Now().Add(30 * time.Second)
	f.changes(f.orgA, expiring)
	old := call{token: f.token(c)}
	f.wants(t, old, "")
	f.clock.add(40 * time.Second)
	f.refresh()
	if got := f.stored(c); got.Secret(c.secret).StateAt(f.clock.Now()) != registry.SecretExpired || got.Secret(first).StateAt(f.clock.Now()) != registry.SecretActive {
		t.Fatalf("secrets %+v", got.Client.Secrets)
	}
	f.wants(t, old, "") // warm
	f.access.clients.reset()
	f.wants(t, old, "") // and read again
	f.changes(f.orgA, registry.SetSecretState{Client: c.id, Secret: c.secret, State: registry.SecretRevoked})
	f.wants(t, old, fault.SecretRevoked)
	c.secret = first
	t.Run("twin", func(t *testing.T) { f.wants(t, call{token: f.token(c)}, "") })
}

func TestClientIsKnownOnceItIsThere(t *testing.T) {
	f := newSQLiteFixture(t)
	c := f.client(f.orgA, f.productionA, "p1.read")
	deleted := call{token: f.token(c)}
	made := caller{id: "prod-later-apple-123456", secret: "d1d1d1d1d1d1", organisation: f.orgA, account: f.productionA}
	early := call{token: f.token(c, func(claims *jwt.Claims) {
		claims.ClientID, claims.Subject, claims.SecretID = string(made.id), string(made.id), string(made.secret)
	})}
	f.wants(t, early, fault.ClientDisabled) // and is kept as unknown
	f.changes(f.orgA,
		registry.CreateClient{ID: made.id, Account: made.account, Name: "later"},
		registry.AddPermissions{Client: made.id, Permissions: []string{"p1.read"}}, f.secretOf(&made))
	t.Run("twin", func(t *testing.T) { f.wants(t, call{token: f.token(&made)}, "") })
	f.wants(t, deleted, "")
	f.changes(f.orgA, registry.SetClientState{Client: c.id, State: registry.Deleted})
	f.wants(t, deleted, fault.ClientDisabled)
}
