package registry_test

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

func TestAnAccountKeepsItsEnvironmentForEver(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		for _, environment := range []id.Environment{id.Sandbox, id.Production} {
			key, err := f.CreateAccount(t.Context(), f.adminA, environment, "new "+string(environment))
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := id.ParseAccount(string(key)); !ok || got.Environment() != environment {
				t.Errorf("CreateAccount = %q, want an id of %s", key, environment)
			}
		}
		if key, err := f.CreateAccount(t.Context(), f.adminA, "staging", "x"); fault.KindOf(err) != fault.Invalid || key != "" {
			t.Errorf("CreateAccount in staging = %q, %v", key, err)
		}
	})
	for _, edit := range []any{registry.RenameAccount{}, registry.SetAccountState{}} {
		for field := range reflect.TypeOf(edit).Fields() {
			if field.Type == reflect.TypeFor[id.Environment]() {
				t.Errorf("%T can change the environment", edit)
			}
		}
	}
}

func TestAnAccountIsWhatItsEditsSay(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		in := f.operator.In(f.orgA)
		f.must(t, in, registry.RenameAccount{Account: f.sandboxA, Name: "new"}, registry.RenameAccount{Account: f.sandboxA, Name: "new"})
		for _, state := range []registry.State{registry.Suspended, registry.Suspended, registry.Active, registry.Suspended, registry.Active} {
			f.must(t, in, registry.SetAccountState{Account: f.sandboxA, State: state})
		}
		got, err := f.Account(t.Context(), f.adminA, f.sandboxA)
		if err != nil {
			t.Fatal(err)
		}
		want := registry.Account{ID: f.sandboxA, Organisation: f.orgA, Name: "new", State: registry.Active, Generation: 2, Version: 7, CreatedAt: f.Now()}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAccountEditsAreChecked(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		in := f.operator.In(f.orgA)
		create := func(key id.Account, name string) registry.CreateAccount {
			return registry.CreateAccount{ID: key, Name: name}
		}
		f.refuses(t,
			refusal{name: "id of no environment", by: in, edit: create("a-x-11111111111111111111", "n1"), want: fault.Invalid, twin: create("a-s-11111111111111111111", "n1")},
			refusal{name: "short id", by: in, edit: create("a-s-1111", "n2"), want: fault.Invalid, twin: create("a-s-22222222222222222222", "n2")},
			refusal{name: "id taken by another organisation", by: in, edit: create(f.productionB, "n3"), want: fault.Conflict, twin: create("a-p-33333333333333333333", "n3")},
			refusal{name: "name taken", by: in, edit: create("a-p-44444444444444444444", "A-sbx"), want: fault.Conflict, twin: create("a-p-44444444444444444444", "B-prod")},
			refusal{name: "rename to a name taken", by: in, edit: registry.RenameAccount{Account: f.sandboxA, Name: "A-prod"}, want: fault.Conflict, twin: registry.RenameAccount{Account: f.sandboxA, Name: "a-prod"}},
			refusal{name: "rename to nothing", by: in, edit: registry.RenameAccount{Account: f.sandboxA}, want: fault.Invalid, twin: registry.RenameAccount{Account: f.sandboxA, Name: "x"}},
			refusal{name: "unknown state", by: in, edit: registry.SetAccountState{Account: f.sandboxA, State: "Suspended"}, want: fault.Invalid, twin: registry.SetAccountState{Account: f.sandboxA, State: "suspended"}},
			refusal{name: "client of a suspended account", by: in, edit: registry.CreateClient{ID: "sandbox-new-apple-123", Account: f.sandboxA, Name: "n"}, want: fault.Conflict,
				twin: registry.CreateClient{ID: "prod-new-apple-123", Account: f.productionA, Name: "n"}},
		)
	})
}

func TestAnAccountIsDeletedOnceItHasNoClient(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		in := f.operator.In(f.orgA)
		f.must(t, in, registry.CreateClient{ID: "sandbox-first-apple-100", Account: f.sandboxA, Name: "first"})
		f.must(t, f.chief(), registry.ChangeRoles{Person: f.memberA, Roles: []actor.RoleGrant{{Role: actor.Developer, Account: f.sandboxA}, {Role: actor.Viewer}}})
		empty := registry.DeleteAccount{Account: f.sandboxA}
		stale := f.chief().Proven(actor.Proof{SecondFactor: true, Verified: true})
		wantKind(t, f.Apply(t.Context(), f.chief(), empty), fault.Conflict)
		f.must(t, in, registry.SetClientState{Client: "sandbox-first-apple-100", State: registry.Deleted}, registry.SetAccountState{Account: f.sandboxA, State: registry.Suspended})
		wantKind(t, f.Apply(t.Context(), f.chief(), empty), fault.Conflict)
		f.must(t, in, registry.SetAccountState{Account: f.sandboxA, State: registry.Active})
		f.refuses(t,
			refusal{name: "of another version", by: f.chief(), edit: registry.DeleteAccount{Account: f.sandboxA, Base: 2}, want: fault.Conflict, twin: registry.RenameAccount{Account: f.sandboxA, Name: "last", Base: 3}},
			refusal{name: "PRIV-13 after an old sign-in", by: stale, edit: empty, want: fault.Forbidden, twin: empty, twinBy: f.chief()},
		)
		_, err := f.Account(t.Context(), f.adminA, f.sandboxA)
		wantKind(t, err, fault.NotFound)
		m, err := f.Member(t.Context(), f.adminA, f.memberA)
		if err != nil || len(m.Roles) != 1 || m.Roles[0].Account != "" || m.Version != 3 {
			t.Errorf("a role is left on what is gone, or nobody is told: %+v, %v", m, err)
		}
		f.must(t, f.adminA, registry.CreateAccount{ID: "a-s-11111111111111111111", Name: "last"}) // its name is free again
	})
}
