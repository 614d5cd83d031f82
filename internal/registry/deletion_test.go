package registry_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
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

// called notes that a client was called a while ago, as package usage does.
func (f *fixture) called(t testing.TB, client id.Client, organisation id.Organisation, ago time.Duration) {
	t.Helper()
	err := f.DB.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO last_use (client_id, kind, key, organisation_id, at, address) VALUES ($1, 'call', '', $2, $3, '192.0.2.1')
			ON CONFLICT (client_id, kind, key) DO UPDATE SET at = $3`, client, organisation, f.Now().Add(-ago).UnixMicro())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnOrganisationIsNotDeletedWhileProductionCallsFlow(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		f.must(t, f.adminA, registry.CreateClient{ID: "sandbox-first-apple-100", Account: f.sandboxA, Name: "first"})
		f.called(t, "sandbox-first-apple-100", f.orgA, 0)
		f.called(t, f.b1, f.orgB, 0)
		f.called(t, f.a2, f.orgA, registry.QuietTime)
		f.called(t, f.a1, f.orgA, registry.QuietTime-time.Second)
		err := f.Apply(t.Context(), f.adminA, registry.DeleteOrganisation{})
		wantKind(t, err, fault.Conflict)
		if err == nil || !strings.Contains(err.Error(), `client "a1":`) {
			t.Errorf("it does not name the client: %v", err)
		}
		t.Run("twin", func(t *testing.T) {
			f.must(t, f.adminA, registry.SetClientState{Client: f.a1, State: registry.Disabled})
			if got := f.tried(t, f.adminA, registry.DeleteOrganisation{}); got != "allowed" {
				t.Error(got)
			}
		})
		f.must(t, f.adminA, registry.CreateClient{ID: "org-own-apple-100", Name: "own"})
		f.called(t, "org-own-apple-100", f.orgA, 0)
		wantKind(t, f.Apply(t.Context(), f.adminA, registry.DeleteOrganisation{}), fault.Conflict)
		t.Run("twin: by the client that calls", func(t *testing.T) {
			f.must(t, actor.NewClient("org-own-apple-100", f.orgA, "", "s", []string{"management.organisation.write"}), registry.DeleteOrganisation{})
		})
	})
}

func TestADeletedOrganisationStopsAndCanBeRestoredForAWeek(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		before, err := f.Organisation(t.Context(), f.adminA)
		if err != nil {
			t.Fatal(err)
		}
		stale := f.chief().Proven(actor.Proof{SecondFactor: true, Verified: true})
		f.clock.add(time.Second)
		f.refuses(t,
			refusal{name: "PRIV-13 after an old sign-in", by: stale, edit: registry.DeleteOrganisation{}, want: fault.Forbidden, twin: registry.DeleteOrganisation{}, twinBy: f.chief()},
			refusal{name: "deleted twice", by: f.adminA, edit: registry.DeleteOrganisation{}, want: fault.Conflict, twin: registry.RenameOrganisation{Name: "A"}},
			refusal{name: "activated by the operator", by: f.operator.In(f.orgA), edit: registry.SetOrganisationState{State: registry.Active}, want: fault.Conflict, twin: registry.RenameOrganisation{Name: "A"}},
			refusal{name: "a new client", by: f.adminA, edit: registry.CreateClient{ID: "prod-fresh-apple-123", Account: f.productionA, Name: "n"}, want: fault.Conflict, twin: registry.RenameOrganisation{Name: "A"}},
		)
		entry, err := f.OrganisationEntry(t.Context(), f.orgA)
		if err != nil || entry.State != registry.Suspended || entry.Generation != before.Generation+1 {
			t.Errorf("its clients still work: %+v, %v", entry, err)
		}
		if e, text := f.newestMail(t); e.Recipient != "chief@a.example" || !strings.Contains(text, "https://dashboard.example.com/o/"+string(f.orgA)) {
			t.Errorf("its admin is not told: %+v", e)
		}
		f.clock.add(registry.UndoTime - time.Second)
		if err := f.EraseDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.must(t, f.chief(), registry.RestoreOrganisation{})
		if o, err := f.Organisation(t.Context(), f.adminA); err != nil || o.State != registry.Active || !o.EraseAt.IsZero() {
			t.Errorf("restored: %+v, %v", o, err)
		}
		f.must(t, f.chief(), registry.DeleteOrganisation{})
		f.clock.add(registry.UndoTime)
		wantKind(t, f.Apply(t.Context(), f.chief(), registry.RestoreOrganisation{}), fault.Conflict)
	})
}

func TestOfAnErasedOrganisationIdsAloneAreLeft(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		canary := f.newSecret("sandbox-first-apple-100", "c1c1c1c1c1c1")
		canary.Name = "Canary Secret"
		f.must(t, f.adminA,
			registry.RenameOrganisation{Name: "Canary Organisation"}, registry.RenameAccount{Account: f.sandboxA, Name: "Canary Sandbox"},
			registry.CreateClient{ID: "sandbox-first-apple-100", Account: f.sandboxA, Name: "Canary Client"}, canary)
		f.called(t, "sandbox-first-apple-100", f.orgA, 0)
		ofB := func() (rows []string) {
			for table, all := range dump(t, f.DB) {
				for _, row := range all {
					if table != "mail" && strings.Contains(row, string(f.orgB)) {
						rows = append(rows, table+": "+row)
					}
				}
			}
			slices.Sort(rows)
			return rows
		}
		f.must(t, f.chief(), registry.DeleteOrganisation{})
		f.clock.add(registry.UndoTime)
		before := ofB()
		if err := errors.Join(f.EraseDue(t.Context()), f.EraseDue(t.Context())); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, ofB()); diff != "" {
			t.Errorf("TEN-02: another organisation was touched:\n%s", diff)
		}
		if n, err := journal.Verify(t.Context(), f.DB); err != nil {
			t.Errorf("the audit chain of %d records: %v", n, err)
		}
		for table, all := range dump(t, f.DB) {
			for _, row := range all {
				kept := table == "audit" || table == "change" || table == "client"
				if strings.Contains(row, string(f.orgA)) && !kept || strings.Contains(strings.ToLower(row), "canary") || strings.Contains(row, "pending@example.com") || strings.Contains(row, "hooks.example.com/"+string(f.hookA)) {
					t.Errorf("%s: %s", table, row)
				}
			}
		}
		if got := query(t, f.DB, `SELECT count(*) FROM audit WHERE organisation_id = $1 AND (content IS NOT NULL OR salt IS NOT NULL OR address <> '')`, f.orgA); got[0][0] != "0" {
			t.Errorf("%s audit records still have their content", got[0][0])
		}
		_, err := f.Organisation(t.Context(), f.adminA)
		wantKind(t, err, fault.NotFound)
		wantKind(t, f.Apply(t.Context(), f.operator.In(f.orgB), registry.CreateClient{ID: f.a1, Account: f.productionB, Name: "again"}), fault.Conflict)
		if all, err := f.Memberships(t.Context(), f.chiefA); err != nil || len(all) != 0 {
			t.Errorf("its admin is still a member: %v, %v", all, err)
		}
	})
}
