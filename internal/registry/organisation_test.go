package registry_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
)

func TestAnOrganisationIsWhatItsEditsSay(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		key, err := f.CreateOrganisation(t.Context(), f.operator, "Größe & Söhne")
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := id.ParseOrganisation(string(key)); !ok {
			t.Errorf("id = %q", key)
		}
		created := f.Now()
		in := f.operator.In(key)
		f.must(t, in, registry.RenameOrganisation{Name: "New"})
		for _, state := range []registry.State{registry.Suspended, registry.Suspended, registry.Active, registry.Active, registry.Suspended} {
			f.must(t, in, registry.SetOrganisationState{State: state})
		}
		got, err := f.Organisation(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		// Suspended twice in fact, so two generations: repeating raises nothing,
		// activating lowers nothing.
		want := registry.Organisation{ID: key, Name: "New", State: registry.Suspended, Generation: 2, Version: 7, CreatedAt: created}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestOrganisationEditsAreChecked(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		fresh := id.Organisation("o-11111111111111111111")
		long := strings.Repeat("ö", 200)
		f.refuses(t,
			refusal{name: "id of another form", by: f.operator, edit: registry.CreateOrganisation{ID: "o-1", Name: "C"}, want: fault.Invalid, twin: registry.CreateOrganisation{ID: fresh, Name: "C"}},
			refusal{name: "id taken", by: f.operator, edit: registry.CreateOrganisation{ID: f.orgA, Name: "C"}, want: fault.Conflict, twin: registry.CreateOrganisation{ID: "o-22222222222222222222", Name: "C"}},
			refusal{name: "no name", by: f.adminA, edit: registry.RenameOrganisation{Name: " "}, want: fault.Invalid, twin: registry.RenameOrganisation{Name: "x"}},
			refusal{name: "long name", by: f.adminA, edit: registry.RenameOrganisation{Name: long + "ö"}, want: fault.Invalid, twin: registry.RenameOrganisation{Name: long}},
			refusal{name: "control character", by: f.adminA, edit: registry.RenameOrganisation{Name: "a\nb"}, want: fault.Invalid, twin: registry.RenameOrganisation{Name: "a b"}},
			refusal{name: "unknown state", by: f.operator.In(f.orgA), edit: registry.SetOrganisationState{State: "closed"}, want: fault.Invalid, twin: registry.SetOrganisationState{State: registry.Suspended}},
			refusal{name: "unknown organisation", by: f.operator.In("o-00000000000000000000"), edit: registry.RenameOrganisation{Name: "y"}, want: fault.NotFound, twin: registry.RenameOrganisation{Name: "y"}, twinBy: f.operator.In(f.orgA)},
			refusal{name: "no organisation chosen", by: f.operator, edit: registry.RenameOrganisation{Name: "z"}, want: fault.NotFound, twin: registry.RenameOrganisation{Name: "z"}, twinBy: f.operator.In(f.orgA)},
		)
	})
}

func TestReadingAnOrganisationNeedsTheAbility(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		_, err := f.Organisation(t.Context(), proven("p-1", f.orgA))
		wantKind(t, err, fault.Forbidden)
		_, err = f.Organisation(t.Context(), f.operator)
		wantKind(t, err, fault.NotFound)
		t.Run("twin", func(t *testing.T) {
			got, err := f.Organisation(t.Context(), person("p-1", f.orgA, actor.Viewer))
			if err != nil || got.Name != "A" {
				t.Errorf("Organisation = %+v, %v", got, err)
			}
		})
	})
}
