package sqldb_test

import (
	"errors"
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

// Jobs that find nothing to do commit on a disk that fails, too.
func TestSTO08_aWriteOfNothingDoesNotHealTheDisk(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		nothing := func(*sqldb.Tx) error { return nil }
		db.Break(errors.New("input/output error"))
		if err := db.Write(t.Context(), nothing); err != nil || !db.Broken() {
			t.Errorf("%v, broken: %t", err, db.Broken())
		}
		t.Run("twin", func(t *testing.T) {
			if err := db.Writable(t.Context()); err != nil || db.Broken() {
				t.Errorf("%v, broken: %t", err, db.Broken())
			}
		})
	})
}
