package registry_test

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

func TestAListOfClientsShowsWhatTheyHold(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		in := f.operator.In(f.orgA)
		day := 24 * time.Hour
		soon, later, gone := f.newSecret(f.a1, "expiringsoon"), f.newSecret(f.a1, "expirslater1"), f.newSecret(f.a1, "goneatnoon12")
		soon.Expires, later.Expires, gone.Expires = f.Now().Add(2*day), f.Now().Add(9*day), f.Now().Add(time.Hour)
		f.must(t, in, soon, later, gone, set(f.a1, f.secondA1, registry.SecretDisabled),
			registry.RetireSecret{Client: f.a1, Secret: later.ID, Successor: f.secretA1, Ends: f.Now().Add(day)})
		f.clock.add(2 * time.Hour)
		networks := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		f.must(t, in, registry.UpdateClient{Client: f.a1, Networks: &networks})

		list, err := f.Clients(t.Context(), f.adminA, registry.ClientFilter{Text: string(f.a1)}, registry.Page{})
		if err != nil {
			t.Fatal(err)
		}
		want := []registry.ClientSummary{{
			Client: mustClient(t, f, f.adminA, f.a1), Permissions: []string{"p1.read"},
			Secrets: 3, ExpiresAt: f.Now().Add(day - 2*time.Hour), // active, soon, retiring; not the disabled and the expired one
		}}
		if diff := cmp.Diff(want, list.Items, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
	})
}

func TestClientsAreFiltered(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		expiring := f.newSecret(f.a2, "expiringsoon")
		expiring.Expires = f.Now().Add(48 * time.Hour)
		f.must(t, f.operator.In(f.orgA), expiring,
			registry.CreateClient{ID: "sandbox-alpha-apple-100", Account: f.sandboxA, Name: "s"}, registry.CreateClient{ID: "org-alpha-apple-100", Name: "o"},
			registry.CreateClient{ID: "prod-deleted-apple-100", Account: f.productionA, Name: "d"}, registry.SetClientState{Client: "prod-deleted-apple-100", State: registry.Deleted},
			registry.SetClientState{Client: f.a1, State: registry.Disabled})
		for _, c := range []struct {
			filter registry.ClientFilter
			want   []id.Client
		}{
			{registry.ClientFilter{}, []id.Client{"sandbox-alpha-apple-100", f.manager, f.a2, f.a1, "org-alpha-apple-100"}},
			{registry.ClientFilter{Account: f.sandboxA}, []id.Client{"sandbox-alpha-apple-100"}},
			{registry.ClientFilter{Account: f.productionB}, nil},
			{registry.ClientFilter{Owner: registry.OwnedByOrganisation}, []id.Client{"org-alpha-apple-100"}},
			{registry.ClientFilter{State: registry.Disabled}, []id.Client{f.a1}},
			{registry.ClientFilter{Product: "p1"}, []id.Client{f.a2, f.a1}},
			{registry.ClientFilter{Product: "p"}, nil},
			{registry.ClientFilter{Product: "p_"}, nil},
			{registry.ClientFilter{Permission: "p2.read"}, []id.Client{f.a2}},
			{registry.ClientFilter{Permission: "p2.%"}, nil},
			{registry.ClientFilter{Product: "p1", State: registry.Enabled}, []id.Client{f.a2}},
			{registry.ClientFilter{ExpiresBy: f.Now().Add(72 * time.Hour)}, []id.Client{f.a2}},
			{registry.ClientFilter{ExpiresBy: f.Now().Add(24 * time.Hour)}, nil},
			{registry.ClientFilter{Text: "MANAGER"}, []id.Client{f.manager}},
		} {
			list, err := f.Clients(t.Context(), f.adminA, c.filter, registry.Page{})
			if err != nil {
				t.Fatal(err)
			}
			var got []id.Client
			of := map[id.Account]int{}
			for _, client := range list.Items {
				got = append(got, client.ID)
				of[client.Account]++
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%+v:\n%s", c.filter, diff)
			}
			if counts, err := f.CountClientsByAccount(t.Context(), f.adminA, c.filter, 10); err != nil || !maps.Equal(counts, of) {
				t.Errorf("%+v: counts by account = %v, %v, want %v", c.filter, counts, err, of)
			}
			for _, most := range []int{1, 10} {
				if count, err := f.CountClients(t.Context(), f.adminA, c.filter, most); err != nil || count != min(most, len(c.want)) {
					t.Errorf("%+v: count = %d, %v", c.filter, count, err)
				}
			}
		}
		for _, filter := range []registry.ClientFilter{{State: registry.Deleted}, {Account: "a-s-1"}, {Owner: "someone"}, {Text: "a\x00b"}, {Product: strings.Repeat("x", 300)}} {
			_, err := f.Clients(t.Context(), f.adminA, filter, registry.Page{})
			wantKind(t, err, fault.Invalid)
		}
	})
}

func TestAccountsAndOrganisationsAreFiltered(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.must(t, f.operator.In(f.orgA), registry.SetAccountState{Account: f.sandboxA, State: registry.Suspended}, registry.RenameAccount{Account: f.productionA, Name: "Ärger"})
		f.must(t, f.operator.In(f.orgB), registry.SetOrganisationState{State: registry.Suspended}, registry.RenameOrganisation{Name: "Übermut"})
		every := lists(t, f)
		for _, c := range []struct {
			list string
			by   actor.Actor
			x    filters
			want string
		}{
			{"accounts", f.adminA, filters{account: registry.AccountFilter{State: registry.Suspended}}, string(f.sandboxA)},
			{"accounts", f.adminA, filters{account: registry.AccountFilter{Environment: id.Production}}, string(f.productionA)},
			{"accounts", f.adminA, filters{account: registry.AccountFilter{Text: "ärg"}}, string(f.productionA)},
			{"accounts", f.adminA, filters{account: registry.AccountFilter{Text: string(f.sandboxA)}}, string(f.sandboxA)},
			{"organisations", f.operator, filters{organisation: registry.OrganisationFilter{State: registry.Suspended}}, string(f.orgB)},
			{"organisations", f.operator, filters{organisation: registry.OrganisationFilter{Text: "ÜBER"}}, string(f.orgB)},
			{"organisations", f.operator.In(f.orgA), filters{}, string(f.orgA)},
			{"organisations", f.adminA, filters{}, string(f.orgA)},
		} {
			if got := strings.Join(all(t, every[c.list], c.by, c.x, 10), " "); got != c.want {
				t.Errorf("%s by %s with %+v = %s, want %s", c.list, c.by, c.x, got, c.want)
			}
		}
	})
}

func TestSecretsAreFilteredByTheStateOfNow(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		expired, retiring := f.newSecret(f.a1, "expired00000"), f.newSecret(f.a1, "retiring0000")
		expired.Expires = f.Now().Add(time.Hour)
		f.must(t, f.adminA, expired, retiring, f.newSecret(f.a1, "revoked00000"), f.newSecret(f.a1, "over00000000"),
			registry.RetireSecret{Client: f.a1, Secret: "retiring0000", Successor: f.secretA1, Ends: f.Now().Add(48 * time.Hour)},
			registry.RetireSecret{Client: f.a1, Secret: "over00000000", Successor: f.secretA1, Ends: f.Now().Add(time.Hour)},
			set(f.a1, "revoked00000", registry.SecretRevoked), set(f.a1, f.secondA1, registry.SecretDisabled))
		f.clock.add(2 * time.Hour)
		for state, want := range map[registry.SecretState][]string{
			registry.SecretActive: {string(f.secretA1)}, registry.SecretRetiring: {"retiring0000"}, registry.SecretRevoked: {"revoked00000"},
			registry.SecretDisabled: {string(f.secondA1)}, registry.SecretExpired: {"over00000000", "expired00000"},
		} {
			got := all(t, lists(t, f)["secrets"], f.adminA, filters{secretsOf: f.a1, secret: registry.SecretFilter{State: state}}, 1)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s:\n%s", state, diff)
			}
		}
	})
}

func TestCustomersSeeNoDraftsAndNoUpstreams(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		draft := productTwo()
		draft.Key, draft.Prefix, draft.Visibility, draft.Permissions, draft.Routes = "draft", "/draft", registry.Draft, []registry.Permission{{Key: "draft.read"}}, nil
		f.must(t, f.operator, put(draft))
		for _, c := range []struct {
			name          string
			by            actor.Actor
			keys          string
			upstreams     bool
			p2, canSee    []id.Environment
			draftsProblem fault.Kind
		}{
			{"admin of A", f.adminA, "management p1 p2", false, []id.Environment{id.Sandbox, id.Production}, nil, fault.NotFound},
			{"admin of B", f.adminB, "management p1 p2", false, []id.Environment{id.Sandbox}, nil, fault.NotFound},
			{"client of A", actor.NewClient(f.a1, f.orgA, f.productionA, f.secretA1, []string{"management.product.read"}), "management p1 p2", false, []id.Environment{id.Sandbox, id.Production}, nil, fault.NotFound},
			{"operator", f.operator, "draft management p1 p2 p4", true, nil, nil, 0},
			{"operator in B", f.operator.In(f.orgB), "draft management p1 p2 p4", true, []id.Environment{id.Sandbox}, nil, 0},
		} {
			list, err := f.Products(t.Context(), c.by, registry.ProductFilter{}, registry.Page{})
			if err != nil {
				t.Fatal(err)
			}
			var keys []string
			for _, p := range list.Items {
				keys = append(keys, p.Definition.Key)
				if p.Definition.Key != "management" && (len(p.Definition.Upstreams) > 0) != c.upstreams {
					t.Errorf("%s sees the upstreams %v", c.name, p.Definition.Upstreams)
				}
				if p.Definition.Key == "p2" && !slices.Equal(p.Available, c.p2) {
					t.Errorf("%s may use p2 in %v, want %v", c.name, p.Available, c.p2)
				}
				one, err := f.Product(t.Context(), c.by, p.Definition.Key)
				if diff := cmp.Diff(p, one); diff != "" || err != nil {
					t.Errorf("%s: the product is not as listed (%v):\n%s", c.name, err, diff)
				}
			}
			if got := strings.Join(keys, " "); got != c.keys {
				t.Errorf("%s sees %s, want %s", c.name, got, c.keys)
			}
			_, err = f.Product(t.Context(), c.by, "draft")
			if c.draftsProblem != 0 {
				wantKind(t, err, c.draftsProblem)
			}
			permissions, err := f.DefinedPermissions(t.Context(), c.by, registry.PermissionFilter{Product: "draft"}, registry.Page{})
			if err != nil || (len(permissions.Items) > 0) != c.upstreams {
				t.Errorf("%s sees the permissions %v, %v", c.name, permissions.Items, err)
			}
		}
	})
}

func TestProductsPermissionsAndGrantsAreFiltered(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		every := lists(t, f)
		for _, c := range []struct {
			list string
			by   actor.Actor
			x    filters
			want string
		}{
			{"products", f.adminA, filters{product: registry.ProductFilter{Text: "P1"}}, "p1"},
			{"products", f.adminA, filters{product: registry.ProductFilter{Available: id.Production}}, "management p1 p2"},
			{"products", f.adminB, filters{product: registry.ProductFilter{Available: id.Production}}, "management p1"},
			{"products", f.adminB, filters{product: registry.ProductFilter{Visibility: registry.SandboxOnly}}, ""},
			{"permissions", f.adminA, filters{permission: registry.PermissionFilter{Product: "p1"}}, "p1.old p1.read p1.staff p1.write"},
			{"permissions", f.adminA, filters{permission: registry.PermissionFilter{Product: "p1", Current: true}}, "p1.read p1.staff p1.write"},
			{"permissions", f.adminA, filters{permission: registry.PermissionFilter{Assignable: registry.ByOperator}}, "p1.staff"},
			{"permissions", f.adminA, filters{permission: registry.PermissionFilter{Text: "2.RE"}}, "p2.read"},
			{"permissions", f.adminB, filters{permission: registry.PermissionFilter{Text: ".read", Product: "p2", Available: id.Production}}, ""},
			{"grants", f.adminA, filters{}, "p1 production " + string(f.orgA) + " p2 production " + string(f.orgA)},
			{"grants", f.adminA, filters{grant: registry.GrantFilter{Product: "p2"}}, "p2 production " + string(f.orgA)},
			{"grants", f.adminA, filters{grant: registry.GrantFilter{Environment: id.Sandbox}}, ""},
			{"grants", f.operator, filters{grant: registry.GrantFilter{Product: "p2"}}, "p2 production " + string(f.orgA)},
		} {
			if got := strings.Join(all(t, every[c.list], c.by, c.x, 2), " "); got != c.want {
				t.Errorf("%s by %s with %+v = %s, want %s", c.list, c.by, c.x, got, c.want)
			}
		}
		if got := all(t, every["grants"], f.operator, filters{grant: registry.GrantFilter{Product: "p1"}}, 1); len(got) != 2 {
			t.Errorf("the operator sees the grants %q, want those of A and B", got)
		}
	})
}

func TestAuditRecordsAreFiltered(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		start := f.Now()
		f.clock.add(time.Hour)
		name := "renamed"
		f.must(t, f.adminA.From(netip.MustParseAddr("192.0.2.7"), "request-7"), registry.UpdateClient{Client: f.a1, Name: &name})
		list, err := f.AuditRecords(t.Context(), f.adminA, registry.AuditFilter{From: f.Now()}, registry.Page{})
		if err != nil || len(list.Items) != 1 {
			t.Fatalf("records = %+v, %v", list, err)
		}
		got := list.Items[0]
		if !strings.Contains(string(got.Content), `"name":"renamed"`) || got.Seq == 0 {
			t.Errorf("record %d has the content %s", got.Seq, got.Content)
		}
		got.Content, got.Seq = nil, 0
		want := registry.AuditRecord{At: f.Now(), Organisation: f.orgA, Action: "client.update", Subject: string(f.a1), Actor: "person:p-admin-a", RequestID: "request-7", Address: "192.0.2.7"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		for _, c := range []struct {
			by     actor.Actor
			filter registry.AuditFilter
			want   int
		}{
			{f.adminA, registry.AuditFilter{Action: "client.update"}, 1},
			{f.adminA, registry.AuditFilter{Action: "client"}, 7},
			{f.adminA, registry.AuditFilter{Action: "client."}, 7},
			{f.adminA, registry.AuditFilter{Action: "client.permissions"}, 3},
			{f.adminA, registry.AuditFilter{Action: "cli"}, 0},
			{f.adminA, registry.AuditFilter{Subject: string(f.a1)}, 3},
			{f.adminA, registry.AuditFilter{Subject: string(f.a1), Action: "client.create"}, 1},
			{f.adminA, registry.AuditFilter{Actor: "person:p-admin-a"}, 1},
			{f.adminA, registry.AuditFilter{Subject: string(f.a1), Until: f.Now()}, 2},
			{f.adminA, registry.AuditFilter{Subject: string(f.a1), From: start, Until: start}, 0},
			{f.adminB, registry.AuditFilter{Subject: string(f.a1)}, 0},
			{f.operator, registry.AuditFilter{Subject: string(f.a1)}, 3},
			{f.operator, registry.AuditFilter{Action: "product.put"}, 4},
			{f.operator.In(f.orgA), registry.AuditFilter{Action: "product.put"}, 0},
		} {
			list, err := f.AuditRecords(t.Context(), c.by, c.filter, registry.Page{})
			if err != nil || len(list.Items) != c.want {
				t.Errorf("%s with %+v: %d records, want %d, %v", c.by, c.filter, len(list.Items), c.want, err)
			}
		}
	})
}
