package registry_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/registry"
)

// outline is a plan in lines, without ids that were drawn.
func outline(p registry.Plan) (lines []string) {
	for _, s := range p.Steps {
		line := strings.Join([]string{string(s.Action), s.Kind, s.Name}, " ")
		for _, where := range []string{s.Organisation, s.Account} {
			if where != "" {
				line += " of " + where
			}
		}
		for _, f := range s.Fields {
			line += fmt.Sprintf("; %s: %v > %v", f.Name, f.Before, f.After)
		}
		lines = append(lines, line)
	}
	return lines
}

func (f *fixture) declare(t *testing.T, by actor.Actor, d registry.Declaration, how registry.Declaring) registry.Plan {
	t.Helper()
	p, err := f.Declare(t.Context(), by, d, how)
	if err != nil {
		t.Fatalf("declare: %v", err)
	}
	return p
}

func (f *fixture) declared(t *testing.T, by actor.Actor) registry.Declaration {
	t.Helper()
	d, err := f.Declared(t.Context(), by)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func listOf(permissions ...string) *[]string { return &permissions }

// wanted changes something of every kind, and creates something of every kind.
func wanted(f *fixture) registry.Declaration {
	lifetime, networks := 300*time.Second, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	note := "runs at night"
	two := productTwo()
	two.Permissions = []registry.Permission{{Key: "p2.write"}}
	two.Routes = []registry.Route{{Method: "GET", Path: "/", Permissions: [][]string{{"p2.write"}}}}
	three := registry.Definition{Key: "p3", Name: "P3", Prefix: "/p3", Upstreams: map[id.Environment]string{id.Sandbox: "http://p3.example"}, Permissions: []registry.Permission{{Key: "p3.use"}}}
	return registry.Declaration{
		Products: []registry.Definition{productOne(), two, three},
		Organisations: []registry.DeclaredOrganisation{
			{
				ID: f.orgA, Name: "A and sons", Grants: []registry.ProductGrant{{Product: "p1", Environment: id.Production}, {Product: "p3", Environment: id.Production}},
				Accounts: []registry.DeclaredAccount{
					{Name: "A-sbx", State: registry.Suspended},
					{ID: f.productionA, Name: "A-live", Clients: []registry.DeclaredClient{
						{Name: "a1", TokenLifetime: &lifetime, Networks: &networks, Permissions: listOf("p1.write", "p1.read")},
						{ID: f.a2, Name: "second", State: registry.Disabled, Contact: &f.memberA, Note: &note, Permissions: listOf("p1.read", "p2.write")},
						{Name: "a3", Contact: &f.memberA, Note: &note, Permissions: listOf("p1.read")},
					}},
				},
				Clients: []registry.DeclaredClient{{Name: "backend"}},
			},
			{
				Name: "C", Grants: []registry.ProductGrant{{Product: "p1", Environment: id.Sandbox}},
				Accounts: []registry.DeclaredAccount{{Name: "first", Environment: id.Sandbox, Clients: []registry.DeclaredClient{{Name: "c1", State: registry.Disabled, Permissions: listOf("p3.use")}}}},
			},
		},
		Clients: []registry.DeclaredClient{{Name: "robot", Permissions: listOf("management.client.read")}},
	}
}

func TestADeclarationMakesWhatIsNotSo(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		d := wanted(f)
		plan := f.declare(t, f.operator, d, registry.Declaring{})
		want := []string{
			"change product p2; permissions: [map[assignable:customer key:p2.read]] > [map[assignable:customer key:p2.write]]; routes: [map[method:GET path:/ permissions:[[p2.read]]]] > [map[method:GET path:/ permissions:[[p2.write]]]]",
			"create product p3; name: <nil> > P3; permissions: <nil> > [map[assignable:customer key:p3.use]]; prefix: <nil> > /p3; production_access: <nil> > granted; sandbox_access: <nil> > open; upstreams: <nil> > map[sandbox:http://p3.example]; visibility: <nil> > published",
			"change organisation A and sons; name: A > A and sons",
			"create grant p3 in production of A and sons",
			"change account A-sbx of A and sons; state: active > suspended",
			"change account A-live of A and sons; name: A-prod > A-live",
			"change client a1 of A and sons of A-live; token_lifetime: 600 > 300; networks: [] > [192.0.2.0/24]; permissions: [p1.read] > [p1.read p1.write]",
			"change client a2 of A and sons of A-live; name: a2 > second; contact_id:  > " + string(f.memberA) + "; note:  > runs at night; permissions: [p1.read p2.read] > [p1.read p2.write]; state: enabled > disabled",
			"create client a3 of A and sons of A-live; contact_id: <nil> > " + string(f.memberA) + "; note: <nil> > runs at night; permissions: <nil> > [p1.read]",
			"create client backend of A and sons",
			"create organisation C; name: <nil> > C",
			"create grant p1 in sandbox of C",
			"create account first of C; environment: <nil> > sandbox",
			"create client c1 of C of first; permissions: <nil> > [p3.use]; state: <nil> > disabled",
			"create client robot; permissions: <nil> > [management.client.read]",
		}
		if diff := cmp.Diff(want, outline(plan)); diff != "" {
			t.Error(diff)
		}
		for _, s := range plan.Steps {
			if s.ID == "" && s.Kind != "grant" {
				t.Errorf("the step %v does not say what it made", s)
			}
		}
		after := f.declared(t, f.operator)
		isC := func(o registry.DeclaredOrganisation) bool { return o.Name == "C" }
		if c := after.Organisations[slices.IndexFunc(after.Organisations, isC)]; c.Accounts[0].Clients[0].State != registry.Disabled || len(*c.Accounts[0].Clients[0].Permissions) != 1 {
			t.Errorf("made %+v", c)
		}

		// Once more, and as it was read, it changes nothing and leaves no trace.
		before := dump(t, f.DB)
		for name, again := range map[string]registry.Declaration{"the same": d, "what was read": after} {
			if again := f.declare(t, f.operator, again, registry.Declaring{}); len(again.Steps) > 0 {
				t.Errorf("%s: %v", name, outline(again))
			}
		}
		if diff := cmp.Diff(before, dump(t, f.DB)); diff != "" {
			t.Errorf("nothing to change left a trace:\n%s", diff)
		}
	})
}

func TestADryRunFindsOutAndLeavesNoTrace(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		before := dump(t, f.DB)
		plan := f.declare(t, f.operator, wanted(f), registry.Declaring{DryRun: true})
		if diff := cmp.Diff(before, dump(t, f.DB)); diff != "" {
			t.Errorf("a dry run left a trace:\n%s", diff)
		}
		bad := wanted(f)
		bad.Clients[0].Permissions = listOf("p9.none")
		_, err := f.Declare(t.Context(), f.operator, bad, registry.Declaring{DryRun: true})
		wantKind(t, err, fault.Invalid)
		if !strings.Contains(err.Error(), `client robot: there is no permission "p9.none"`) {
			t.Errorf("it does not say of what: %v", err)
		}

		// What is agreed to is what is made, or nothing.
		f.must(t, f.adminA, registry.RenameOrganisation{Name: "Alpha"})
		_, err = f.Declare(t.Context(), f.operator, wanted(f), registry.Declaring{Expected: plan.Digest})
		if e, ok := errors.AsType[*fault.Error](err); !ok || e.Code != fault.VersionStale {
			t.Errorf("a plan of before was made: %v", err)
		}
		f.must(t, f.adminA, registry.RenameOrganisation{Name: "A"})
		made := f.declare(t, f.operator, wanted(f), registry.Declaring{Expected: plan.Digest})
		if diff := cmp.Diff(outline(plan), outline(made)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPruningRemovesWhatADeclaredListLeavesOut(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		d := registry.Declaration{Organisations: []registry.DeclaredOrganisation{{
			ID: f.orgA, Grants: []registry.ProductGrant{{Product: "p1", Environment: id.Production}},
			Accounts: []registry.DeclaredAccount{{ID: f.productionA, Clients: []registry.DeclaredClient{{ID: f.a1}, {ID: f.manager}}}},
		}}}
		if plan := f.declare(t, f.operator, d, registry.Declaring{}); len(plan.Steps) > 0 {
			t.Errorf("without it: %v", outline(plan))
		}
		organisation, err := f.CreateClient(t.Context(), f.adminA, registry.NewClient{Name: "of no declared list"})
		if err != nil {
			t.Fatal(err)
		}
		plan := f.declare(t, f.operator, d, registry.Declaring{Prune: true})
		if diff := cmp.Diff([]string{"delete grant p2 in production of A", "delete client a2 of A of A-prod"}, outline(plan)); diff != "" {
			t.Error(diff)
		}
		_, err = f.Client(t.Context(), f.adminA, f.a2)
		wantKind(t, err, fault.NotFound)
		mustClient(t, f, f.adminA, organisation)

		robot := actor.NewClient(f.manager, f.orgA, "", "s", []string{"management.declaration.write", "management.client.write"})
		d.Organisations[0].Accounts[0].Clients = d.Organisations[0].Accounts[0].Clients[:1]
		_, err = f.Declare(t.Context(), robot, d, registry.Declaring{Prune: true})
		wantKind(t, err, fault.Conflict) // it would saw off its own branch
	})
}

func TestDeclarationsThatAreRefused(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		in := func(o registry.DeclaredOrganisation) registry.Declaration {
			return registry.Declaration{Organisations: []registry.DeclaredOrganisation{o}}
		}
		clients := func(list ...registry.DeclaredClient) registry.Declaration {
			return in(registry.DeclaredOrganisation{ID: f.orgA, Accounts: []registry.DeclaredAccount{{ID: f.productionA, Clients: list}}})
		}
		zero := time.Duration(0)
		f.must(t, f.operator, registry.CreateOrganisation{ID: "o-twintwintwintwintwin", Name: "B"})
		reader := actor.NewClient("org-calm-river-204", f.orgA, "", "s", []string{"management.declaration.write", "management.client.write"})
		for name, c := range map[string]struct {
			by     actor.Actor
			d      registry.Declaration
			want   fault.Kind
			twinBy actor.Actor
			twin   registry.Declaration
		}{
			"TEN-01 another's organisation":   {f.adminB, in(registry.DeclaredOrganisation{ID: f.orgA, Name: "stolen"}), fault.NotFound, f.adminA, in(registry.DeclaredOrganisation{ID: f.orgA, Name: "renamed"})},
			"TEN-01 another's account":        {f.adminB, in(registry.DeclaredOrganisation{ID: f.orgB, Accounts: []registry.DeclaredAccount{{ID: f.productionA, Name: "x"}}}), fault.NotFound, f.adminB, in(registry.DeclaredOrganisation{ID: f.orgB, Accounts: []registry.DeclaredAccount{{ID: f.productionB, Name: "x"}}})},
			"TEN-01 another's client":         {f.adminB, in(registry.DeclaredOrganisation{ID: f.orgB, Accounts: []registry.DeclaredAccount{{ID: f.productionB, Clients: []registry.DeclaredClient{{ID: f.a1, Name: "x"}}}}}), fault.NotFound, f.adminA, clients(registry.DeclaredClient{ID: f.a1, Name: "x"})},
			"client of another owner":         {f.adminA, in(registry.DeclaredOrganisation{ID: f.orgA, Clients: []registry.DeclaredClient{{ID: f.a1, Name: "y"}}}), fault.NotFound, f.adminA, clients(registry.DeclaredClient{ID: f.a1, Name: "y"})},
			"organisation by a customer":      {f.adminA, in(registry.DeclaredOrganisation{Name: "mine"}), fault.Forbidden, f.operator, in(registry.DeclaredOrganisation{Name: "mine"})},
			"organisation within another":     {f.operator.In(f.orgA), in(registry.DeclaredOrganisation{Name: "inside"}), fault.Forbidden, f.operator, in(registry.DeclaredOrganisation{Name: "inside"})},
			"product by a customer":           {f.adminA, registry.Declaration{Products: []registry.Definition{{Key: "p4", Name: "P4", Prefix: "/p4"}}}, fault.Forbidden, f.operator, registry.Declaration{Products: []registry.Definition{{Key: "p4", Name: "P4", Prefix: "/p4"}}}},
			"operator's client by a customer": {f.adminA, registry.Declaration{Clients: []registry.DeclaredClient{}}, fault.Forbidden, f.operator, registry.Declaration{Clients: []registry.DeclaredClient{}}},
			"without declaration.write":       {person("p-dev", f.orgA, actor.Developer), clients(registry.DeclaredClient{Name: "new"}), fault.Forbidden, f.adminA, clients(registry.DeclaredClient{Name: "new"})},
			"PRIV-01 without its own ability": {reader, clients(registry.DeclaredClient{ID: f.a2, Permissions: listOf()}), fault.Forbidden, f.adminA, clients(registry.DeclaredClient{ID: f.a2, Permissions: listOf()})},
			"PRIV-01 more than one holds":     {actor.NewClient("org-calm-river-204", f.orgA, "", "s", []string{"management.declaration.write", "management.client.write", "management.permission.write"}), clients(registry.DeclaredClient{ID: f.manager, Permissions: listOf("management.client.write", "management.secret.write")}), fault.Forbidden, f.adminA, clients(registry.DeclaredClient{ID: f.manager, Permissions: listOf("management.client.write", "management.secret.write")})},
			"declared twice by id and name":   {f.adminA, clients(registry.DeclaredClient{ID: f.manager}, registry.DeclaredClient{Name: "manager"}), fault.Invalid, f.adminA, clients(registry.DeclaredClient{ID: f.manager})},
			"new and declared twice":          {f.adminA, clients(registry.DeclaredClient{Name: "n"}, registry.DeclaredClient{Name: "n"}), fault.Invalid, f.adminA, clients(registry.DeclaredClient{Name: "n"}, registry.DeclaredClient{Name: "m"})},
			"product declared twice":          {f.operator, registry.Declaration{Products: []registry.Definition{productOne(), productOne()}}, fault.Invalid, f.operator, registry.Declaration{Products: []registry.Definition{productOne()}}},
			"neither id nor name":             {f.adminA, clients(registry.DeclaredClient{}), fault.Invalid, f.adminA, clients(registry.DeclaredClient{Name: "k"})},
			"name of two":                     {f.operator, in(registry.DeclaredOrganisation{Name: "B"}), fault.Conflict, f.operator, in(registry.DeclaredOrganisation{ID: f.orgB})},
			"new account of no environment":   {f.adminA, in(registry.DeclaredOrganisation{ID: f.orgA, Accounts: []registry.DeclaredAccount{{Name: "z"}}}), fault.Invalid, f.adminA, in(registry.DeclaredOrganisation{ID: f.orgA, Accounts: []registry.DeclaredAccount{{Name: "z", Environment: id.Sandbox}}})},
			"account of another environment":  {f.adminA, in(registry.DeclaredOrganisation{ID: f.orgA, Accounts: []registry.DeclaredAccount{{ID: f.sandboxA, Environment: id.Production}}}), fault.Invalid, f.adminA, in(registry.DeclaredOrganisation{ID: f.orgA, Accounts: []registry.DeclaredAccount{{ID: f.sandboxA, Environment: id.Sandbox}}})},
			"lifetime of nothing":             {f.adminA, clients(registry.DeclaredClient{Name: "l", TokenLifetime: &zero}), fault.Invalid, f.adminA, clients(registry.DeclaredClient{Name: "l"})},
			"deleted by its state":            {f.adminA, clients(registry.DeclaredClient{ID: f.manager, State: "gone"}), fault.Invalid, f.adminA, clients(registry.DeclaredClient{ID: f.manager, State: registry.Disabled})},
			"suspension by a customer":        {f.adminA, in(registry.DeclaredOrganisation{ID: f.orgA, Accounts: []registry.DeclaredAccount{{ID: f.sandboxA, State: registry.Suspended}}}), fault.Forbidden, f.operator, in(registry.DeclaredOrganisation{ID: f.orgA, Accounts: []registry.DeclaredAccount{{ID: f.sandboxA, State: registry.Suspended}}})},
		} {
			t.Run(name, func(t *testing.T) {
				before := made(t, f.DB)
				_, err := f.Declare(t.Context(), c.by, c.d, registry.Declaring{})
				wantKind(t, err, c.want)
				if diff := cmp.Diff(before, made(t, f.DB)); diff != "" {
					t.Errorf("it left a trace:\n%s", diff)
				}
				t.Run("twin", func(t *testing.T) { f.declare(t, c.twinBy, c.twin, registry.Declaring{}) })
			})
		}
	})
}

func TestACustomerReadsItsOwnDeclarationOnly(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		d := f.declared(t, f.adminB)
		if len(d.Organisations) != 1 || d.Organisations[0].ID != f.orgB || d.Products != nil || d.Clients != nil {
			t.Errorf("B reads %+v", d)
		}
		if text := fmt.Sprintf("%+v", d); strings.Contains(text, string(f.orgA)) || strings.Contains(text, string(f.a1)) {
			t.Errorf("TEN-02: B sees A: %s", text)
		}
		if diff := cmp.Diff(d, f.declared(t, f.operator.In(f.orgB)), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("the operator reads another one there:\n%s", diff)
		}
		_, err := f.Declared(t.Context(), person("p-dev", f.orgA, actor.Developer))
		wantKind(t, err, fault.Forbidden)
	})
}

func TestDeclarationsAtTheSameTimeLeaveOneOfThem(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		variant := func(name string) registry.Declaration {
			var clients []registry.DeclaredClient
			for n := range 5 {
				clients = append(clients, registry.DeclaredClient{Name: fmt.Sprint(name, n), Permissions: listOf("p1.read")}, registry.DeclaredClient{Name: fmt.Sprint("both ", n), Permissions: listOf("p1." + name)})
			}
			return registry.Declaration{Organisations: []registry.DeclaredOrganisation{{
				ID: f.orgA, Name: name, Accounts: []registry.DeclaredAccount{{ID: f.sandboxA, Name: "of " + name, Clients: clients}},
			}}}
		}
		var wait sync.WaitGroup
		for range 3 {
			for _, name := range []string{"read", "write"} {
				wait.Go(func() {
					if _, err := f.Declare(context.WithoutCancel(t.Context()), f.operator, variant(name), registry.Declaring{Prune: true}); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wait.Wait()
		winner := f.declared(t, f.adminA).Organisations[0].Name
		if plan := f.declare(t, f.operator, variant(winner), registry.Declaring{Prune: true, DryRun: true}); len(plan.Steps) > 0 {
			t.Errorf("a mixture was left, %v away from %s", outline(plan), winner)
		}
		if _, err := journal.Verify(t.Context(), f.DB); err != nil {
			t.Error(err)
		}
	})
}

func TestDOS16_aCustomersDeclarationHoldsUpOthersForABoundedTime(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		declare := func(by actor.Actor, grants int) error {
			o := registry.DeclaredOrganisation{ID: f.orgA}
			for i := range grants {
				o.Grants = append(o.Grants, registry.ProductGrant{Product: fmt.Sprintf("p%d", i), Environment: id.Sandbox})
			}
			_, err := f.Declare(t.Context(), by, registry.Declaration{Organisations: []registry.DeclaredOrganisation{o}}, registry.Declaring{DryRun: true})
			return err
		}
		wantKind(t, declare(f.adminA, registry.MaxSteps+1), fault.Invalid)
		t.Run("twin", func(t *testing.T) { // the next question is who may grant, and whether there is such a product
			wantKind(t, declare(f.adminA, registry.MaxSteps), fault.Forbidden)
			wantKind(t, declare(f.operator, registry.MaxSteps+1), fault.NotFound)
		})
	})
}
