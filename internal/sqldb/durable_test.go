package sqldb_test

import (
	"testing"

	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// The session that acknowledges waits for the disk, whatever the server's own
// setting: that of the tests' PostgreSQL is off.
func TestSTO03_acknowledgingSessionsWaitForTheDisk(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		query, want := `PRAGMA synchronous`, "2" // FULL
		if db.Engine() == "postgres" {
			query, want = `SHOW synchronous_commit`, "on"
		}
		check := func(tx *sqldb.Tx) error {
			var got string
			if err := tx.QueryRow(t.Context(), query).Scan(&got); err != nil {
				return err
			}
			if got != want {
				t.Errorf("%s = %q, want %q", query, got, want)
			}
			return nil
		}
		if err := db.Update(t.Context(), check); err != nil {
			t.Error(err)
		}
		if err := db.Write(t.Context(), check); err != nil {
			t.Error(err)
		}
	})
}
