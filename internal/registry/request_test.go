package registry_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

// asks is a request of A's developer.
func (f *fixture) asks(t testing.TB, edits ...registry.Edit) id.Request {
	t.Helper()
	key, err := f.RequestChange(t.Context(), f.member(), "we need it", edits...)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestAnApprovedRequestIsMadeWithTheApproversAuthorityAlone(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		grant := registry.AddPermissions{Client: f.a1, Permissions: []string{"p1.write"}}
		key := f.asks(t, grant)
		withoutRight := proven(f.leaverA, f.orgA, actor.RoleGrant{Role: actor.Developer})
		wantKind(t, f.Apply(t.Context(), withoutRight, registry.ApproveRequest{Request: key}), fault.Forbidden)
		accessManager := proven(f.leaverA, f.orgA, actor.RoleGrant{Role: actor.AccessManager})
		f.must(t, accessManager, registry.ApproveRequest{Request: key})
		permissions, err := f.Permissions(t.Context(), f.adminA, f.a1)
		if err != nil || !cmp.Equal(permissions, []string{"p1.read", "p1.write"}) {
			t.Errorf("permissions = %v, %v", permissions, err)
		}
		q, err := f.Request(t.Context(), f.member(), key)
		if err != nil || q.State != registry.RequestApproved || q.DecidedBy != accessManager.String() {
			t.Errorf("%+v, %v", q, err)
		}
		if got := query(t, f.DB, `SELECT actor FROM audit WHERE action = 'client.permissions.add' AND subject = $1 ORDER BY seq DESC`, f.a1); got[0][0] != accessManager.String() {
			t.Errorf("AUD-01: the record of the change names %s", got[0][0])
		}
		wantKind(t, f.Apply(t.Context(), f.chief(), registry.ApproveRequest{Request: key}), fault.Conflict)
	})
}

func TestPRIV02_nobodyApprovesTheirOwnRequest(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		asker := f.chief() // who may make the change, and asks all the same
		key, err := f.RequestChange(t.Context(), asker, "", registry.RenameAccount{Account: f.sandboxA, Name: "asked"})
		if err != nil {
			t.Fatal(err)
		}
		may := []string{"management.account.write", "management.account.read", "management.request.write"}
		f.must(t, f.adminA, registry.CreateClient{ID: "org-alpha-apple-101", Name: "helper"}, registry.AddPermissions{Client: "org-alpha-apple-101", Permissions: may}, f.newSecret("org-alpha-apple-101", "h2h2h2h2h2h2"))
		f.must(t, asker, f.newSecret("org-alpha-apple-101", "h1h1h1h1h1h1"))
		helper := func(with id.Secret, may ...string) actor.Actor {
			return actor.NewClient("org-alpha-apple-101", f.orgA, "", with, may)
		}
		withSecrets := append([]string{"management.permission.write", "management.secret.write"}, may...)
		f.must(t, f.adminA, registry.AddPermissions{Client: "org-alpha-apple-101", Permissions: withSecrets[:2]})
		f.must(t, helper("h1h1h1h1h1h1", withSecrets...), f.newSecret("org-alpha-apple-101", "h3h3h3h3h3h3"))
		f.must(t, helper("h3h3h3h3h3h3", withSecrets...), f.newSecret("org-alpha-apple-101", "h4h4h4h4h4h4"))
		f.must(t, asker, registry.SetSecretState{Client: "org-alpha-apple-101", Secret: "h1h1h1h1h1h1", State: registry.SecretRevoked})
		approve := registry.ApproveRequest{Request: key}
		f.refuses(t,
			refusal{name: "PRIV-02 the one who asked", by: asker, edit: approve, want: fault.Forbidden, twin: registry.RenameOrganisation{Name: "A"}},
			refusal{name: "PRIV-02 a client with a secret that they made", by: helper("h1h1h1h1h1h1", may...), edit: approve, want: fault.Forbidden, twin: registry.RenameOrganisation{Name: "A"}, twinBy: asker},
			refusal{name: "PRIV-02 a client with a secret that was made with theirs", by: helper("h3h3h3h3h3h3", may...), edit: approve, want: fault.Forbidden, twin: registry.RenameOrganisation{Name: "A"}, twinBy: asker},
			refusal{name: "PRIV-02 a client with a secret further on", by: helper("h4h4h4h4h4h4", may...), edit: approve, want: fault.Forbidden, twin: registry.RenameOrganisation{Name: "A"}, twinBy: asker},
			refusal{name: "PRIV-02 a client with a secret that nobody knows", by: helper("", may...), edit: approve, want: fault.Forbidden, twin: registry.RenameOrganisation{Name: "A"}, twinBy: asker},
			refusal{name: "PRIV-01 a client without the right to make the change", by: helper("h2h2h2h2h2h2", may[1:]...), edit: approve, want: fault.Forbidden, twin: registry.RenameOrganisation{Name: "A"}, twinBy: asker},
			refusal{name: "PRIV-01 a client that takes no part in requests", by: helper("h2h2h2h2h2h2", may[:2]...), edit: approve, want: fault.Forbidden, twin: approve, twinBy: helper("h2h2h2h2h2h2", may...)},
		)
	})
}

func TestARequestStandsOnTheVersionsThatWereLookedAt(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		name := "another"
		update := registry.UpdateClient{Client: f.a1, Name: &name}
		stale, fresh := f.asks(t, update), id.Request("")
		f.must(t, f.adminA, registry.AddPermissions{Client: f.a1, Permissions: []string{"p1.write"}})
		wantKind(t, f.Apply(t.Context(), f.chief(), registry.ApproveRequest{Request: stale}), fault.Conflict)
		t.Run("twin", func(t *testing.T) {
			fresh = f.asks(t, update, registry.SetClientState{Client: f.a1, State: registry.Disabled})
			f.must(t, f.chief(), registry.ApproveRequest{Request: fresh})
		})
		q, err := f.Request(t.Context(), f.member(), fresh)
		if err != nil || len(q.Edits) != 2 {
			t.Fatal(q, err)
		}
		first, second := q.Edits[0].(registry.UpdateClient), q.Edits[1].(registry.SetClientState)
		if first.Base == 0 || second.Base != 0 {
			t.Errorf("bases %d, %d: the first edit of a subject has it", first.Base, second.Base)
		}
	})
}

func TestARequestIsAllOrNothing(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		key := f.asks(t, registry.RenameAccount{Account: f.sandboxA, Name: "asked"}, registry.AddPermissions{Client: f.a1, Permissions: []string{"p1.write"}})
		f.must(t, f.adminA, registry.SetClientState{Client: f.a1, State: registry.Deleted})
		before := made(t, f.DB)
		wantKind(t, f.Apply(t.Context(), f.chief(), registry.ApproveRequest{Request: key}), fault.NotFound)
		if diff := cmp.Diff(before, made(t, f.DB)); diff != "" {
			t.Error(diff)
		}
		f.must(t, f.chief(), registry.DeclineRequest{Request: key, Reason: "the client is gone"})
	})
}

func TestAClientIsRequestedWithItsPermissions(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		create := registry.CreateClient{ID: "sandbox-round-apple-7654", Account: f.sandboxA, Name: "requested"}
		key := f.asks(t, create, registry.AddPermissions{Client: create.ID, Permissions: []string{"p1.read"}})
		q, err := f.Request(t.Context(), f.member(), key)
		if err != nil || q.Account != f.sandboxA {
			t.Fatalf("about %q, %v", q.Account, err)
		}
		for name, c := range map[string]struct {
			by   actor.Actor
			want bool
		}{
			"account admin there":     {proven(f.leaverA, f.orgA, on(actor.AccountAdmin, f.sandboxA)), true},
			"account admin elsewhere": {proven(f.leaverA, f.orgA, on(actor.AccountAdmin, f.productionA)), false},
			"developer":               {proven(f.leaverA, f.orgA, actor.RoleGrant{Role: actor.Developer}), false},
			"the one who asked":       {proven(f.memberA, f.orgA, actor.RoleGrant{Role: actor.OrganisationAdmin}), false},
		} {
			outlooks, err := f.Outlooks(t.Context(), c.by, []registry.Request{q})
			if err != nil || outlooks[key].Approvable != c.want {
				t.Errorf("%s: %+v, %v", name, outlooks, err)
			}
		}
		f.must(t, f.chief(), registry.ApproveRequest{Request: key})
		permissions, err := f.Permissions(t.Context(), f.adminA, create.ID)
		if err != nil || !cmp.Equal(permissions, []string{"p1.read"}) {
			t.Errorf("permissions = %v, %v", permissions, err)
		}
		_, err = f.RequestChange(t.Context(), f.member(), "", registry.AddPermissions{Client: "sandbox-round-apple-7655", Permissions: []string{"p1.read"}}, registry.CreateClient{ID: "sandbox-round-apple-7655", Account: f.sandboxA, Name: "too late"})
		wantKind(t, err, fault.NotFound)
	})
}

func TestARequestIsShownBesideWhatItWouldChange(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		key := f.asks(t, registry.RenameOrganisation{Name: "Another"}, registry.ChangeRoles{Person: f.memberA, Roles: []actor.RoleGrant{{Role: actor.Auditor}}})
		q, err := f.Request(t.Context(), f.member(), key)
		if err != nil {
			t.Fatal(err)
		}
		outlooks, err := f.Outlooks(t.Context(), f.chief(), []registry.Request{q})
		if err != nil || !outlooks[key].Approvable || len(outlooks[key].Before) != 2 {
			t.Fatalf("%+v, %v", outlooks, err)
		}
		if o, ok := outlooks[key].Before[0].(registry.Organisation); !ok || o.ID != f.orgA || o.Version != q.Edits[0].(registry.RenameOrganisation).Base {
			t.Errorf("before: %+v", outlooks[key].Before[0])
		}
		if m, ok := outlooks[key].Before[1].(registry.Member); !ok || m.Person != f.memberA {
			t.Errorf("before: %+v", outlooks[key].Before[1])
		}
		f.must(t, f.chief(), registry.ApproveRequest{Request: key})
		q, err = f.Request(t.Context(), f.member(), key)
		if outlooks, other := f.Outlooks(t.Context(), f.chief(), []registry.Request{q}); err != nil || other != nil || len(outlooks) != 0 {
			t.Errorf("one that is decided: %+v, %v, %v", outlooks, err, other)
		}
	})
}

func TestRequestsEnd(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		rename := registry.RenameAccount{Account: f.sandboxA, Name: "asked"}
		late := f.asks(t, rename)
		f.clock.add(registry.RequestLifetime)
		for name, edit := range map[string]registry.Edit{"approved": registry.ApproveRequest{Request: late}, "declined": registry.DeclineRequest{Request: late}} {
			t.Run("too late to be "+name, func(t *testing.T) { wantKind(t, f.Apply(t.Context(), f.chief(), edit), fault.Conflict) })
		}
		wantKind(t, f.Apply(t.Context(), f.member(), registry.WithdrawRequest{Request: late}), fault.Conflict)
		left := f.asks(t, rename)
		f.must(t, f.member(), registry.LeaveOrganisation{})
		wantKind(t, f.Apply(t.Context(), f.chief(), registry.ApproveRequest{Request: left}), fault.Conflict)
		t.Run("twin", func(t *testing.T) {
			f.must(t, f.system.In(f.orgA), joins(f.memberA, actor.Developer))
			f.must(t, f.chief(), registry.ApproveRequest{Request: left})
		})
	})
}

func TestWhatCannotBeApprovedIsNotRequested(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		ofSandbox := proven(f.memberA, f.orgA, on(actor.Developer, f.sandboxA))
		rename := registry.RenameAccount{Account: f.sandboxA, Name: "asked"}
		many := make([]registry.Edit, registry.MaxRequestEdits+1)
		for i := range many {
			many[i] = rename
		}
		for name, c := range map[string]struct {
			by    actor.Actor
			edits []registry.Edit
			want  fault.Kind
		}{
			"SEC-01 a secret":                        {f.member(), []registry.Edit{f.newSecret(f.a1, "s11111111111")}, fault.Invalid},
			"SEC-01 beside another edit":             {f.member(), []registry.Edit{rename, f.newSecret(f.a1, "s11111111111")}, fault.Invalid},
			"an invitation":                          {f.member(), []registry.Edit{f.invite("i-11111111111111111111", "x@example.com", actor.Viewer)}, fault.Invalid},
			"a webhook":                              {f.member(), []registry.Edit{newWebhook("wh-11111111111111111111")}, fault.Invalid},
			"nothing":                                {f.member(), nil, fault.Invalid},
			"too much":                               {f.member(), many, fault.Invalid},
			"an unknown permission":                  {f.member(), []registry.Edit{registry.AddPermissions{Client: f.a1, Permissions: []string{"p1.nothing"}}}, fault.Invalid},
			"of an old version":                      {f.member(), []registry.Edit{registry.RenameAccount{Account: f.sandboxA, Name: "x", Base: 7}}, fault.Conflict},
			"TEN-03 another organisation":            {f.member(), []registry.Edit{registry.SetClientState{Client: f.b1, State: registry.Disabled}}, fault.NotFound},
			"the last admin's removal":               {f.member(), []registry.Edit{registry.RemoveMember{Person: f.chiefA}}, fault.Conflict},
			"PRIV-01 on an account unseen":           {ofSandbox, []registry.Edit{registry.SetClientState{Client: f.a1, State: registry.Disabled}}, fault.Forbidden},
			"PRIV-01 by a client that only reads":    {actor.NewClient(f.manager, f.orgA, "", "", []string{"management.account.read"}), []registry.Edit{rename}, fault.Forbidden},
			"PRIV-01 by a client of another account": {actor.NewClient(f.manager, f.orgA, f.productionA, "", []string{"management.account.read", "management.request.write"}), []registry.Edit{rename}, fault.Forbidden},
			"by a client of the operator":            {actor.NewClient("op-alpha-apple-101", "", "", "", []string{"management.account.read", "management.request.write"}).In(f.orgA), []registry.Edit{rename}, fault.Forbidden},
			"by one of no place here":                {proven("p-99999999999999999999", f.orgA, actor.RoleGrant{Role: actor.Developer}), []registry.Edit{rename}, fault.Forbidden},
			"by nobody":                              {actor.Actor{}, []registry.Edit{rename}, fault.Forbidden},
			"by a stranger":                          {proven(f.stranger, f.orgA), []registry.Edit{rename}, fault.Forbidden},
		} {
			t.Run(name, func(t *testing.T) {
				before := made(t, f.DB)
				_, err := f.RequestChange(t.Context(), c.by, "", c.edits...)
				wantKind(t, err, c.want)
				if diff := cmp.Diff(before, made(t, f.DB)); diff != "" {
					t.Error(diff)
				}
				t.Run("twin", func(t *testing.T) {
					key, err := f.RequestChange(t.Context(), f.member(), "", rename)
					if err != nil {
						t.Fatal(err)
					}
					f.must(t, f.member(), registry.WithdrawRequest{Request: key})
				})
			})
		}
	})
}

func TestRequestsOfOnePersonAndOrganisationAreBounded(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		var err error
		for n := len(f.requestsA); err == nil && n <= registry.MaxRequests; n++ {
			_, err = f.RequestChange(t.Context(), f.member(), "", registry.RenameAccount{Account: f.sandboxA, Name: "asked"})
		}
		wantKind(t, err, fault.Conflict)
		t.Run("twin", func(t *testing.T) {
			f.must(t, f.member(), registry.WithdrawRequest{Request: f.requestsA[0]})
			f.asks(t, registry.RenameAccount{Account: f.sandboxA, Name: "asked"})
		})
	})
}

func TestRequestsAreListedToWhomTheyConcern(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		production := f.asks(t, registry.SetClientState{Client: f.a1, State: registry.Disabled})
		f.must(t, f.operator.In(f.orgA), registry.WithdrawProduct{Product: "p2", Environment: id.Production})
		product := f.asks(t, registry.GrantProduct{Product: "p2", Environment: id.Production})
		both := f.asks(t, registry.RenameAccount{Account: f.sandboxA, Name: "x"}, registry.RenameAccount{Account: f.productionA, Name: "y"})
		f.must(t, f.member(), registry.WithdrawRequest{Request: f.requestsA[2]})
		all := []id.Request{production, product, both, f.requestsA[0], f.requestsA[1], f.requestsA[2]}
		for _, c := range []struct {
			name   string
			by     actor.Actor
			filter registry.RequestFilter
			want   []id.Request
		}{
			{"admin", f.adminA, registry.RequestFilter{}, all},
			{"admin, pending", f.adminA, registry.RequestFilter{Pending: true}, all[:5]},
			{"admin, own", f.chief(), registry.RequestFilter{Own: true}, nil},
			{"the one who asked, on one account", proven(f.memberA, f.orgA, on(actor.Viewer, f.sandboxA)), registry.RequestFilter{}, all},
			{"another on the sandbox account", proven(f.leaverA, f.orgA, on(actor.AccountAdmin, f.sandboxA)), registry.RequestFilter{}, all[3:]},
			{"TEN-02 admin of B", f.adminB, registry.RequestFilter{}, nil},
			{"operator in A", f.operator.In(f.orgA), registry.RequestFilter{}, all},
			{"operator", f.operator, registry.RequestFilter{}, []id.Request{product}},
		} {
			list, err := f.Requests(t.Context(), c.by, c.filter, registry.Page{})
			if err != nil {
				t.Fatal(err)
			}
			var got []id.Request
			for _, q := range list.Items {
				got = append(got, q.ID)
			}
			sorted := cmpopts.SortSlices(func(a, b id.Request) bool { return a < b })
			if diff := cmp.Diff(c.want, got, sorted, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: %s", c.name, diff)
			}
		}
		_, err := f.Request(t.Context(), proven(f.leaverA, f.orgA, on(actor.AccountAdmin, f.sandboxA)), production)
		wantKind(t, err, fault.Forbidden)
		page, err := f.Requests(t.Context(), f.adminA, registry.RequestFilter{}, registry.Page{Limit: 4})
		if err != nil || len(page.Items) != 4 || page.Next == "" {
			t.Errorf("a page of %d, %q, %v", len(page.Items), page.Next, err)
		}
		f.must(t, f.operator.In(f.orgA), registry.ApproveRequest{Request: product})
	})
}

func TestAccessToAProductIsAskedOfTheOperator(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		grant := registry.GrantProduct{Product: "p2", Environment: id.Production}
		f.must(t, f.operator.In(f.orgA), registry.WithdrawProduct{Product: "p2", Environment: id.Production})
		hidden, sandboxOnly := productTwo(), productTwo()
		hidden.Key, hidden.Prefix, hidden.Visibility, hidden.Permissions, hidden.Routes = "hidden", "/hidden", registry.Draft, nil, nil
		sandboxOnly.Key, sandboxOnly.Prefix, sandboxOnly.Visibility, sandboxOnly.Permissions, sandboxOnly.Routes = "early", "/early", registry.SandboxOnly, nil, nil
		f.must(t, f.operator, registry.PutProduct{Definition: hidden, Source: registry.Managed}, registry.PutProduct{Definition: sandboxOnly, Source: registry.Managed})
		unverified := actor.NewPerson(f.memberA, f.orgA, "session", actor.RoleGrant{Role: actor.Developer}).Proven(actor.Proof{SecondFactor: true, Recent: true})
		for name, c := range map[string]struct {
			by   actor.Actor
			edit registry.GrantProduct
			want fault.Kind
		}{
			"a draft, as if it were not there": {f.member(), registry.GrantProduct{Product: "hidden", Environment: id.Production}, fault.NotFound},
			"one that is not there":            {f.member(), registry.GrantProduct{Product: "p9", Environment: id.Production}, fault.NotFound},
			"one that is for sandboxes alone":  {f.member(), registry.GrantProduct{Product: "early", Environment: id.Production}, fault.Conflict},
			"one that they have":               {f.member(), registry.GrantProduct{Product: "p1", Environment: id.Production}, fault.Conflict},
			"no environment":                   {f.member(), registry.GrantProduct{Product: "p2", Environment: "staging"}, fault.Conflict},
			"without a verified address":       {unverified, grant, fault.Forbidden},
		} {
			_, err := f.RequestChange(t.Context(), c.by, "", c.edit)
			if fault.KindOf(err) != c.want || err == nil {
				t.Errorf("%s: %v, want the kind %v", name, err, c.want)
			}
		}
		first := f.asks(t, grant)
		t.Run("twice asked is one request", func(t *testing.T) {
			for _, by := range []actor.Actor{f.member(), proven(f.leaverA, f.orgA, actor.RoleGrant{Role: actor.Viewer})} {
				_, err := f.RequestChange(t.Context(), by, "again", grant)
				wantKind(t, err, fault.Conflict)
			}
			list, err := f.Requests(t.Context(), f.operator, registry.RequestFilter{}, registry.Page{})
			if err != nil || len(list.Items) != 1 || list.Items[0].ID != first || list.Items[0].Organisation != f.orgA {
				t.Errorf("%+v, %v", list.Items, err)
			}
		})
		t.Run("nobody of the organisation decides", func(t *testing.T) {
			wantKind(t, f.Apply(t.Context(), f.chief(), registry.ApproveRequest{Request: first}), fault.Forbidden)
			wantKind(t, f.Apply(t.Context(), f.chief(), registry.DeclineRequest{Request: first}), fault.Forbidden)
		})
		t.Run("TEN-02 it is told to the organisation alone", func(t *testing.T) {
			q, err := f.AccessRequest(t.Context(), person("p-viewer-a", f.orgA, actor.Viewer), grant)
			if err != nil || q == nil || q.ID != first {
				t.Errorf("%+v, %v", q, err)
			}
			if q, err := f.AccessRequest(t.Context(), f.adminB, grant); err != nil || q != nil {
				t.Errorf("B is told %+v, %v", q, err)
			}
		})
		f.must(t, f.member(), registry.WithdrawRequest{Request: first})
		f.clock.add(time.Second)
		second := f.asks(t, grant)
		f.must(t, f.operator.In(f.orgA), registry.ApproveRequest{Request: second})
		if p, err := f.Product(t.Context(), f.member(), "p2"); err != nil || !cmp.Equal(p.Available, []id.Environment{id.Sandbox, id.Production}) {
			t.Errorf("%v, %v", p.Available, err)
		}
		if q, err := f.AccessRequest(t.Context(), f.member(), grant); err != nil || q.ID != second || q.State != registry.RequestApproved {
			t.Errorf("%+v, %v", q, err)
		}
	})
}

func TestARequestIsMailedToWhoMayApproveAndBack(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.clock.add(time.Second)
		key := f.asks(t, registry.RenameAccount{Account: f.sandboxA, Name: "asked"})
		if e, text := f.newestMail(t); e.Recipient != "chief@a.example" || !strings.Contains(text, "/o/"+string(f.orgA)+"/requests") || !strings.Contains(text, "we need it") {
			t.Errorf("%+v: %s", e, text)
		}
		f.clock.add(time.Second)
		f.must(t, f.chief(), registry.DeclineRequest{Request: key, Reason: "on Monday"})
		if e, text := f.newestMail(t); e.Recipient != "member@a.example" || !strings.Contains(text, "has declined your request") || !strings.Contains(text, "on Monday") {
			t.Errorf("%+v: %s", e, text)
		}
	})
}

// Each edit with a field that is not stored holds something that must not be.
func TestSEC01_noEditThatHoldsASecretCanBeRequested(t *testing.T) {
	f := &fixture{Registry: &registry.Registry{Config: registry.Config{Now: newClock().Now}}}
	stored := 0
	for _, row := range editRows() {
		edit := row.edit(f)
		text, err := json.Marshal(registry.Edits{edit})
		if err != nil {
			t.Fatal(err)
		}
		var read registry.Edits
		requestable := json.Unmarshal(text, &read) == nil
		for field := range reflect.TypeOf(edit).Fields() {
			if field.Tag.Get("json") == "-" && requestable {
				t.Errorf("SEC-01: %T can be requested, and holds %s", edit, field.Name)
			}
		}
		if !requestable {
			continue
		}
		stored++
		if diff := cmp.Diff(registry.Edits{edit}, read, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("%s is not the same once it was stored:\n%s", row.name, diff)
		}
	}
	if stored < 15 {
		t.Errorf("only %d rows can be requested", stored)
	}
}

func TestStoredRequestsAreReadStrictly(t *testing.T) {
	for _, text := range []string{`[{"kind":"AddSecret","edit":{}}]`, `[{"kind":"","edit":{}}]`, `[{"kind":"CreateAccount","edit":{"organisation":"o-1"}}]`, `[{"kind":"CreateAccount","edit":[]}]`, `{}`, `[1]`} {
		var edits registry.Edits
		if err := json.Unmarshal([]byte(text), &edits); err == nil {
			t.Errorf("%s is read as %v", text, edits)
		}
	}
}

func TestAnAPIClientAsksAndItsRequestIsDecidedByOthers(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.must(t, f.adminA, registry.CreateClient{ID: "org-alpha-apple-101", Name: "pipeline"}, f.newSecret("org-alpha-apple-101", "h1h1h1h1h1h1"))
		asker := actor.NewClient("org-alpha-apple-101", f.orgA, "", "h1h1h1h1h1h1", []string{"management.account.read", "management.account.write", "management.request.write"})
		rename := registry.RenameAccount{Account: f.sandboxA, Name: "asked by a pipeline"}
		f.clock.add(time.Second)
		ask := func() id.Request {
			key, err := f.RequestChange(t.Context(), asker, "for the release", rename)
			if err != nil {
				t.Fatal(err)
			}
			return key
		}
		first, second, third := ask(), ask(), ask()
		if _, text := f.newestMail(t); !strings.Contains(text, "org-alpha-apple-101") || !strings.Contains(text, "for the release") {
			t.Errorf("those who decide are not told who asks: %s", text)
		}
		list, err := f.Requests(t.Context(), asker, registry.RequestFilter{Own: true, Pending: true}, registry.Page{})
		if err != nil || len(list.Items) != 3 || list.Items[0].RequestedBy != "client:org-alpha-apple-101" {
			t.Errorf("%+v, %v", list.Items, err)
		}
		f.refuses(t,
			refusal{name: "PRIV-02 its own", by: asker, edit: registry.ApproveRequest{Request: first}, want: fault.Forbidden, twin: registry.ApproveRequest{Request: first}, twinBy: f.chief()},
			refusal{name: "withdrawn by another", by: f.chief(), edit: registry.WithdrawRequest{Request: second}, want: fault.Forbidden, twin: registry.WithdrawRequest{Request: second}, twinBy: asker},
		)
		if a, err := f.Account(t.Context(), f.adminA, f.sandboxA); err != nil || a.Name != rename.Name {
			t.Errorf("the account is %+v, %v", a, err)
		}
		f.must(t, f.adminA, registry.SetClientState{Client: "org-alpha-apple-101", State: registry.Disabled})
		wantKind(t, f.Apply(t.Context(), f.chief(), registry.ApproveRequest{Request: third}), fault.Conflict)
		f.must(t, f.adminA, registry.SetClientState{Client: "org-alpha-apple-101", State: registry.Deleted})
		wantKind(t, f.Apply(t.Context(), f.chief(), registry.ApproveRequest{Request: third}), fault.Conflict)
		f.must(t, f.chief(), registry.DeclineRequest{Request: third, Reason: "the pipeline is gone"})
	})
}
