package journal_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

func appendRecords(t *testing.T, db *sqldb.DB, n int) {
	t.Helper()
	log := journal.Log{Now: time.Now, Rand: rand.Reader}
	for i := range n {
		err := db.Update(t.Context(), func(tx *sqldb.Tx) error {
			return log.Append(t.Context(), tx, actor.NewSystem("test"), journal.Event{Action: "client.create", Subject: fmt.Sprint("client ", i), Content: map[string]int{"i": i}})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func sqlExec(t *testing.T, db *sqldb.DB, statement string, args ...any) {
	t.Helper()
	err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), statement, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// AUD-03: whatever is done to the table by SQL, the verifier names the first
// bad position.
func TestAUD03_verifierNamesTheFirstBadPosition(t *testing.T) {
	cases := []struct {
		name      string
		statement string
		want      int64
	}{
		{"change content", `UPDATE audit SET content = '{"i":9}' WHERE seq = 3`, 3},
		{"change actor", `UPDATE audit SET actor = 'nobody' WHERE seq = 2`, 2},
		{"change digest", `UPDATE audit SET digest = salt WHERE seq = 4`, 4},
		{"erase and change the action", `UPDATE audit SET content = NULL, salt = NULL, action = 'client.delete' WHERE seq = 3`, 3},
		{"erase and change the actor", `UPDATE audit SET content = NULL, salt = NULL, actor = 'nobody' WHERE seq = 3`, 3},
		{"erase and change the time", `UPDATE audit SET content = NULL, salt = NULL, at = at + 1 WHERE seq = 3`, 3},
		{"erase and put in an address", `UPDATE audit SET content = NULL, salt = NULL, address = '192.0.2.1' WHERE seq = 3`, 3},
		{"erase half", `UPDATE audit SET salt = NULL WHERE seq = 3`, 3},
		{"pass off as one from before", `UPDATE audit SET content = NULL, salt = NULL, content_digest = NULL, action = 'client.delete' WHERE seq = 3`, 3},
		{"delete one", `DELETE FROM audit WHERE seq = 3`, 3},
		{"delete the first", `DELETE FROM audit WHERE seq = 1`, 1},
		{"delete the tail", `DELETE FROM audit WHERE seq = 5`, 5},
		{"reorder", `UPDATE audit SET seq = CASE seq WHEN 2 THEN 30 ELSE 2 END WHERE seq IN (2)`, 2},
		{"insert", `INSERT INTO audit SELECT 6, at, organisation_id, action, subject, actor, request_id, address, content, salt, digest, link, content_digest FROM audit WHERE seq = 5`, 6},
		{"forget the head", `UPDATE revision SET audit_count = 4`, 6},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
				appendRecords(t, db, 5)
				sqlExec(t, db, c.statement)
				_, err := journal.Verify(t.Context(), db)
				if got, _ := journal.Broken(err); got != c.want {
					t.Errorf("the verifier named %d (%v), want %d", got, err, c.want)
				}
			})
		})
	}
	t.Run("twin", func(t *testing.T) {
		sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
			appendRecords(t, db, 5)
			if n, err := journal.Verify(t.Context(), db); n != 5 || err != nil {
				t.Errorf("Verify = %d, %v; want 5 good records", n, err)
			}
		})
	})
}

func TestErasingContentAndSaltKeepsTheChainValid(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		appendRecords(t, db, 3)
		sqlExec(t, db, `UPDATE audit SET content = NULL, salt = NULL WHERE seq = 2`)
		if _, err := journal.Verify(t.Context(), db); err != nil {
			t.Error(err)
		}
	})
}

// fromBefore makes the chain what was written before records had a digest of their
// content.
func fromBefore(t *testing.T, db *sqldb.DB) {
	t.Helper()
	sqlExec(t, db, `DELETE FROM audit`)
	var link []byte
	for i := range 3 {
		seq, salt, content := i+1, bytes.Repeat([]byte{byte(i)}, 16), fmt.Sprintf(`{"i":%d}`, i)
		h := sha256.New()
		for _, field := range []string{string(salt), "\x00\x00\x00\x00\x00\x00\x00\x07", "o-1", "client.create", "c-1", "system:test", "r-1", "192.0.2.1", content} {
			h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(field))))
			h.Write([]byte(field))
		}
		digest := h.Sum(nil)
		h = sha256.New()
		h.Write(link)
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(seq)))
		h.Write(digest)
		link = h.Sum(nil)
		sqlExec(t, db, `INSERT INTO audit (seq, at, organisation_id, action, subject, actor, request_id, address, content, salt, digest, link)
			VALUES ($1, 7, 'o-1', 'client.create', 'c-1', 'system:test', 'r-1', '192.0.2.1', $2, $3, $4, $5)`, seq, content, salt, digest, link)
	}
	sqlExec(t, db, `UPDATE revision SET audit_count = 3, audit_head = $1`, link)
}

func TestAChainFromBeforeGoesOn(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		fromBefore(t, db)
		appendRecords(t, db, 2)
		sqlExec(t, db, `UPDATE audit SET content = NULL, salt = NULL, address = '' WHERE seq IN (2, 4)`)
		if n, err := journal.Verify(t.Context(), db); n != 5 || err != nil {
			t.Errorf("Verify = %d, %v; want 5 good records", n, err)
		}
		t.Run("twin", func(t *testing.T) {
			sqlExec(t, db, `UPDATE audit SET actor = 'nobody' WHERE seq = 3`)
			if got, _ := journal.Broken(func() error { _, err := journal.Verify(t.Context(), db); return err }()); got != 3 {
				t.Errorf("a changed record from before: the verifier named %d, want 3", got)
			}
		})
	})
}

// Two nodes are two pools of connections, in whatever processes.
func TestAUD05_writersOnTwoNodesMakeOneChain(t *testing.T) {
	for _, engine := range sqldbtest.Engines() {
		t.Run(engine, func(t *testing.T) {
			url := sqldbtest.Migrated(t, engine)
			nodes := []*sqldb.DB{sqldbtest.Open(t, url), sqldbtest.Open(t, url)}
			var writing sync.WaitGroup
			for _, db := range nodes {
				for range 8 {
					writing.Go(func() { appendRecords(t, db, 10) })
				}
			}
			writing.Wait()
			for _, db := range nodes {
				if n, err := journal.Verify(t.Context(), db); n != 160 || err != nil {
					t.Errorf("Verify = %d, %v; want 160 good records", n, err)
				}
			}
		})
	}
}

func TestARolledBackChangeLeavesNoRecord(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		appendRecords(t, db, 1)
		log := journal.Log{Now: time.Now, Rand: rand.Reader}
		refused := errors.New("refused")
		err := db.Update(t.Context(), func(tx *sqldb.Tx) error {
			return errors.Join(log.Append(t.Context(), tx, actor.NewSystem("test"), journal.Event{Action: "x"}), refused)
		})
		if !errors.Is(err, refused) {
			t.Fatal(err)
		}
		if n, err := journal.Verify(t.Context(), db); n != 1 || err != nil {
			t.Errorf("Verify = %d, %v", n, err)
		}
	})
}

// recorder collects what a Tail hands out.
type recorder struct {
	mu   sync.Mutex
	seen []string
	fail error
}

func (r *recorder) apply(_ context.Context, c journal.Change) error {
	return r.add(c.Kind + " " + c.Key)
}
func (r *recorder) reset(context.Context) error { return r.add("reset") }
func (r *recorder) add(s string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, s)
	return r.fail
}
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.seen = nil }()
	return r.seen
}

func change(t *testing.T, db *sqldb.DB, keys ...string) {
	t.Helper()
	err := db.Update(t.Context(), func(tx *sqldb.Tx) error {
		for _, key := range keys {
			tx.Changed("client", key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func newTail(t *testing.T, db *sqldb.DB, now func() time.Time) (*journal.Tail, *recorder) {
	t.Helper()
	r := &recorder{}
	tail, err := journal.NewTail(t.Context(), db, now, r.apply, r.reset)
	if err != nil {
		t.Fatal(err)
	}
	return tail, r
}

func poll(t *testing.T, tail *journal.Tail) {
	t.Helper()
	if err := tail.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestATailAppliesWhatIsNewOnceAndInOrder(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		change(t, db, "before")
		tail, r := newTail(t, db, time.Now)
		change(t, db, "a", "b")
		change(t, db, "c")
		poll(t, tail)
		poll(t, tail)
		if diff := cmp.Diff([]string{"client a", "client b", "client c"}, r.take()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAChangeThatCouldNotBeAppliedComesAgain(t *testing.T) {
	db := sqldbtest.New(t)
	now := time.Now()
	tail, r := newTail(t, db, func() time.Time { return now })
	change(t, db, "a")
	r.fail = errors.New("not now")
	now = now.Add(time.Second)
	if err := tail.Poll(t.Context()); !errors.Is(err, r.fail) {
		t.Errorf("Poll = %v", err)
	}
	if tail.Age() == 0 {
		t.Error("a node that could not apply a change counts as fresh")
	}
	r.fail = nil
	poll(t, tail)
	if diff := cmp.Diff([]string{"client a", "client a"}, r.take()); diff != "" {
		t.Error(diff)
	}
	if tail.Age() != 0 {
		t.Error("twin: the node is not fresh after the change was applied")
	}
}

func TestATailThatFellFarBehindCatchesUp(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		tail, r := newTail(t, db, time.Now)
		keys := make([]string, 2500)
		for i := range keys {
			keys[i] = fmt.Sprint(i)
		}
		change(t, db, keys...)
		poll(t, tail)
		if got := len(r.take()); got != len(keys) {
			t.Errorf("%d changes were applied, want %d", got, len(keys))
		}
	})
}

func TestARestoredOrTrimmedDatabaseIsNoticed(t *testing.T) {
	for name, statement := range map[string]string{
		"another row at the position": `UPDATE change SET nonce = 'other' WHERE seq = (SELECT max(seq) FROM change)`,
		"the position is gone":        `DELETE FROM change`,
	} {
		t.Run(name, func(t *testing.T) {
			sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
				change(t, db, "a")
				tail, r := newTail(t, db, time.Now)
				sqlExec(t, db, statement)
				poll(t, tail)
				change(t, db, "b")
				poll(t, tail)
				got := r.take()
				if len(got) == 0 || got[0] != "reset" {
					t.Errorf("the tail saw %q, want a reset first", got)
				}
			})
		})
	}
}

func TestTrimmingKeepsTheNewestRow(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		change(t, db, "a", "b")
		tail, r := newTail(t, db, time.Now)
		if err := journal.Trim(t.Context(), db, time.Now().Add(48*time.Hour)); err != nil {
			t.Fatal(err)
		}
		change(t, db, "c")
		poll(t, tail)
		if diff := cmp.Diff([]string{"client c"}, r.take()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAgeIsTheGreaterOfBothClocks(t *testing.T) {
	db := sqldbtest.New(t)
	now := time.Now()
	tail, _ := newTail(t, db, func() time.Time { return now })
	now = now.Add(7 * time.Second)
	if got := tail.Age(); got != 7*time.Second {
		t.Errorf("age = %v, want 7s", got)
	}
	poll(t, tail)
	if got := tail.Age(); got != 0 {
		t.Errorf("age after a poll = %v, want 0", got)
	}
}

func TestARunningTailHearsOfAnotherProcess(t *testing.T) {
	for _, engine := range sqldbtest.Engines() {
		for _, noNotify := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/poll alone %v", engine, noNotify), func(t *testing.T) {
				url := sqldbtest.Migrated(t, engine)
				writer := sqldbtest.Open(t, url)
				reader, err := sqldb.Open(t.Context(), sqldb.Config{URL: url, NoNotify: noNotify})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = reader.Close() })
				heard := make(chan struct{})
				tail, err := journal.NewTail(t.Context(), reader, time.Now,
					func(context.Context, journal.Change) error { close(heard); return nil },
					func(context.Context) error { return nil })
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() { _ = tail.Run(ctx, slog.New(slog.DiscardHandler)) })
				change(t, writer, "a")
				select {
				case <-heard:
				case <-time.After(5 * time.Second):
					t.Error("the change did not arrive")
				}
				cancel()
				wg.Wait()
			})
		}
	}
}

// digestOfForm is the digest of a content as a form writes it that may come.
func digestOfForm(form byte) []byte { return append([]byte{form}, make([]byte, sha256.Size)...) }

// A version that was rolled back to must not accuse the one that wrote.
func TestARecordOfALaterFormIsNotCalledChanged(t *testing.T) {
	for name, c := range map[string]struct {
		digest []byte
		form   int // 0: it was changed
	}{
		"the next form":   {digestOfForm(3), 3},
		"the last form":   {digestOfForm(255), 255},
		"this form":       {digestOfForm(2), 0},
		"no form":         {digestOfForm(0), 0},
		"another length":  {append(digestOfForm(3), 0), 0},
		"no digest":       {[]byte{}, 0},
		"another content": {make([]byte, sha256.Size), 0},
	} {
		t.Run(name, func(t *testing.T) {
			sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
				appendRecords(t, db, 5)
				sqlExec(t, db, `UPDATE audit SET content_digest = $1 WHERE seq = 4`, c.digest)
				_, err := journal.Verify(t.Context(), db)
				if later, ok := errors.AsType[*journal.FormError](err); ok != (c.form != 0) || ok && *later != (journal.FormError{Seq: 4, Form: c.form}) {
					t.Errorf("%v", err)
				}
				if broken, ok := journal.Broken(err); ok != (c.form == 0) || ok && broken != 4 {
					t.Errorf("%v", err)
				}
			})
			t.Run("twin", func(t *testing.T) {
				db := sqldbtest.New(t)
				appendRecords(t, db, 5)
				sqlExec(t, db, `UPDATE audit SET content_digest = $1 WHERE seq = 4`, c.digest)
				sqlExec(t, db, `UPDATE audit SET action = 'client.delete' WHERE seq = 3`)
				if _, err := journal.Verify(t.Context(), db); err == nil {
					t.Error("it is good")
				} else if broken, _ := journal.Broken(err); broken != 3 {
					t.Errorf("a record that was changed before it: %v", err)
				}
			})
		})
	}
}

func TestAVerifierKnowsWhatTheLastVerificationFound(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		appendRecords(t, db, 3)
		now := time.Date(2026, 2, 28, 22, 0, 0, 0, time.UTC)
		v := &journal.Verifier{DB: db, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
		pass := func(want journal.ChainState) {
			t.Helper()
			if err := v.Pass(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := v.State(); got != want {
				t.Errorf("state = %+v, want %+v", got, want)
			}
		}
		if got := v.State(); got != (journal.ChainState{}) {
			t.Errorf("state = %+v before anything was verified", got)
		}
		pass(journal.ChainState{At: now, Length: 3})
		sqlExec(t, db, `UPDATE audit SET action = 'client.delete' WHERE seq = 2`)
		now = now.Add(time.Hour)
		pass(journal.ChainState{At: now, Length: 3, Broken: 2})
		sqlExec(t, db, `UPDATE audit SET content_digest = $1 WHERE seq = 1`, digestOfForm(3))
		now = now.Add(time.Hour)
		pass(journal.ChainState{At: now, Length: 3, Later: 1})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := v.Pass(ctx); err == nil || v.State().At != now {
			t.Errorf("a verification that could not be made counts: %v, %+v", err, v.State())
		}
	})
}

// A contracting migration runs under a node that was cut off while it began.
func TestABinaryThatAMigrationLeftBehindKnowsNothingAnyMore(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		change(t, db, "a")
		tail, r := newTail(t, db, time.Now)
		needs := func(migration int64) {
			sqlExec(t, db, `UPDATE installation SET oldest_binary = $1`, migration)
			change(t, db, "b")
		}
		needs(sqldb.Schema() + 1)
		if err := tail.Run(t.Context(), slog.New(slog.DiscardHandler)); !errors.Is(err, sqldb.ErrOutdated) {
			t.Errorf("Run = %v, want ErrOutdated", err)
		}
		if age := tail.Age(); age < 24*time.Hour {
			t.Errorf("what the node knows is %s old, want more than any limit allows", age)
		}
		if got := r.take(); len(got) > 0 {
			t.Errorf("the tail applied %q, which may mean something else by now", got)
		}
		t.Run("twin", func(t *testing.T) {
			needs(sqldb.Schema())
			poll(t, tail)
			if age := tail.Age(); age > time.Minute {
				t.Errorf("what the node knows is %s old after a poll", age)
			}
		})
	})
}

// TestALostListenerComesBack kills the connection that is told of changes: they
// arrive all the same meanwhile, and it is opened anew.
func TestALostListenerComesBack(t *testing.T) {
	if !slices.Contains(sqldbtest.Engines(), "postgres") {
		return
	}
	db := sqldbtest.Open(t, sqldbtest.Migrated(t, "postgres"))
	heard := make(chan string, 10)
	tail, err := journal.NewTail(t.Context(), db, time.Now,
		func(_ context.Context, c journal.Change) error { heard <- c.Key; return nil },
		func(context.Context) error { heard <- "reset"; return nil })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = tail.Run(ctx, slog.New(slog.DiscardHandler)) })
	defer running.Wait()
	defer cancel()
	listener := func() (pid int) {
		err := db.View(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(t.Context(), `SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'`).Scan(&pid)
		})
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	next := func(other int) (pid int) {
		for until := time.Now().Add(time.Minute); pid == 0 || pid == other; pid = listener() {
			if time.Now().After(until) {
				t.Fatal("nothing listened within a minute")
			}
		}
		return pid
	}
	arrives := func(key string) {
		t.Helper()
		change(t, db, key)
		select {
		case got := <-heard:
			if got != key {
				t.Errorf("the tail heard %q, want %q", got, key)
			}
		case <-time.After(10 * time.Second): // the bound is 2 s
			t.Errorf("%q did not arrive", key)
		}
	}
	first := next(0)
	for range 3 {
		sqlExec(t, db, `SELECT pg_terminate_backend($1, 5000)`, first)
		arrives("while nothing listens")
		first = next(first)
		arrives("twin: while something does")
	}
}
