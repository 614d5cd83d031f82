package registry

import (
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// What is looked for in the audit log is found by an index of it: without
// statistics SQLite takes one that is covering, even if it is read as a whole.
func TestAuditRecordsAreFoundByTheirIndex(t *testing.T) {
	db := sqldbtest.New(t)
	for query, index := range map[string]string{
		auditOf:        "audit_filter (organisation_id=? AND ",
		auditOfSubject: "audit_organisation_subject (organisation_id=? AND subject=? AND ",
		auditOfActor:   "audit_organisation_actor (organisation_id=? AND actor=? AND ",
		auditOfThing:   "audit_thing (subject=? AND ",
		auditOfAnyone:  "audit_actor (actor=? AND ",
	} {
		for direction, compared := range map[string]string{auditOlder: "seq<?)", auditNewer: "seq>?)"} {
			var plan strings.Builder
			if err := db.View(t.Context(), func(tx *sqldb.Tx) error {
				rows, err := tx.Query(t.Context(), `EXPLAIN QUERY PLAN `+query+direction, "o-a", 1, "x", "y", "", 0, 0, 0, 51)
				if err != nil {
					return err
				}
				defer rows.Close()
				for rows.Next() {
					var id, parent, unused int
					var step string
					if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
						return err
					}
					plan.WriteString(step + "\n")
				}
				return rows.Err()
			}); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(plan.String(), index+compared) {
				t.Errorf("%s%s is planned as\n%s", query, direction, &plan)
			}
		}
	}
}
