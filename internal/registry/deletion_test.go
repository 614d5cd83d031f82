package registry_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/sqldb"
)

func TestWhoDeletesThemselvesLeavesTheirIdAlone(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.must(t, proven(f.guest, ""), registry.AcceptInvitation{Invitation: f.invitedA, Token: f.tokenA}, registry.RenamePerson{Name: "Grace Hopper"})
		f.addSession(t, f.guest, "s-guest")
		f.must(t, f.operator.In(f.orgA), registry.SetClientState{Client: f.a1, State: registry.Disabled})
		f.must(t, proven(f.guest, ""), registry.DeletePerson{Person: f.guest})
		text := dumpText(t, f.DB)
		for _, left := range []string{"guest@example.com", "Grace Hopper", "s-guest"} {
			if strings.Contains(text, left) {
				t.Errorf("%q is still in the database", left)
			}
		}
		if !strings.Contains(text, string(f.guest)) {
			t.Error("nothing tells any more who did what")
		}
		if _, err := journal.Verify(t.Context(), f.DB); err != nil {
			t.Errorf("the audit chain: %v", err)
		}
		if all, err := f.Memberships(t.Context(), f.guest); err != nil || len(all) != 0 {
			t.Errorf("memberships = %v, %v", all, err)
		}
		_, err := f.Person(t.Context(), f.guest)
		wantKind(t, err, fault.NotFound)
		t.Run("twin", func(t *testing.T) { // the address is free again
			f.must(t, f.system, registry.CreatePerson{ID: "p-newnewnewnewnewnewne", Email: "guest@example.com", Password: hashed, Verified: true})
		})
	})
}

func TestDeletingOneselfIsRefusedAsLeavingIs(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		stale := proven(f.memberA, "").Proven(actor.Proof{SecondFactor: true, Verified: true})
		f.refuses(t,
			refusal{name: "PRIV-03 the last admin", by: proven(f.chiefA, ""), edit: registry.DeletePerson{Person: f.chiefA}, want: fault.Conflict, twin: registry.DeletePerson{Person: f.leaverA}, twinBy: proven(f.leaverA, "")},
			refusal{name: "another person", by: proven(f.memberA, ""), edit: registry.DeletePerson{Person: f.guest}, want: fault.Forbidden, twin: registry.DeletePerson{Person: f.guest}, twinBy: f.system},
			refusal{name: "PRIV-13 old sign-in", by: stale, edit: registry.DeletePerson{Person: f.memberA}, want: fault.Forbidden, twin: registry.DeletePerson{Person: f.memberA}, twinBy: proven(f.memberA, "")},
		)
	})
}

func TestEditsWithinATransactionAreMadeWithIt(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		before, failed := dump(t, f.DB), errors.New("failed")
		rename := func(err error) error {
			return f.DB.Update(t.Context(), func(tx *sqldb.Tx) error {
				return errors.Join(f.ApplyIn(t.Context(), tx, f.adminA, registry.RenameOrganisation{Name: "A2"}), err)
			})
		}
		if err := rename(failed); !errors.Is(err, failed) {
			t.Error(err)
		}
		if diff := cmp.Diff(before, dump(t, f.DB)); diff != "" {
			t.Error(diff)
		}
		t.Run("twin", func(t *testing.T) {
			if err := rename(nil); err != nil {
				t.Error(err)
			}
		})
	})
}
