package journal_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// keepLease keeps the lease of a tail until end is called.
func keepLease(t *testing.T, tail *journal.Tail, lease journal.Lease) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { tail.KeepLease(ctx, lease, slog.New(slog.DiscardHandler)) })
	end = func() { cancel(); running.Wait() }
	t.Cleanup(end)
	return end
}

// spread describes where a revision is in force, a node a line.
func spread(t *testing.T, db *sqldb.DB, revision int64) (lines []string) {
	t.Helper()
	s, err := journal.SpreadOf(t.Context(), db, revision)
	if err != nil {
		t.Fatal(err)
	}
	lines = append(lines, fmt.Sprintf("%d of %d", s.InForce(), len(s.Nodes)))
	for i := range s.Nodes {
		n := &s.Nodes[i]
		line := fmt.Sprintf("%s %d behind", n.Name, s.Revision-n.Revision)
		if n.Revision > s.Revision {
			line = fmt.Sprintf("%s %d ahead", n.Name, n.Revision-s.Revision)
		}
		if n.Silent {
			line += ", silent"
		}
		if n.InForce {
			line += ", in force"
		}
		if !n.StopsBy.IsZero() {
			line += ", stops later"
		}
		lines = append(lines, line)
	}
	return lines
}

// becomes waits until the spread is what it should be.
func becomes(t *testing.T, db *sqldb.DB, revision int64, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		diff := cmp.Diff(want, spread(t, db, revision))
		if diff == "" {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("nodes (-want +got):\n%s", diff)
		}
	}
}

func TestLeases(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		change(t, db, "first")
		for name, test := range map[string]func(t *testing.T, db *sqldb.DB){
			"say where a change is in force":                 sayWhereAChangeIsInForce,
			"name a node that is cut off":                    nameANodeThatIsCutOff,
			"with a position of another feed do not count":   doNotCountInAnotherFeed,
			"of nodes that ended without a word are deleted": areDeletedWhenNodesEnded,
		} {
			t.Run(name, func(t *testing.T) { test(t, db) })
		}
	})
}

func newest(t *testing.T, db *sqldb.DB) int64 {
	t.Helper()
	s, err := journal.SpreadOf(t.Context(), db, 0)
	if err != nil {
		t.Fatal(err)
	}
	return s.Revision
}

func sayWhereAChangeIsInForce(t *testing.T, db *sqldb.DB) {
	a, _ := newTail(t, db, time.Now)
	b, _ := newTail(t, db, time.Now)
	endA := keepLease(t, a, journal.Lease{Name: "a", StaleLimit: time.Minute, Every: time.Hour}) // changes alone renew it
	keepLease(t, b, journal.Lease{Name: "b", StaleLimit: time.Minute, Every: time.Hour})
	becomes(t, db, 0, "2 of 2", "a 0 behind, in force", "b 0 behind, in force")
	before := newest(t, db)
	change(t, db, "second")
	poll(t, a)
	becomes(t, db, before+1, "1 of 2", "a 0 behind, in force", "b 1 behind, stops later")
	t.Run("twin", func(t *testing.T) {
		becomes(t, db, before, "2 of 2", "a 1 ahead, in force", "b 0 behind, in force")
		poll(t, b)
		becomes(t, db, before+1, "2 of 2", "a 0 behind, in force", "b 0 behind, in force")
	})
	if _, err := journal.SpreadOf(t.Context(), db, before+2); fault.KindOf(err) != fault.NotFound {
		t.Errorf("where a change that was not made is in force = %v, want not found", err)
	}
	endA()
	becomes(t, db, 0, "1 of 1", "b 0 behind, in force")
}

func nameANodeThatIsCutOff(t *testing.T, db *sqldb.DB) {
	tail, _ := newTail(t, db, time.Now)
	keepLease(t, tail, journal.Lease{Name: "a", StaleLimit: time.Minute, Every: time.Hour})
	becomes(t, db, 0, "1 of 1", "a 0 behind, in force")
	change(t, db, "second")
	sqlExec(t, db, `UPDATE node SET renewed_at = renewed_at - 4 * every`)
	becomes(t, db, 0, "0 of 1", "a 1 behind, silent, stops later")
	t.Run("after its stale limit it refuses everything", func(t *testing.T) {
		sqlExec(t, db, `UPDATE change SET at = at - 70000000`)
		becomes(t, db, 0, "1 of 1", "a 1 behind, silent, in force")
	})
}

// A node that has not noticed yet that the database was restored reports a
// position of a feed that is no longer there.
func doNotCountInAnotherFeed(t *testing.T, db *sqldb.DB) {
	change(t, db, "first")
	tail, _ := newTail(t, db, time.Now)
	keepLease(t, tail, journal.Lease{Name: "a", StaleLimit: time.Minute, Every: time.Hour})
	becomes(t, db, 0, "1 of 1", "a 0 behind, in force")
	sqlExec(t, db, `UPDATE change SET nonce = $1`, rand.Text())
	becomes(t, db, 0, "0 of 1", "a 0 behind, stops later")
	poll(t, tail)
	becomes(t, db, 0, "1 of 1", "a 0 behind, in force")
}

func areDeletedWhenNodesEnded(t *testing.T, db *sqldb.DB) {
	sqlExec(t, db, `INSERT INTO node (id, name, version, schema, stale_limit, every, seq, nonce, started_at, renewed_at)
		VALUES ('x', 'a', 'v', 1, 60000000, 1000000, 0, '', 0, 1)`)
	live, _ := newTail(t, db, time.Now)
	keepLease(t, live, journal.Lease{Name: "b", StaleLimit: time.Minute, Every: time.Hour})
	becomes(t, db, 0, "1 of 1", "b 0 behind, in force")
	t.Run("twin", func(t *testing.T) { // of the same name, and alive
		second, _ := newTail(t, db, time.Now)
		keepLease(t, second, journal.Lease{Name: "b", StaleLimit: time.Minute, Every: time.Hour})
		becomes(t, db, 0, "2 of 2", "b 0 behind, in force", "b 0 behind, in force")
	})
}
