package registry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
)

// refusals counts the records of an action that was refused.
func (f *fixture) refusals(t testing.TB, action string) int {
	t.Helper()
	return len(query(t, f.DB, `SELECT seq FROM audit WHERE action = $1 -- any organisation`, registry.RefusalPrefix+action))
}

const disable = "client.disable"

func (f *fixture) disables(t *testing.T, by actor.Actor, times int) {
	t.Helper()
	for range times {
		wantKind(t, f.Apply(t.Context(), by, registry.SetClientState{Client: f.a1, State: registry.Disabled}), fault.Forbidden)
	}
}

func TestPRIV01_aRefusalSaysWhoWasRefusedWhat(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		viewer := person("p-viewer", f.orgA, actor.Viewer)
		f.disables(t, viewer, 1)
		rows := query(t, f.DB, `SELECT organisation_id, subject, actor, content FROM audit WHERE action = $1 -- any organisation`, registry.RefusalPrefix+disable)
		want := string(f.orgA) + " " + string(f.a1) + ` person:p-viewer {"refused":"SetClientState","reason":"you need the ability client.disable here; ask an administrator of the organisation"}`
		if len(rows) != 1 || strings.Join(rows[0], " ") != want {
			t.Errorf("recorded %q, want %q", rows, want)
		}
		manager := actor.NewClient(f.manager, f.orgA, f.productionA, f.managed, []string{"management.client.read"})
		f.disables(t, manager, 1)
		if got := f.refusals(t, disable); got != 2 {
			t.Errorf("%d records with that of a management client", got)
		}
		t.Run("twin", func(t *testing.T) { // who is allowed is not refused; nobody is not known
			f.must(t, f.adminA, registry.SetClientState{Client: f.a1, State: registry.Disabled})
			_ = f.Apply(t.Context(), actor.Actor{}, registry.SetClientState{Client: f.a1, State: registry.Disabled})
			if got := f.refusals(t, disable); got != 2 {
				t.Errorf("%d records", got)
			}
		})
	})
}

func TestAFloodOfRefusalsDoesNotFillTheAuditLog(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		viewer := person("p-viewer", f.orgA, actor.Viewer)
		f.disables(t, viewer, 50)
		flooded := f.refusals(t, disable)
		if flooded != 20 {
			t.Errorf("%d records of 50 refusals of one person, want 20", flooded)
		}
		f.disables(t, person("p-other", f.orgA, actor.Viewer), 1)
		if got := f.refusals(t, disable); got != flooded+1 {
			t.Errorf("another's refusal was not recorded")
		}
		f.clock.add(5 * time.Minute)
		f.disables(t, viewer, 2)
		if got := f.refusals(t, disable); got != flooded+2 {
			t.Errorf("%d records after five minutes, want one more", got-flooded-1)
		}
	})
}
