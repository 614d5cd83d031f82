package authserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/authserver"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

func (w *world) revoke(t testing.TB, c credentials, token string) {
	t.Helper()
	a := w.do(request(revokePath, c.form("token="+token)))
	if a.StatusCode != http.StatusOK || a.body != "" || a.Header.Get("Cache-Control") != "no-store, no-cache, max-age=0" {
		t.Errorf("answer = %d %q %v, want 200, nothing, and not kept", a.StatusCode, a.body, a.Header)
	}
}

func TestRevokedTokenIsDeadAtOnce(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, func(c *authserver.Config) { c.RequestID = func(*http.Request) string { return "request-1" } })
		token, other := w.token(w.a1), w.token(w.a1)
		w.revoke(t, w.a1, token)
		w.revoke(t, w.a1, token) // again, without harm
		if got := w.introspect(t, w.a1, token); !cmp.Equal(got, inactive) {
			t.Errorf("the revoked token: %v, want inactive", got)
		}
		if got := w.introspect(t, w.a1, other); got["active"] != true {
			t.Errorf("another token of the client: %v, want active", got)
		}
		w.now = w.now.Add(604 * time.Second) // expired, within the skew
		name := "renamed"
		w.apply(w.organisationA, registry.UpdateClient{Client: w.a1.id, Name: &name}) // so that it is loaded anew
		if got := w.introspect(t, w.a1, token); !cmp.Equal(got, inactive) {
			t.Errorf("the revoked token at its end: %v, want inactive", got)
		}
		if got := w.introspect(t, w.a1, other); got["active"] != true {
			t.Errorf("another token within the skew: %v, want active", got)
		}
	})
}

// A disabled secret can be enabled again: its token, revoked meanwhile, must
// not come back with it.
func TestTokenOfADisabledSecretCanBeRevoked(t *testing.T) {
	w := newSQLiteWorld(t)
	second := w.secret(w.organisationA, w.a1.id, time.Time{})
	token, other := w.token(w.a1), w.token(w.a1)
	w.apply(w.organisationA, registry.SetSecretState{Client: w.a1.id, Secret: w.a1.secretID, State: registry.SecretDisabled})
	w.revoke(t, second, token)
	w.apply(w.organisationA, registry.SetSecretState{Client: w.a1.id, Secret: w.a1.secretID, State: registry.SecretActive})
	if got := w.introspect(t, second, token); !cmp.Equal(got, inactive) {
		t.Errorf("the revoked token: %v, want inactive", got)
	}
	if got := w.introspect(t, second, other); got["active"] != true {
		t.Errorf("the other token: %v, want active", got)
	}
}

func TestTOK47_revocationOfOthersTokensHasNoEffect(t *testing.T) {
	w := newSQLiteWorld(t)
	token := w.token(w.a1)
	t.Run("TOK-47 foreign token", func(t *testing.T) {
		w.token(w.b1) // known from here on
		before := w.db.Statements()
		w.revoke(t, w.b1, "nonsense")
		w.revoke(t, w.b1, token[:len(token)-2])
		w.revoke(t, w.b1, token)
		if n := w.db.Statements() - before; n > 0 {
			t.Errorf("%d statements, want none", n)
		}
		if got := w.introspect(t, w.a1, token); got["active"] != true {
			t.Errorf("answer to the token's client = %v, want active", got)
		}
		t.Run("twin", func(t *testing.T) {
			w.revoke(t, w.a1, token)
			if got := w.introspect(t, w.a1, token); !cmp.Equal(got, inactive) {
				t.Errorf("answer after its own client revoked it = %v, want inactive", got)
			}
		})
	})
}

func TestTOK46_revocationIsNotClaimedWhenTheStoreFails(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		token, other := w.token(w.a1), w.token(w.a1)
		t.Run("TOK-46 SEC-06", func(t *testing.T) {
			t.Run("twin", func(t *testing.T) { w.revoke(t, w.a1, other) })
			w.token(w.a1) // known again after its change
			w.must(db.Close())
			a := w.refused(t, request(revokePath, w.a1.form("token="+token)), 503, "temporarily_unavailable")
			if a.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After beside 503")
			}
		})
	})
}

func TestRevokedTokensOfAClientAreBounded(t *testing.T) {
	w := newSQLiteWorld(t)
	for range registry.MaxRevokedTokens {
		w.revoke(t, w.a1, w.token(w.a1))
	}
	a := w.refused(t, request(revokePath, w.a1.form("token="+w.token(w.a1))), 429, "slow_down")
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After beside 429")
	}
	w.revoke(t, w.b1, w.token(w.b1))
}
