package journal_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

func newCheckpoints(t *testing.T, db *sqldb.DB) *journal.Checkpoints {
	t.Helper()
	sealer, err := secret.NewSealer(bytes.Repeat([]byte{7}, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return &journal.Checkpoints{DB: db, Sealer: sealer, Now: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)}
}

func makeCheckpoint(t *testing.T, c *journal.Checkpoints) journal.Checkpoint {
	t.Helper()
	made, err := c.Make(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// verify reads the chain and all checkpoints, and returns the first bad position.
func verify(t *testing.T, c *journal.Checkpoints, outside ...journal.Checkpoint) int64 {
	t.Helper()
	made, err := c.All(t.Context())
	if err == nil {
		_, err = journal.Verify(t.Context(), c.DB, append(made, outside...)...)
	}
	at, broken := journal.Broken(err)
	if err != nil && !broken {
		t.Fatal(err)
	}
	return at
}

// writeAnew makes another chain of so many records, as who can write to the
// database could.
func writeAnew(t *testing.T, db *sqldb.DB, records int) {
	t.Helper()
	sqlExec(t, db, `DELETE FROM audit`)
	sqlExec(t, db, `UPDATE revision SET audit_count = 0, audit_head = $1`, []byte{})
	appendRecords(t, db, records)
}

func TestACheckpointShowsThatTheChainWasWrittenAnew(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newCheckpoints(t, db)
		appendRecords(t, db, 3)
		first := makeCheckpoint(t, c)
		appendRecords(t, db, 3)
		second := makeCheckpoint(t, c)
		if first.Sequence != 4 || second.Sequence != 7 { // one record says that the key was made
			t.Fatalf("checkpoints of records %d and %d, want 4 and 7", first.Sequence, second.Sequence)
		}
		appendRecords(t, db, 1)
		if at := verify(t, c, first, second); at != 0 {
			t.Errorf("twin: the verifier named %d in a good chain", at)
		}
		writeAnew(t, db, 20)
		if _, err := journal.Verify(t.Context(), db); err != nil {
			t.Fatalf("the chain is not one: %v", err)
		}
		if at := verify(t, c); at != 1 {
			t.Errorf("by its checkpoints in the database: named %d, want 1", at)
		}
		sqlExec(t, db, `DELETE FROM audit_checkpoint`)
		if at := verify(t, c); at != 0 {
			t.Errorf("without any checkpoint: named %d", at)
		}
		if at := verify(t, c, second); at != 1 {
			t.Errorf("by one from outside: named %d, want 1", at)
		}
		writeAnew(t, db, 2)
		if at := verify(t, c, second); at != 3 {
			t.Errorf("a chain that was cut: named %d, want 3", at)
		}
	})
}

func TestThePositionIsBehindTheLastGoodCheckpoint(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newCheckpoints(t, db)
		appendRecords(t, db, 3)
		first := makeCheckpoint(t, c)
		appendRecords(t, db, 3)
		second := makeCheckpoint(t, c)
		second.Link = bytes.Clone(second.Link)
		second.Link[0]++
		_, err := journal.Verify(t.Context(), db, second, first)
		if at, _ := journal.Broken(err); at != 5 || !strings.Contains(err.Error(), "up to 7") {
			t.Errorf("named %d (%v), want 5, up to 7", at, err)
		}
	})
}

func TestOnlyTheInstallationSignsCheckpoints(t *testing.T) {
	for name, statement := range map[string]string{
		"another signature": `UPDATE audit_checkpoint SET signature = link`,
		"another link":      `UPDATE audit_checkpoint SET link = (SELECT link FROM audit WHERE seq = 1)`,
		"another position":  `UPDATE audit_checkpoint SET seq = 1`,
		"another time":      `UPDATE audit_checkpoint SET at = at + 1`,
		"twin: as it was":   `UPDATE audit_checkpoint SET at = at`,
	} {
		t.Run(name, func(t *testing.T) {
			sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
				c := newCheckpoints(t, db)
				appendRecords(t, db, 3)
				makeCheckpoint(t, c)
				sqlExec(t, db, statement)
				if at := verify(t, c); (at != 0) == strings.HasPrefix(name, "twin") {
					t.Errorf("the verifier named %d", at)
				}
			})
		})
	}
}

func TestAKeyThatIsGoneIsNotMadeAnew(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newCheckpoints(t, db)
		appendRecords(t, db, 1)
		makeCheckpoint(t, c)
		appendRecords(t, db, 1)
		makeCheckpoint(t, c) // twin
		sqlExec(t, db, `DELETE FROM audit_key`)
		if _, err := c.Make(t.Context()); err == nil || !strings.Contains(err.Error(), "no key that made them") {
			t.Errorf("error = %v", err)
		}
		if _, err := c.All(t.Context()); err == nil {
			t.Error("checkpoints without their key are taken for good")
		}
	})
}

func TestNodesMakeCheckpointsWithOneKey(t *testing.T) {
	for _, engine := range sqldbtest.Engines() {
		t.Run(engine, func(t *testing.T) {
			url := sqldbtest.Migrated(t, engine)
			nodes := []*journal.Checkpoints{newCheckpoints(t, sqldbtest.Open(t, url)), newCheckpoints(t, sqldbtest.Open(t, url))}
			appendRecords(t, nodes[0].DB, 1)
			var making sync.WaitGroup
			for _, c := range nodes {
				for range 4 {
					making.Go(func() {
						if _, err := c.Make(t.Context()); err != nil {
							t.Error(err)
						}
						appendRecords(t, c.DB, 2)
					})
				}
			}
			making.Wait()
			if at := verify(t, nodes[0]); at != 0 {
				t.Errorf("the verifier named %d", at)
			}
			here, there := makeCheckpoint(t, nodes[0]), makeCheckpoint(t, nodes[1])
			if diff := cmp.Diff(here, there); diff != "" {
				t.Errorf("one node's checkpoint of the newest record is another's:\n%s", diff)
			}
		})
	}
}

func TestACheckpointOutlivesItsText(t *testing.T) {
	db := sqldbtest.New(t)
	c := newCheckpoints(t, db)
	var logged bytes.Buffer
	c.Log = slog.New(slog.NewJSONHandler(&logged, nil))
	appendRecords(t, db, 1)
	made := makeCheckpoint(t, c)
	var line struct{ Checkpoint journal.Checkpoint }
	if err := json.Unmarshal(logged.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made, line.Checkpoint); diff != "" || !line.Checkpoint.SignedBy(made.Key) {
		t.Errorf("in the log it is another one, or not signed:\n%s", diff)
	}
	if made.SignedBy(nil) || made.SignedBy(make([]byte, 32)) {
		t.Error("it is signed by anybody")
	}
}

// At the end, what is new has a checkpoint.
func TestAServerThatStopsMakesACheckpoint(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newCheckpoints(t, db)
		appendRecords(t, db, 2)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		c.Run(ctx)
		all, err := c.All(t.Context())
		if err != nil || len(all) != 1 || all[0].Sequence != 3 {
			t.Fatalf("checkpoints = %+v, %v", all, err)
		}
		c.Run(ctx)
		if again, err := c.All(t.Context()); err != nil || cmp.Diff(all, again) != "" {
			t.Errorf("checkpoints = %+v, %v: nothing was new", again, err)
		}
		v := &journal.Verifier{DB: db, Now: time.Now, Log: slog.New(slog.DiscardHandler), Checkpoints: c}
		if err := v.Pass(t.Context()); err != nil || v.State().Broken != 0 {
			t.Errorf("%v, %+v", err, v.State())
		}
		writeAnew(t, db, 9)
		if err := v.Pass(t.Context()); err != nil || v.State().Broken != 1 {
			t.Errorf("a chain that was written anew: %v, %+v", err, v.State())
		}
	})
}

func TestCheckpointsAreDueByRecordsAndByTime(t *testing.T) {
	for _, c := range []struct {
		records int64
		since   time.Duration
		due     bool
	}{{0, 99 * time.Hour, false}, {1, time.Hour - 1, false}, {1, time.Hour, true}, {999, 0, false}, {1000, 0, true}} {
		if due := journal.CheckpointDue(c.records, c.since); due != c.due {
			t.Errorf("after %d records and %v: due = %v", c.records, c.since, due)
		}
	}
}
