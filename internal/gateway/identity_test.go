package gateway_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/gateway"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/registry"
)

// asserted is the assertion that the upstream got with a call.
func (w *world) asserted(t *testing.T, target, token string) string {
	t.Helper()
	got, _ := w.passes(t, w.request("GET", target, token))
	values := reading(got, "Doorward-Assertion")
	if len(values) != 1 {
		t.Fatalf("assertions %q", values)
	}
	return values[0]
}

func TestAssertionSaysWhoCalls(t *testing.T) {
	w := newWorld(t)
	ignored := cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "IssuedAt" || p.String() == "Expiry" }, cmp.Ignore())
	for _, tt := range []struct {
		name, target, token, product string
		want                         jwt.Claims
	}{
		{"client of an account", "/p1/x", w.token(w.client), "p1", jwt.Claims{Subject: string(w.client), AccountID: string(w.sandbox), OrganisationID: string(w.organisation), Sandbox: true, Permissions: []string{"p1.read"}}},
		{"other product", "/p2/x", w.token(w.client), "p2", jwt.Claims{Subject: string(w.client), AccountID: string(w.sandbox), OrganisationID: string(w.organisation), Sandbox: true, Permissions: []string{"p2.read"}}},
		{"production", "/p1/x", w.token(w.live), "p1", jwt.Claims{Subject: string(w.live), AccountID: string(w.production), OrganisationID: string(w.organisation), Permissions: []string{"p1.read"}}},
		{"client of an organisation", "/p1/x?" + parameter + "=" + string(w.sandbox), w.token(w.ours), "p1", jwt.Claims{Subject: string(w.ours), AccountID: string(w.sandbox), OrganisationID: string(w.organisation), Sandbox: true, Permissions: []string{"p1.read"}}},
		{"on its other account", "/p1/x?" + parameter + "=" + string(w.production), w.token(w.ours), "p1", jwt.Claims{Subject: string(w.ours), AccountID: string(w.production), OrganisationID: string(w.organisation), Permissions: []string{"p1.read"}}},
		{"on no account", "/p1/none", w.token(w.ours), "p1", jwt.Claims{Subject: string(w.ours), OrganisationID: string(w.organisation), Permissions: []string{"p1.read"}}},
		{"client of the operator", "/p1/x?" + parameter + "=" + string(w.sandbox), w.token(w.superuser), "p1", jwt.Claims{Subject: string(w.superuser), AccountID: string(w.sandbox), OrganisationID: string(w.organisation), Sandbox: true, Permissions: []string{"p1.read"}}},
		{"open route with a token", "/p1/public", w.token(w.narrow), "p1", jwt.Claims{Subject: string(w.narrow), AccountID: string(w.sandbox), OrganisationID: string(w.organisation), Sandbox: true, Permissions: []string{"p1.read"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claims := w.assertion(w.asserted(t, tt.target, tt.token), tt.product)
			tt.want.Issuer, tt.want.Audience = issuer, tt.product
			if diff := cmp.Diff(&tt.want, claims, ignored); diff != "" {
				t.Error(diff)
			}
			if claims.Expiry-claims.IssuedAt != 60 {
				t.Errorf("lifetime %d s", claims.Expiry-claims.IssuedAt)
			}
		})
	}
}

func TestAssertionIsSharedByCallsAndTokens(t *testing.T) {
	w := newWorld(t)
	first := w.asserted(t, "/p1/x", w.token(w.client))
	w.pass(time.Second)
	if second := w.asserted(t, "/p1/things/1", w.token(w.client)); second != first {
		t.Error("a new token pays for a signature")
	}
	for name, other := range map[string]string{"client": w.asserted(t, "/p1/x", w.token(w.narrow)), "product": w.asserted(t, "/p2/x", w.token(w.client)), "account": w.asserted(t, "/p1/x?"+parameter+"="+string(w.sandbox), w.token(w.ours))} {
		if other == first {
			t.Errorf("another %s gets the same assertion", name)
		}
	}
}

func TestAssertionIsRenewed(t *testing.T) {
	w := newWorld(t)
	token := w.token(w.client)
	first := w.asserted(t, "/p1/x", token)
	w.pass(20 * time.Second)
	if w.asserted(t, "/p1/x", token) != first {
		t.Error("renewed before half its life")
	}
	w.pass(11 * time.Second)
	second := w.asserted(t, "/p1/x", token)
	if second == first {
		t.Error("not renewed after half its life")
	}
	w.pass(10 * time.Minute)
	if third := w.asserted(t, "/p1/x", token); third == second || w.assertion(third, "p1").IssuedAt < w.now().Unix()-5 {
		t.Error("an old assertion is used")
	}
	t.Run("with a new key at once", func(t *testing.T) {
		w.newKey("assertion-2", jwt.UseAssertion, "")
		w.mu.Lock()
		delete(w.keys, "assertion-1")
		w.mu.Unlock()
		w.assertion(w.asserted(t, "/p1/x", token), "p1")
	})
	t.Run("not without a key", func(t *testing.T) {
		key := w.assertions.Swap(nil)
		if a := w.refused(t, w.request("GET", "/p1/x", token), 503); a.code() != "temporarily_unavailable" {
			t.Errorf("code %q", a.code())
		}
		t.Run("twin", func(t *testing.T) {
			w.assertions.Store(key)
			w.passes(t, w.request("GET", "/p1/x", token))
		})
	})
}

func TestAssertionNarrowsWithTheGrant(t *testing.T) {
	w := newWorld(t)
	token := w.token(w.client)
	w.apply(registry.AddPermissions{Client: w.client, Permissions: []string{"p1.admin"}})
	wide := w.assertion(w.asserted(t, "/p1/x", token), "p1")
	narrowed := w.claims(w.client)
	narrowed.Scope = "p1.read"
	inScope := w.assertion(w.asserted(t, "/p1/x", w.sign(w.signing[jwt.Sandbox], narrowed)), "p1")
	again := w.assertion(w.asserted(t, "/p1/x", token), "p1")
	w.apply(registry.RemovePermissions{Client: w.client, Permissions: []string{"p1.admin"}})
	narrow := w.assertion(w.asserted(t, "/p1/x", token), "p1")
	got := [][]string{wide.Permissions, inScope.Permissions, again.Permissions, narrow.Permissions}
	want := [][]string{{"p1.admin", "p1.read"}, {"p1.read"}, {"p1.admin", "p1.read"}, {"p1.read"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	w.apply(registry.SetClientState{Client: w.client, State: registry.Disabled})
	if a := w.refused(t, w.request("GET", "/p1/x", token), 401); a.code() != "client_disabled" {
		t.Errorf("code %q", a.code())
	}
}

func TestOneCallerSigns(t *testing.T) {
	var signatures atomic.Int64
	w := newWorld(t, func(c *gateway.Config, _ *http.Server) {
		signer := c.AssertionSigner
		c.AssertionSigner = func() *jwt.PrivateKey { signatures.Add(1); return signer() }
	})
	token := w.token(w.client)
	var seen sync.Map
	var calls sync.WaitGroup
	for range 16 {
		calls.Go(func() {
			a := w.send(w.request("GET", "/p1/x", token))
			if a.status != 200 {
				t.Errorf("status %d", a.status)
			}
		})
	}
	calls.Wait()
	for _, r := range w.upstream.taken() {
		seen.Store(reading(r, "Doorward-Assertion")[0], true)
	}
	n := 0
	seen.Range(func(any, any) bool { n++; return true })
	if n != 1 || signatures.Load() != 16 {
		t.Errorf("%d different assertions of 16 calls", n)
	}
}
