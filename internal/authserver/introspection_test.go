package authserver_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

func (w *world) introspect(t testing.TB, c credentials, token string) map[string]any {
	t.Helper()
	return introspected(t, w.do(request(introspectPath, c.form("token="+token))))
}

func TestIntrospectionTellsWhatATokenIsGoodForNow(t *testing.T) {
	w := newSQLiteWorld(t)
	token := w.token(w.a1)
	claims := decoded(t, token, id.Production)
	want := map[string]any{
		"active": true, "iss": issuer, "sub": string(w.a1.id), "client_id": string(w.a1.id), "aud": publicURL, "jti": claims.ID,
		"scope": scope, "token_type": "Bearer", "account_id": string(w.productionA), "organisation_id": string(w.organisationA),
		"exp": float64(claims.Expiry), "iat": float64(claims.IssuedAt), "nbf": float64(claims.NotBefore), "sandbox": false,
		"permissions": []any{"echo.call", "echo.read"},
	}
	if diff := cmp.Diff(want, w.introspect(t, w.a1, token)); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	narrow := w.token(w.a1, "scope=echo.read+echo.call")
	w.apply(w.organisationA,
		registry.RemovePermissions{Client: w.a1.id, Permissions: []string{"echo.read"}},
		registry.AddPermissions{Client: w.a1.id, Permissions: []string{"echo.write"}})
	if got, want := w.introspect(t, w.a1, token)["permissions"], []any{"echo.call", "echo.write"}; !cmp.Equal(got, any(want)) {
		t.Errorf("permissions after a change = %v, want %v", got, want)
	}
	if got, want := w.introspect(t, w.a1, narrow)["permissions"], []any{"echo.call"}; !cmp.Equal(got, any(want)) {
		t.Errorf("permissions of a narrowed token = %v, want %v", got, want)
	}
}

var inactive = map[string]any{"active": false}

func TestTOK47_tokensOfOthersAreInactive(t *testing.T) {
	w := newSQLiteWorld(t)
	reader := w.client("", "", "reader", "management.token.read")
	token := w.token(w.a1)
	t.Run("TOK-47 foreign", func(t *testing.T) {
		if got := w.introspect(t, w.b1, token); !cmp.Equal(got, inactive) {
			t.Errorf("answer = %v, want inactive alone", got)
		}
		t.Run("twin", func(t *testing.T) {
			if got := w.introspect(t, w.a1, token); got["active"] != true {
				t.Errorf("answer to the token's own client = %v, want active", got)
			}
		})
	})
	t.Run("TOK-47 reader of tokens/twin", func(t *testing.T) {
		if got := w.introspect(t, reader, token); got["active"] != true || got["client_id"] != string(w.a1.id) {
			t.Errorf("answer = %v, want active and the token's client", got)
		}
	})
	t.Run("TOK-47 anonymous", func(t *testing.T) {
		w.refused(t, request(introspectPath, "token="+token), 401, "invalid_client")
		w.refused(t, request(revokePath, "token="+token), 401, "invalid_client")
		w.refused(t, request(introspectPath, "token="+token, header("Authorization", "Bearer "+token)), 401, "invalid_client")
	})
	t.Run("token missing", func(t *testing.T) {
		w.refused(t, request(introspectPath, w.a1.form()), 400, "invalid_request")
		w.refused(t, request(revokePath, w.a1.form()), 400, "invalid_request")
	})
}

func TestDeadTokensAreInactive(t *testing.T) {
	w := newSQLiteWorld(t)
	other := w.secret(w.organisationA, w.a1.id, time.Time{})
	good := w.token(w.a1)
	of := w.token(other)
	w.apply(w.organisationA, registry.SetSecretState{Client: w.a1.id, Secret: other.secretID, State: registry.SecretRevoked})
	generation := w.token(w.b1)
	w.apply(w.organisationB, registry.SetClientState{Client: w.b1.id, State: registry.Disabled}, registry.SetClientState{Client: w.b1.id, State: registry.Enabled})
	for name, tt := range map[string]struct {
		credentials
		token string
	}{
		"nonsense":               {w.a1, "nonsense"},
		"changed":                {w.a1, good[:len(good)-4] + "AAAA"},
		"of a revoked secret":    {w.a1, of},
		"from before a disabled": {w.b1, generation},
	} {
		t.Run(name, func(t *testing.T) {
			if got := w.introspect(t, tt.credentials, tt.token); !cmp.Equal(got, inactive) {
				t.Errorf("answer = %v, want inactive alone", got)
			}
		})
	}
	if got := w.introspect(t, w.a1, good); got["active"] != true {
		t.Errorf("answer = %v, want active", got)
	}
	w.now = w.now.Add(605 * time.Second)
	w.must(w.access.Refresh(t.Context()))
	if got := w.introspect(t, w.a1, good); !cmp.Equal(got, inactive) {
		t.Errorf("answer to an expired token = %v, want inactive alone", got)
	}
}

func TestIntrospectionWithoutAStoreSaysNothing(t *testing.T) {
	w := newSQLiteWorld(t)
	reader := w.client("", "", "reader", "management.token.read")
	token := w.token(w.a1)
	name := "renamed"
	w.apply(w.organisationA, registry.UpdateClient{Client: w.a1.id, Name: &name}) // so that it is not known any more
	w.introspect(t, reader, "nonsense")                                           // so that it is known
	w.must(w.db.Close())
	w.refused(t, request(introspectPath, reader.form("token="+token)), 503, "temporarily_unavailable")
}
