package access

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/registry"
)

func TestGoodCallIsDecidedWithAllThatIsKnown(t *testing.T) {
	f := newSQLiteFixture(t)
	d, err := f.decide(call{target: "/p1/accounts/" + string(f.productionA) + "/things?a=%2Fb", token: f.token(f.a2)})
	if err != nil {
		t.Fatal(err)
	}
	type summary struct {
		Product, Route, Path, RawQuery, Client string
		Environment                            id.Environment
		Account                                id.Account
		Permissions                            []string
	}
	want := summary{
		"p1", "/accounts/{account}/things", "/accounts/" + string(f.productionA) + "/things", "a=%2Fb", string(f.a2.id),
		id.Production, f.productionA, []string{"p1.read", "p1.write"}, // and not p2.read
	}
	got := summary{d.Match.Product.Key, d.Match.Route.Path, d.Path, d.RawQuery, d.Claims.ClientID, d.Environment, d.Account, d.Permissions}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("decision (-want +got):\n%s", diff)
	}
	if d.Holder.Client.ID != f.a2.id || d.AccountNow.Organisation != f.orgA || d.Holder.Organisation == nil {
		t.Errorf("holder %+v, account %+v", d.Holder, d.AccountNow)
	}
	sandbox, err := f.decide(call{token: f.token(f.s1)})
	if err != nil || sandbox.Environment != id.Sandbox {
		t.Errorf("a sandbox client is decided for %q, %v", sandbox.Environment, err)
	}
}

// defect is one thing that is wrong with a token or with who holds it.
type defect struct {
	name  string
	spoil func(f *fixture, c *caller) string // returns the token
	want  fault.Code
}

func claim(change func(*jwt.Claims)) func(*fixture, *caller) string {
	return func(f *fixture, c *caller) string { return f.token(c, change) }
}

func by(key string) func(*fixture, *caller) string {
	return func(f *fixture, c *caller) string {
		claims := f.claims(c)
		return f.signed(key, &claims)
	}
}

// after returns a good token whose caller is changed after it was issued.
func after(edit func(c *caller, token *jwt.Claims) registry.Edit) func(*fixture, *caller) string {
	return func(f *fixture, c *caller) string {
		claims := f.claims(c)
		f.changes(c.organisation, edit(c, &claims))
		return f.signed("production", &claims)
	}
}

func tokenDefects() []defect {
	return []defect{
		{"JWT-37 no token", func(*fixture, *caller) string { return "" }, fault.TokenMissing},
		{"not a token", func(*fixture, *caller) string { return "a.b.c" }, fault.TokenMalformed},
		{"JWT-25 two segments", func(f *fixture, c *caller) string { return f.token(c)[:strings.LastIndexByte(f.token(c), '.')] }, fault.TokenMalformed},
		{"JWT-26 longer than the header may be", func(*fixture, *caller) string { return strings.Repeat("a", MaxAuthorization) }, fault.TokenMalformed},
		{"signed by another key of that id", by("forged"), fault.TokenSignatureInvalid},
		{"JWT-40 signed by a retired key", by("retired"), fault.TokenSignatureInvalid},
		{"JWT-24 one character more", func(f *fixture, c *caller) string { return f.token(c) + "A" }, fault.TokenSignatureInvalid},
		{"JWT-17 expired", claim(func(c *jwt.Claims) { c.IssuedAt -= 605; c.NotBefore -= 605; c.Expiry -= 605 }), fault.TokenExpired},
		{"JWT-19 not valid yet", claim(func(c *jwt.Claims) { c.NotBefore += 6 }), fault.TokenNotYetValid},
		{"JWT-22 for another audience", claim(func(c *jwt.Claims) { c.Audience = "https://other.example" }), fault.TokenAudienceWrong},
		{"JWT-21 JWT-40 of another issuer", claim(func(c *jwt.Claims) { c.Issuer += "/" }), fault.TokenAudienceWrong},
		{"JWT-40 key of another environment than the claim", func(f *fixture, c *caller) string {
			claims := f.claims(c)
			claims.Sandbox = true
			return f.signed("swapped", &claims)
		}, fault.EnvironmentMismatch},
		{"JWT-40 sandbox token for a production client", claim(func(c *jwt.Claims) { c.Sandbox = true }), fault.EnvironmentMismatch},
		{"JWT-40 account of another", func(f *fixture, c *caller) string {
			return f.token(c, func(claims *jwt.Claims) { claims.AccountID = string(f.productionB) })
		}, fault.EnvironmentMismatch},
		{"JWT-40 no account", claim(func(c *jwt.Claims) { c.AccountID = "" }), fault.EnvironmentMismatch},
		{"JWT-40 organisation of another", func(f *fixture, c *caller) string {
			return f.token(c, func(claims *jwt.Claims) { claims.OrganisationID = string(f.orgB) })
		}, fault.EnvironmentMismatch},
		{"JWT-32 client that does not exist", claim(func(c *jwt.Claims) { c.ClientID, c.Subject = "prod-nobody-apple-123", "prod-nobody-apple-123" }), fault.ClientDisabled},
		{"secret that does not exist", claim(func(c *jwt.Claims) { c.SecretID = "000000000000" }), fault.SecretRevoked},
		{"no secret", claim(func(c *jwt.Claims) { c.SecretID = "" }), fault.SecretRevoked},
		{"lower generation", claim(func(c *jwt.Claims) { c.Generation-- }), fault.TokenRevoked},
		{"higher generation", claim(func(c *jwt.Claims) { c.Generation++ }), fault.TokenRevoked},
		{"revoked token", after(func(c *caller, token *jwt.Claims) registry.Edit {
			return registry.RevokeToken{Client: c.id, TokenID: token.ID, Expires: time.Unix(token.Expiry, 0).Add(jwt.Skew)}
		}), fault.TokenRevoked},
		{"SEC-06 revoked secret", after(func(c *caller, _ *jwt.Claims) registry.Edit {
			return registry.SetSecretState{Client: c.id, Secret: c.secret, State: registry.SecretRevoked}
		}), fault.SecretRevoked},
		{"disabled client", after(func(c *caller, _ *jwt.Claims) registry.Edit {
			return registry.SetClientState{Client: c.id, State: registry.Disabled}
		}), fault.ClientDisabled},
		{"TEN-16 suspended account", after(func(c *caller, _ *jwt.Claims) registry.Edit {
			return registry.SetAccountState{Account: c.account, State: registry.Suspended}
		}), fault.AccountSuspended},
		{"suspended organisation", after(func(*caller, *jwt.Claims) registry.Edit {
			return registry.SetOrganisationState{State: registry.Suspended}
		}), fault.OrganisationSuspended},
	}
}

func TestEveryDefectOfATokenHasItsAnswer(t *testing.T) {
	f := newSQLiteFixture(t)
	given := map[fault.Code]bool{}
	for _, tt := range tokenDefects() {
		t.Run(tt.name, func(t *testing.T) {
			organisation := f.organisation()
			account := f.account(organisation, id.Production)
			c, neighbour := f.client(organisation, account, "p1.read"), f.a1
			good := f.token(c)
			f.wants(t, call{token: good}, "") // the directory is warm
			bad := tt.spoil(f, c)
			if bad == good {
				t.Fatal("the token is not spoilt")
			}
			for range 2 {
				f.wants(t, call{token: bad}, tt.want)
				if bad != "" {
					f.wants(t, call{token: bad, target: "/p1/open"}, tt.want) // a public route takes no bad token either
				}
			}
			if entry, _ := fault.Lookup(tt.want); entry.Status != http.StatusUnauthorized {
				t.Errorf("status %d, want 401", entry.Status)
			}
			t.Run("twin", func(t *testing.T) {
				f.wants(t, call{token: f.token(neighbour)}, "")
				if f.stored(c).Standing() == "" && f.stored(c).Client.Secrets[0].State == registry.SecretActive {
					f.wants(t, call{token: f.token(c)}, "")
				}
			})
		})
		given[tt.want] = true
	}
	for _, entry := range fault.Entries() {
		answers := entry.Challenge == fault.ChallengeBare || entry.Challenge == fault.ChallengeInvalidToken
		if answers && entry.Code != fault.Unauthorized && !given[entry.Code] {
			t.Errorf("no row is answered with %s", entry.Code)
		}
	}
}

func TestJWT17_timeIsLookedAtAgainAtEachUse(t *testing.T) {
	f := newSQLiteFixture(t)
	token := f.token(f.a1, func(c *jwt.Claims) { c.NotBefore += 5 })
	f.wants(t, call{token: token}, "")
	f.clock.add(604 * time.Second)
	f.refresh()
	t.Run("twin", func(t *testing.T) { f.wants(t, call{token: token}, "") })
	f.clock.add(time.Second)
	f.wants(t, call{token: token}, fault.TokenExpired)
	f.clock.add(-700 * time.Second)
	f.wants(t, call{token: token}, fault.TokenNotYetValid)
}

func TestAuthorizationIsReadStrictly(t *testing.T) {
	f := newSQLiteFixture(t)
	good := f.token(f.a1)
	header := func(values ...string) call { return call{header: http.Header{"Authorization": values}} }
	f.refuses(t,
		refusal{"JWT-35 two headers", header("Bearer "+good, "Bearer "+good), fault.RequestMalformed, header("Bearer " + good)},
		refusal{"JWT-35 two tokens", header("Bearer " + good + " " + good), fault.RequestMalformed, header("bearer " + good)},
		refusal{"JWT-35 comma list", header("Bearer " + good + "," + good), fault.RequestMalformed, header("BEARER " + good)},
		refusal{"tab", header("Bearer " + good + "\tx"), fault.RequestMalformed, header("Bearer  " + good + " ")},
		refusal{"other scheme", header("Basic " + good), fault.TokenMissing, header("Bearer " + good)},
		refusal{"no scheme", header(good), fault.TokenMissing, header("Bearer " + good)},
		refusal{"empty header", header(""), fault.TokenMissing, header("Bearer " + good)},
		refusal{"scheme alone", header("Bearer "), fault.TokenMalformed, header("Bearer " + good)},
		refusal{"JWT-36 in the query too", call{target: "/p1/things?access_token=" + good, token: good}, fault.RequestMalformed, call{target: "/p1/things?token=x", token: good}},
		refusal{"JWT-36 in the query alone", call{target: "/p1/things?Access_Token=" + good}, fault.RequestMalformed, call{token: good}},
		refusal{"JWT-36 in the query of a public route", call{target: "/p1/open?access_token=" + good}, fault.RequestMalformed, call{target: "/p1/open?a=b"}},
	)
}

func TestPublicRouteTakesNoTokenOrAGoodOne(t *testing.T) {
	f := newSQLiteFixture(t)
	open := call{target: "/p1/open"}
	d, err := f.decide(open)
	if err != nil || d.Holder.Client != nil || d.Claims != nil || d.Environment != id.Production || d.Account != "" {
		t.Errorf("without a token: %+v, %v", d, err)
	}
	if d, err := f.decide(call{target: "/trial/open"}); err != nil || d.Environment != id.Sandbox {
		t.Errorf("of a product in the sandbox only: environment %q, %v", d.Environment, err)
	}
	open.token = f.token(f.s1)
	if d, err := f.decide(open); err != nil || d.Holder.Client.ID != f.s1.id || d.Environment != id.Sandbox || d.Account != f.sandboxA {
		t.Errorf("with a token: %+v, %v", d, err)
	}
	open.token = f.token(f.orgClient)
	if d, err := f.decide(open); err != nil || d.Account != "" {
		t.Errorf("with a token of an organisation's client that names no account: %+v, %v", d, err)
	}
}

func TestRightsArePerRoute(t *testing.T) {
	f := newSQLiteFixture(t)
	reader, writer := f.token(f.a1), f.token(f.a2)
	staff := f.token(f.client(f.orgA, f.productionA, "p1.staff"))
	write := f.token(f.client(f.orgA, f.productionA, "p1.write"))
	var cases []refusal
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		cases = append(cases, refusal{"GW-22 " + method + " with a right to read", call{method: method, token: reader}, fault.PermissionMissing, call{method: method, token: writer}})
	}
	f.refuses(t, append(cases,
		refusal{"GW-22 OPTIONS without a token", call{method: "OPTIONS"}, fault.TokenMissing, call{method: "OPTIONS", token: writer}},
		refusal{"GW-22 TRACE", call{method: "TRACE", token: reader}, fault.MethodNotAllowed, call{method: "HEAD", token: reader}},
		refusal{"GW-22 get in lower case", call{method: "get", token: reader}, fault.MethodNotAllowed, call{token: reader}},
		refusal{"half of one set", call{target: "/p1/either", token: reader}, fault.PermissionMissing, call{target: "/p1/either", token: writer}},
		refusal{"other half of one set", call{target: "/p1/either", token: write}, fault.PermissionMissing, call{target: "/p1/either", token: staff}},
		refusal{"right of another product", call{target: "/p1/things", token: f.token(f.client(f.orgA, f.productionA, "p2.read"))}, fault.PermissionMissing, call{token: reader}},
	)...)
	_, err := f.decide(call{target: "/p1/either", token: write})
	if e := asFault(err); e.Scope != "p1.read" || !strings.Contains(e.Message, string("p1.read")) {
		t.Errorf("scope %q, message %q: want what is missing of the first set", e.Scope, e.Message)
	}
}

func TestTokenOfANarrowScopeIsNarrow(t *testing.T) {
	f := newSQLiteFixture(t)
	scope := func(s string) string { return f.token(f.a2, func(c *jwt.Claims) { c.Scope = s }) }
	permissions := func(token string) []string {
		d, err := f.decide(call{token: token})
		if err != nil {
			t.Fatal(err)
		}
		return d.Permissions
	}
	wide, narrow := scope(testScope), scope("p1.read")
	for range 2 { // the wide one, kept, widens nothing
		if diff := cmp.Diff([]string{"p1.read", "p1.write"}, permissions(wide)); diff != "" {
			t.Errorf("wide (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"p1.read"}, permissions(narrow)); diff != "" {
			t.Errorf("narrow (-want +got):\n%s", diff)
		}
	}
	if got := permissions(scope("p1.write p1.read p1.staff p2.read")); !slices.Equal(got, []string{"p1.read", "p1.write"}) {
		t.Errorf("permissions %q: want those that are held, sorted", got)
	}
	f.refuses(t,
		refusal{"narrow token writes", call{method: "POST", token: narrow}, fault.PermissionMissing, call{method: "POST", token: wide}},
		refusal{"scope without rights", call{token: scope("openid")}, fault.PermissionMissing, call{token: narrow}},
	)
}

func TestClientCallsFromItsNetworksOnly(t *testing.T) {
	f := newSQLiteFixture(t)
	limited := f.limited("192.0.2.0/24", "2001:db8:1::/48")
	from := func(peer string) call { return call{token: f.token(limited), peer: peer} }
	f.refuses(t,
		refusal{"IPv4", from("192.0.3.1"), fault.AddressRefused, from("192.0.2.255")},
		refusal{"IPv6", from("2001:db8:2::1"), fault.AddressRefused, from("2001:db8:1:ffff::1")},
		refusal{"IPv4 in IPv6 clothes", from("::ffff:192.0.3.1"), fault.AddressRefused, from("::ffff:192.0.2.1")},
		refusal{"IPv4-compatible IPv6", from("::192.0.2.1"), fault.AddressRefused, from("192.0.2.1")},
		refusal{"zone", from("2001:db8:1::1%eth0"), fault.AddressRefused, from("2001:db8:1::1")},
		refusal{"public route", call{target: "/p1/open", token: f.token(limited), peer: "192.0.3.1"}, fault.AddressRefused, call{target: "/p1/open", peer: "192.0.3.1"}},
	)
}

func TestRefusedDecisionStillNamesProductAndClient(t *testing.T) {
	f := newSQLiteFixture(t)
	d, err := f.decide(call{method: "POST", token: f.token(f.a1)})
	if codeOf(err) != fault.PermissionMissing || d.Match.Product.Key != "p1" || d.Match.Route.Method != "POST" || d.Holder.Client.ID != f.a1.id {
		t.Errorf("decision %+v, %v", d, err)
	}
}
