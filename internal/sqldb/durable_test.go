package sqldb_test

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/fault"
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

// limitPages lets a SQLite database not grow beyond so many pages, as a full disk does.
func limitPages(t *testing.T, db *sqldb.DB, pages int) {
	t.Helper()
	err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
		var now int
		return tx.QueryRow(t.Context(), fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)).Scan(&now)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The operator, who can make room, is told of a full disk; customers are told to
// try again.
func TestAFullDiskIsCalledThat(t *testing.T) {
	db := sqldbtest.New(t)
	write := func() error {
		return db.Write(t.Context(), func(tx *sqldb.Tx) error {
			var seq int64
			err := tx.QueryRow(t.Context(), `INSERT INTO change (seq, kind, key, nonce, at) VALUES (1000, 'none', hex(zeroblob(1048576)), '', 0) RETURNING seq`).Scan(&seq)
			if err != nil { // SQLite may have rolled back by itself, which a migration then finds
				err = errors.Join(err, sql.ErrTxDone)
			}
			return err
		})
	}
	limitPages(t, db, 1) // never fewer than there are
	err := write()
	var refusal *fault.Error
	if !errors.As(err, &refusal) || refusal.Kind != fault.Unavailable {
		t.Fatalf("%v", err)
	}
	if !strings.HasPrefix(err.Error(), "the disk is full: make room on it") || strings.Contains(refusal.Message, "disk") {
		t.Errorf("%v; a customer reads %q", err, refusal.Message)
	}
	t.Run("twin", func(t *testing.T) {
		limitPages(t, db, 1<<30)
		if err := write(); err != nil {
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
