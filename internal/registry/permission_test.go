package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

func add(client id.Client, permissions ...string) registry.AddPermissions {
	return registry.AddPermissions{Client: client, Permissions: permissions}
}

func (f *fixture) held(t *testing.T, by actor.Actor, client id.Client) []string {
	t.Helper()
	permissions, err := f.Permissions(t.Context(), by, client)
	if err != nil {
		t.Fatal(err)
	}
	return permissions
}

func TestPermissionsAreAddedAndRemovedAsSets(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.must(t, f.adminA, add(f.a1, "p1.write", "p1.read", "p1.write"), add(f.a1, "p2.read"))
		if diff := cmp.Diff([]string{"p1.read", "p1.write", "p2.read"}, f.held(t, f.adminA, f.a1)); diff != "" {
			t.Error(diff)
		}
		f.must(t, f.adminA, registry.RemovePermissions{Client: f.a1, Permissions: []string{"p1.read", "p1.old", "p1.read"}})
		if diff := cmp.Diff([]string{"p1.write", "p2.read"}, f.held(t, f.adminA, f.a1)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"p1.read", "p2.read"}, f.held(t, f.adminA, f.a2)); diff != "" {
			t.Errorf("another client lost something: %s", diff)
		}
	})
}

func TestPermissionsThatMayNotBeAdded(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		draft := productTwo()
		draft.Key, draft.Prefix, draft.Visibility = "p3", "/p3", registry.Draft
		draft.Permissions, draft.Routes = []registry.Permission{{Key: "p3.read"}}, nil
		sandbox := draft
		sandbox.Key, sandbox.Prefix, sandbox.Visibility, sandbox.Permissions = "p4", "/p4", registry.SandboxOnly, []registry.Permission{{Key: "p4.read"}}
		sandbox.ProductionAccess = registry.Open
		f.must(t, f.operator, registry.PutProduct{Definition: draft, Source: registry.Managed}, registry.PutProduct{Definition: sandbox, Source: registry.Managed})
		f.must(t, f.adminB, registry.CreateAccount{ID: "a-s-bbbbbbbbbbbbbbbbbbbb", Name: "B-sbx"},
			registry.CreateClient{ID: "sandbox-beta-apple-102", Account: "a-s-bbbbbbbbbbbbbbbbbbbb", Name: "b2"},
			registry.CreateClient{ID: "org-beta-apple-103", Name: "b3"})
		f.must(t, f.operator, registry.CreateClient{ID: "op-omega-apple-104", Name: "o"})
		f.refuses(t,
			refusal{name: "unknown permission", by: f.adminA, edit: add(f.a1, "p1.fly"), want: fault.Invalid, twin: add(f.a1, "p1.write")},
			refusal{name: "unknown product", by: f.adminA, edit: add(f.a1, "p9.read"), want: fault.Invalid, twin: add(f.a1, "p2.read")},
			refusal{name: "no permission at all", by: f.adminA, edit: add(f.a1, "p1"), want: fault.Invalid, twin: add(f.a1)},
			refusal{name: "retired", by: f.operator.In(f.orgA), edit: add(f.a1, "p1.old"), want: fault.Conflict, twin: add(f.a1, "p1.staff")},
			refusal{name: "the operator's to assign", by: f.adminA, edit: add(f.a2, "p1.staff"), want: fault.Forbidden, twin: add(f.a2, "p1.staff"), twinBy: f.operator.In(f.orgA)},
			refusal{name: "ungranted in production", by: f.adminB, edit: add(f.b1, "p2.read"), want: fault.Forbidden, twin: add("sandbox-beta-apple-102", "p2.read")},
			refusal{name: "draft", by: f.adminB, edit: add("sandbox-beta-apple-102", "p3.read"), want: fault.Invalid, twin: add("op-omega-apple-104", "p3.read"), twinBy: f.operator},
			refusal{name: "not visible in production", by: f.adminB, edit: add(f.b1, "p4.read"), want: fault.Forbidden, twin: add("sandbox-beta-apple-102", "p4.read")},
			refusal{name: "good ones with a bad one", by: f.adminB, edit: add("org-beta-apple-103", "p1.read", "p2.read", "p1.old"), want: fault.Conflict, twin: add("org-beta-apple-103", "p1.read", "p2.read")},
		)
		t.Run("a draft looks like nothing", func(t *testing.T) {
			unknown, draft := f.Apply(t.Context(), f.adminB, add(f.b1, "p3.nope")), f.Apply(t.Context(), f.adminB, add(f.b1, "p3.read"))
			if got, want := strings.ReplaceAll(draft.Error(), "p3.read", "X"), strings.ReplaceAll(unknown.Error(), "p3.nope", "X"); got != want {
				t.Errorf("a draft's permission: %q, an unknown one: %q", got, want)
			}
		})
	})
}

func TestGrantingAndWithdrawingAProduct(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		in := f.operator.In(f.orgB)
		grant := registry.GrantProduct{Product: "p2", Environment: id.Production}
		f.refuses(t,
			refusal{name: "before the grant", by: f.adminB, edit: add(f.b1, "p2.read"), want: fault.Forbidden, twin: add(f.b1, "p1.write")},
			refusal{name: "grant of another environment", by: in, edit: registry.GrantProduct{Product: "p2", Environment: "staging"}, want: fault.Invalid, twin: grant},
			refusal{name: "grant of nothing", by: in, edit: registry.GrantProduct{Product: "p9", Environment: id.Production}, want: fault.NotFound, twin: grant},
			refusal{name: "grant to nobody", by: f.operator, edit: grant, want: fault.NotFound, twin: grant, twinBy: in},
			refusal{name: "grant by a customer", by: f.adminB, edit: grant, want: fault.Forbidden, twin: grant, twinBy: in},
		)
		f.must(t, f.adminB, add(f.b1, "p2.read"))
		f.must(t, in, registry.WithdrawProduct{Product: "p2", Environment: id.Production}, registry.WithdrawProduct{Product: "p2", Environment: id.Production})
		entry, err := f.OrganisationEntry(t.Context(), f.orgB)
		if err != nil || entry.Grants[registry.ProductGrant{Product: "p2", Environment: id.Production}] {
			t.Errorf("the withdrawn product is still granted: %+v, %v", entry, err)
		}
		// The client keeps it, for the day of a new grant; the decision refuses it.
		if diff := cmp.Diff([]string{"p1.read", "p1.write", "p2.read"}, f.held(t, f.adminB, f.b1)); diff != "" {
			t.Error(diff)
		}
		f.must(t, f.adminB, registry.RemovePermissions{Client: f.b1, Permissions: []string{"p2.read"}})
		wantKind(t, f.Apply(t.Context(), f.adminB, add(f.b1, "p2.read")), fault.Forbidden)
	})
}

// manyPermissions is a product with n permissions of 48 bytes.
func manyPermissions(n int) (d registry.Definition, keys []string) {
	d = productTwo()
	d.Key, d.Prefix, d.Permissions, d.Routes = "many", "/many", nil, nil
	for i := range n {
		key := fmt.Sprintf("many.a%03d.%s.%s", i, strings.Repeat("b", 20), strings.Repeat("c", 17))
		keys = append(keys, key)
		d.Permissions = append(d.Permissions, registry.Permission{Key: key})
	}
	return d, keys
}

func TestAClientHoldsAHundredPermissionsAtMost(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		many, keys := manyPermissions(101)
		many.ProductionAccess = registry.Open
		f.must(t, f.operator, registry.PutProduct{Definition: many, Source: registry.Managed})
		f.must(t, f.adminA, registry.CreateClient{ID: "prod-fresh-apple-200", Account: f.productionA, Name: "n"})
		if len(keys[0]) != registry.MaxPermissionLength {
			t.Fatalf("%q has %d characters", keys[0], len(keys[0]))
		}
		f.refuses(t, refusal{name: "101", by: f.adminA, edit: add("prod-fresh-apple-200", keys...), want: fault.Invalid, twin: add("prod-fresh-apple-200", keys[:100]...)})
		f.refuses(t, refusal{name: "one more", by: f.adminA, edit: add("prod-fresh-apple-200", keys[100]), want: fault.Invalid, twin: add("prod-fresh-apple-200", keys[99])})
	})
}

func TestAClientHoldsNoMoreThanATokenCanCarry(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		config := f.Config
		config.MaxPermissionBytes = len(`"p1.read","p1.write",`)
		small := registry.New(config)
		wantKind(t, small.Apply(t.Context(), f.adminA, add(f.a1, "p1.write", "p2.read")), fault.Invalid)
		t.Run("twin", func(t *testing.T) {
			if err := small.Apply(t.Context(), f.adminA, add(f.a1, "p1.write")); err != nil {
				t.Error(err)
			}
		})
	})
}

// Nobody gives more than they hold: neither by granting, nor by a secret of a
// client that holds more, nor by waking one.
func TestPRIV10_nobodyGivesMoreThanTheyHold(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		client := func(permissions ...string) actor.Actor {
			return actor.NewClient("prod-omega-apple-100", f.orgA, f.productionA, "omegaomega12", append(permissions, "management.permission.write", "management.secret.write", "management.client.disable"))
		}
		weak, strong := client(), client("management.client.write")
		other := client("management.client.write", "management.client.read")
		noGrant := actor.NewClient("prod-omega-apple-100", f.orgA, f.productionA, "omegaomega12", []string{"management.secret.write", "management.client.write"})
		retire := registry.RetireSecret{Client: f.manager, Secret: f.managed, Successor: "newnewnewne1", Ends: f.Now()}
		f.must(t, f.adminA, registry.CreateClient{ID: "org-alpha-apple-100", Name: "whole organisation"})
		f.refuses(t,
			refusal{name: "PRIV-10 grants what it lacks", by: weak, edit: add(f.a1, "management.client.write"), want: fault.Forbidden, twin: add(f.a1, "management.client.write"), twinBy: strong},
			refusal{name: "PRIV-10 grants itself more", by: strong, edit: add(f.manager, "management.client.read"), want: fault.Forbidden, twin: add(f.manager, "management.client.read"), twinBy: other},
			refusal{name: "PRIV-10 grants beyond its account", by: other, edit: add("org-alpha-apple-100", "management.client.read"), want: fault.Forbidden, twin: add("org-alpha-apple-100", "management.client.read"), twinBy: f.adminA},
			refusal{name: "PRIV-10 grants what is the operator's", by: client("management.key.write"), edit: add(f.a1, "management.key.write"), want: fault.Forbidden, twin: add(f.a1, "management.key.write"), twinBy: f.operator.In(f.orgA)},
			refusal{name: "PRIV-10 adds a secret", by: strong, edit: f.newSecret(f.manager, "newnewnewne1"), want: fault.Forbidden, twin: f.newSecret(f.manager, "newnewnewne1"), twinBy: other},
			refusal{name: "PRIV-10 adds a secret without the right to grant", by: noGrant, edit: f.newSecret(f.manager, "newnewnewne2"), want: fault.Forbidden, twin: f.newSecret(f.a2, "newnewnewne2")},
			refusal{name: "PRIV-10 rotates a secret", by: strong, edit: retire, want: fault.Forbidden, twin: retire, twinBy: other},
			refusal{name: "PRIV-10 enables a secret", by: strong, edit: registry.SetSecretState{Client: f.manager, Secret: f.managed, State: registry.SecretActive}, want: fault.Forbidden,
				twin: registry.SetSecretState{Client: f.manager, Secret: f.managed, State: registry.SecretDisabled}},
			refusal{name: "PRIV-10 enables a client", by: strong, edit: registry.SetClientState{Client: f.manager, State: registry.Enabled}, want: fault.Forbidden,
				twin: registry.SetClientState{Client: f.manager, State: registry.Disabled}},
		)
	})
}
