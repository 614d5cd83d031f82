package journal_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

func TestAUD08_theOrderFollowsTheSequenceWhenTheClockStepsBack(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		log := journal.Log{Now: func() time.Time { return now }, Rand: rand.Reader}
		type record struct {
			Action string
			At     time.Time
		}
		want := []record{{"first", now}, {"second", now.Add(-time.Hour)}, {"third", now.Add(time.Second)}}
		for _, r := range want {
			now = r.At
			err := db.Update(t.Context(), func(tx *sqldb.Tx) error {
				return log.Append(t.Context(), tx, actor.NewSystem("test"), journal.Event{Action: r.Action})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		var got []record
		err := db.View(t.Context(), func(tx *sqldb.Tx) error {
			got = nil
			rows, err := tx.Query(t.Context(), `SELECT action, at FROM audit ORDER BY seq -- any organisation: a test`)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var r record
				var at int64
				if err := rows.Scan(&r.Action, &at); err != nil {
					return err
				}
				r.At = time.UnixMicro(at).UTC()
				got = append(got, r)
			}
			return rows.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("AUD-08: %s", diff)
		}
		if _, err := journal.Verify(t.Context(), db); err != nil {
			t.Errorf("AUD-08: %v", err)
		}
	})
}
