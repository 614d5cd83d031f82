package access

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
)

// What is explained is what is decided: for each client and call, with tokens
// that are issued now.
func TestAnExplanationSaysWhatIsDecided(t *testing.T) {
	f := newSQLiteFixture(t)
	limited := f.client(f.orgA, f.productionA, "p1.read")
	networks := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	f.changes(f.orgA, registry.UpdateClient{Client: limited.id, Networks: &networks})
	targets := []string{
		"/p1/things", "/p1/either", "/p1/open", "/p1/none", "/p1/header", "/p1/missing", "/p1/../p1/things", "/nowhere", "/p2/", "/trial/", "/draft/",
		"/p1/things?signicat-organizationId=" + string(f.orgB),
	}
	for _, account := range []string{string(f.productionA), string(f.sandboxA), string(f.productionB), "a-p-00000000000000000000", "x"} {
		targets = append(targets, "/p1/things?"+testParameter+"="+account, "/p1/accounts/"+account+"/things", "/trial/?"+testParameter+"="+account)
	}
	seen := map[fault.Code]bool{}
	for _, c := range []*caller{f.a1, f.a2, f.b1, f.s1, f.orgClient, f.opClient, limited} {
		for _, target := range targets {
			for _, method := range []string{"GET", "POST", "DELETE"} {
				for _, peer := range []string{"192.0.2.1", "198.51.100.7"} {
					asked := call{method: method, target: target, peer: peer}
					told, errTold := f.access.Explain(t.Context(), asked.request(), c.id)
					asked.token = f.token(c)
					decided, errDecided := f.decide(asked)
					name := fmt.Sprintf("%s %s by %s from %s", method, target, c.id, peer)
					if codeOf(errTold) != codeOf(errDecided) {
						t.Errorf("%s: explained as %v, decided as %v", name, errTold, errDecided)
					}
					if errDecided == nil {
						if diff := cmp.Diff([]any{decided.Match.Route, decided.Account, decided.Environment, decided.Permissions}, []any{told.Match.Route, told.Account, told.Environment, told.Permissions}); diff != "" {
							t.Errorf("%s:\n%s", name, diff)
						}
					}
					seen[codeOf(errDecided)] = true
				}
			}
		}
	}
	for _, code := range []fault.Code{"", fault.PermissionMissing, fault.AccountMismatch, fault.AccountMissing, fault.AddressRefused, fault.ProductNotGranted, fault.ProductUnknown, fault.RouteUnknown, fault.MethodNotAllowed, fault.RequestMalformed} {
		if !seen[code] {
			t.Errorf("no call was decided as %q", code)
		}
	}
}

func TestAnExplanationKnowsWhoStands(t *testing.T) {
	f := newSQLiteFixture(t)
	wants := func(c *caller, peer string, want fault.Code) {
		t.Helper()
		r := call{peer: peer}.request()
		if peer == "" {
			r.Peer = netip.Addr{}
		}
		if _, err := f.access.Explain(t.Context(), r, c.id); codeOf(err) != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
	networks := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	f.changes(f.orgA, registry.UpdateClient{Client: f.a1.id, Networks: &networks})
	wants(f.a1, "", "") // an address is not asked about
	wants(f.a1, "192.0.2.1", fault.AddressRefused)
	f.changes(f.orgA, registry.SetClientState{Client: f.a1.id, State: registry.Disabled})
	wants(f.a1, "", fault.ClientDisabled)
	f.changes(f.orgA, registry.SetAccountState{Account: f.productionA, State: registry.Suspended})
	wants(f.a2, "", fault.AccountSuspended)
	f.changes(f.orgA, registry.SetOrganisationState{State: registry.Suspended})
	wants(f.a2, "", fault.OrganisationSuspended)
	wants(&caller{id: "prod-nobody-apple-123"}, "", fault.ClientDisabled)
	wants(f.b1, "", "")
}
