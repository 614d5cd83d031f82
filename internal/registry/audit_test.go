package registry_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/registry"
)

func TestTheAuditLogIsReadBothWays(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		for _, by := range []actor.Actor{f.adminA, f.operator} {
			for name, filter := range map[string]registry.AuditFilter{"all": {}, "action": {Action: "secret"}, "subject": {Subject: string(f.a1)}, "actor": {Actor: f.operator.String()}} {
				whole, err := f.AuditRecords(t.Context(), by, filter, registry.Page{Limit: registry.MaxPageSize})
				if err != nil || len(whole.Items) < 2 {
					t.Fatalf("%s: %d records, %v", name, len(whole.Items), err)
				}
				var back []registry.AuditRecord
				for than, more := int64(0), true; more; {
					var page registry.List[registry.AuditRecord]
					page, more, err = f.NewerAuditRecords(t.Context(), by, filter, than, 2)
					if err != nil || len(page.Items) > 2 || more && len(page.Items) < 2 {
						t.Fatalf("%s: %d records, more %v, %v", name, len(page.Items), more, err)
					}
					on, err := f.AuditRecords(t.Context(), by, filter, registry.Page{Limit: 2, After: page.Next})
					if err != nil || len(on.Items) != min(2, len(back)) || len(back) > 0 && on.Items[0].Seq != back[0].Seq {
						t.Errorf("%s: the list does not go on where the newer records end: %v", name, err)
					}
					back = slices.Concat(page.Items, back)
					than = back[0].Seq
				}
				if diff := cmp.Diff(whole.Items, back); diff != "" {
					t.Errorf("%s (-on +back):\n%s", name, diff)
				}
			}
		}
	})
}

func TestAUD10_anAuditRecordIsReadByItsOrganisationAndTheOperator(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		list, err := f.AuditRecords(t.Context(), f.adminB, registry.AuditFilter{}, registry.Page{})
		if err != nil {
			t.Fatal(err)
		}
		theirs := list.Items[0]
		_, err = f.AuditRecord(t.Context(), f.adminA, theirs.Seq)
		wantKind(t, err, fault.NotFound)
		_, err = f.AuditRecord(t.Context(), person("p-1", f.orgB, actor.Viewer), theirs.Seq)
		wantKind(t, err, fault.Forbidden)
		_, _, err = f.NewerAuditRecords(t.Context(), person("p-1", f.orgB, actor.Viewer), registry.AuditFilter{}, 0, 2)
		wantKind(t, err, fault.Forbidden)
		for _, by := range []actor.Actor{f.adminB, f.operator} {
			got, err := f.AuditRecord(t.Context(), by, theirs.Seq)
			if diff := cmp.Diff(theirs, got); err != nil || diff != "" {
				t.Errorf("twin: %v\n%s", err, diff)
			}
		}
	})
}
