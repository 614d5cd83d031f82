package access

import (
	"errors"
	"net/http"
	"net/netip"
	"testing"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// limited makes a client that may call from those networks only.
func (f *fixture) limited(networks ...string) *caller {
	f.t.Helper()
	var list []netip.Prefix
	for _, n := range networks {
		list = append(list, netip.MustParsePrefix(n))
	}
	c := f.client(f.orgA, f.productionA, "p1.read")
	f.changes(f.orgA, registry.UpdateClient{Client: c.id, Networks: &list})
	return c
}

func asFault(err error) *fault.Error {
	e, _ := errors.AsType[*fault.Error](err)
	return e
}

func TestAccountsClientActsOnItsAccountOnly(t *testing.T) {
	f := newSQLiteFixture(t)
	own, token := string(f.productionA), f.token(f.a1)
	query := func(value string) call {
		return call{target: "/p1/things?" + testParameter + "=" + value, token: token}
	}
	absent, named := call{token: token}, query(own)
	f.refuses(t,
		refusal{"TEN-01 account of another organisation", query(string(f.productionB)), fault.AccountMismatch, named},
		refusal{"TEN-01 account that does not exist", query(string(unknownAccount)), fault.AccountMismatch, absent},
		refusal{"GW-39 sandbox account of the same organisation", query(string(f.sandboxA)), fault.AccountMismatch, named},
		refusal{"empty account", query(""), fault.AccountMismatch, absent},
		refusal{"account in upper case", query("A" + own[1:]), fault.AccountMismatch, query("%61" + own[1:])},
		refusal{"account with a NUL", query(own + "%00"), fault.RequestMalformed, named},
		refusal{"account with a space", query(own + "%20"), fault.AccountMismatch, named},
		refusal{"account named twice", query(own + "&" + testParameter + "=" + own), fault.RequestMalformed, named},
		refusal{"account in another spelling", call{target: "/p1/things?Signicat-AccountId=" + own, token: token}, fault.RequestMalformed, named},
		refusal{"GW-39 production token on a sandbox account", query(string(f.sandboxA)), fault.AccountMismatch,
			call{target: "/p1/things?" + testParameter + "=" + string(f.sandboxA), token: f.token(f.s1)}},
		refusal{"GW-39 sandbox token on a production account", call{target: named.target, token: f.token(f.s1)}, fault.AccountMismatch, named},
		refusal{"foreign account on a public route", call{target: "/p1/open?" + testParameter + "=" + string(f.productionB), token: token}, fault.AccountMismatch,
			call{target: "/p1/open?" + testParameter + "=" + own, token: token}},
	)
	t.Run("TEN-01 same answer for another's account and none", func(t *testing.T) {
		_, foreign := f.decide(query(string(f.productionB)))
		_, unknown := f.decide(query(string(unknownAccount)))
		if a, b := asFault(foreign), asFault(unknown); a.Message != b.Message || a.Code != b.Code || a.Kind != b.Kind {
			t.Errorf("answers %+v and %+v", a, b)
		}
		t.Run("twin", func(t *testing.T) { f.wants(t, named, "") })
	})
}

func TestAccountStandsWhereTheRouteHasIt(t *testing.T) {
	f := newSQLiteFixture(t)
	own, foreign, token := string(f.productionA), string(f.productionB), f.token(f.a1)
	at := func(target string, header http.Header) call {
		return call{target: target, header: header, token: token}
	}
	account := func(values ...string) http.Header { return http.Header{"X-Account": values} }
	path := func(value, query string) call {
		target := "/p1/accounts/" + value + "/things"
		if query != "" {
			target += "?" + testParameter + "=" + query
		}
		return at(target, nil)
	}
	f.refuses(t,
		refusal{"path of another", path(foreign, ""), fault.AccountMismatch, path(own, "")},
		refusal{"path of none", path("x", ""), fault.AccountMismatch, path(own, own)},
		refusal{"path and query differ", path(own, foreign), fault.RequestMalformed, path(own, own)},
		refusal{"path of another, own in the query", path(foreign, own), fault.RequestMalformed, path(own, own)},
		refusal{"header of another", at("/p1/header", account(foreign)), fault.AccountMismatch, at("/p1/header", account(own))},
		refusal{"empty header", at("/p1/header", account("")), fault.AccountMismatch, at("/p1/header", nil)},
		refusal{"two headers", at("/p1/header", account(own, own)), fault.RequestMalformed, at("/p1/header", account(own))},
		refusal{"two spellings of the header", at("/p1/header", http.Header{"X-Account": {own}, "X_account": {foreign}}), fault.RequestMalformed, at("/p1/header", account(own))},
		refusal{"header and query differ", at("/p1/header?"+testParameter+"="+foreign, account(own)), fault.RequestMalformed, at("/p1/header?"+testParameter+"="+own, account(own))},
		refusal{"header that the route does not read", at("/p1/things?"+testParameter+"="+foreign, account(own)), fault.AccountMismatch, at("/p1/things", account(foreign))},
		refusal{"query where the account means nothing", at("/p1/none?%zz", nil), fault.RequestMalformed, at("/p1/none?"+testParameter+"=anything", nil)},
	)
}

func TestOrganisationsClientNamesTheAccount(t *testing.T) {
	f := newSQLiteFixture(t)
	token := f.token(f.orgClient)
	query := func(value string) call {
		return call{target: "/p1/things?" + testParameter + "=" + value, token: token}
	}
	closed := f.account(f.orgA, id.Production)
	f.changes(f.orgA, registry.SetAccountState{Account: closed, State: registry.Suspended})
	production, sandbox := query(string(f.productionA)), query(string(f.sandboxA))
	f.refuses(t,
		refusal{"no account", call{token: token}, fault.AccountMissing, production},
		refusal{"TEN-01 account of another organisation", query(string(f.productionB)), fault.AccountMismatch, sandbox},
		refusal{"TEN-01 account that does not exist", query(string(unknownAccount)), fault.AccountMismatch, production},
		refusal{"empty account", query(""), fault.AccountMismatch, production},
		refusal{"TEN-16 suspended account", query(string(closed)), fault.AccountSuspended, production},
		refusal{"product that it lacks in the sandbox", call{target: "/p2?" + testParameter + "=" + string(f.sandboxA), token: token}, fault.ProductNotGranted,
			call{target: "/p2?" + testParameter + "=" + string(f.productionA), token: token}},
		refusal{"GW-39 product that is not in production", call{target: "/trial?" + testParameter + "=" + string(f.productionA), token: token}, fault.ProductUnknown,
			call{target: "/trial?" + testParameter + "=" + string(f.sandboxA), token: token}},
	)
	for _, tt := range []struct {
		call    call
		account id.Account
		env     id.Environment
	}{{production, f.productionA, id.Production}, {sandbox, f.sandboxA, id.Sandbox}, {call{target: "/p1/none", token: token}, "", id.Production}} {
		if d, err := f.decide(tt.call); err != nil || d.Account != tt.account || d.Environment != tt.env {
			t.Errorf("%s: account %q in %q, %v", tt.call.target, d.Account, d.Environment, err)
		}
	}
	t.Run("TEN-01 same answer for another's account and none", func(t *testing.T) {
		_, foreign := f.decide(query(string(f.productionB)))
		_, unknown := f.decide(query(string(unknownAccount)))
		_, nonsense := f.decide(query("x"))
		if a, b, c := asFault(foreign).Message, asFault(unknown).Message, asFault(nonsense).Message; a != b || b != c {
			t.Errorf("answers %q, %q, %q", a, b, c)
		}
		t.Run("twin", func(t *testing.T) { f.wants(t, production, "") })
	})
}

func TestOperatorsClientNamesAnyAccountThatStands(t *testing.T) {
	f := newSQLiteFixture(t)
	token := f.token(f.opClient)
	query := func(account id.Account) call {
		return call{target: "/p1/things?" + testParameter + "=" + string(account), token: token}
	}
	orgC := f.organisation()
	accountC := f.account(orgC, id.Production)
	f.changes(orgC, registry.SetOrganisationState{State: registry.Suspended})
	closed := f.account(f.orgB, id.Production)
	f.changes(f.orgB, registry.SetAccountState{Account: closed, State: registry.Suspended})
	f.refuses(t,
		refusal{"no account", call{token: token}, fault.AccountMissing, query(f.productionA)},
		refusal{"account that does not exist", query(unknownAccount), fault.AccountMismatch, query(f.productionB)},
		refusal{"TEN-16 suspended account", query(closed), fault.AccountSuspended, query(f.productionB)},
		refusal{"suspended organisation", query(accountC), fault.OrganisationSuspended, query(f.sandboxA)},
	)
}

func TestTEN10_organisationThatIsNamedMustBeTheTokens(t *testing.T) {
	f := newSQLiteFixture(t)
	token, own, foreign := f.token(f.a1), string(f.orgA), string(f.orgB)
	query := func(value string) call {
		return call{target: "/p1/things?signicat-organizationId=" + value, token: token}
	}
	header := func(name string, values ...string) call {
		return call{header: http.Header{name: values}, token: token}
	}
	const name = "Signicat-Organizationid"
	f.refuses(t,
		refusal{"TEN-10 query of another", query(foreign), fault.AccountMismatch, query(own)},
		refusal{"TEN-10 empty query", query(""), fault.AccountMismatch, call{token: token}},
		refusal{"TEN-10 query twice", query(own + "&signicat-organizationId=" + foreign), fault.RequestMalformed, query(own)},
		refusal{"TEN-10 other spelling", call{target: "/p1/things?signicat-organizationid=" + foreign, token: token}, fault.RequestMalformed, query(own)},
		refusal{"TEN-10 header of another", header(name, foreign), fault.AccountMismatch, header(name, own)},
		refusal{"TEN-10 one of two headers", header(name, own, foreign), fault.AccountMismatch, header(name, own, own)},
		refusal{"TEN-10 header with an underscore", header("Signicat_organizationid", foreign), fault.AccountMismatch, header("Signicat_organizationid", own)},
		refusal{"TEN-10 empty header", header(name, ""), fault.AccountMismatch, header(name, own)},
		refusal{"TEN-10 organisation's client", call{target: "/p1/none?signicat-organizationId=" + foreign, token: f.token(f.orgClient)}, fault.AccountMismatch,
			call{target: "/p1/none?signicat-organizationId=" + own, token: f.token(f.orgClient)}},
	)
}
