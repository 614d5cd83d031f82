package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

func feed(t *testing.T, db *sqldb.DB) (rows []string) {
	t.Helper()
	err := db.View(t.Context(), func(tx *sqldb.Tx) error {
		rows = nil
		result, err := tx.Query(t.Context(), `SELECT seq, kind, key FROM change ORDER BY seq`)
		if err != nil {
			return err
		}
		defer result.Close()
		for result.Next() {
			var seq int64
			var kind, key string
			if err := result.Scan(&seq, &kind, &key); err != nil {
				return err
			}
			rows = append(rows, fmt.Sprintf("%d %s %s", seq, kind, key))
		}
		return result.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestAnUpdateAppendsToTheChangeFeedWithoutGaps(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		refused := errors.New("refused")
		for i, fn := range []func(tx *sqldb.Tx) error{
			func(tx *sqldb.Tx) error { tx.Changed("client", "a"); tx.Changed("client", "a"); return nil },
			func(tx *sqldb.Tx) error { tx.Changed("client", "lost"); return refused },
			func(tx *sqldb.Tx) error { tx.Changed("client", "b"); tx.Changed("account", "c"); return nil },
			func(*sqldb.Tx) error { return nil },
		} {
			if err := db.Update(t.Context(), fn); err != nil && !errors.Is(err, refused) {
				t.Fatalf("update %d: %v", i, err)
			}
		}
		want := []string{"1 client a", "2 client b", "3 account c", "4 none "}
		if diff := cmp.Diff(want, feed(t, db)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSixteenWritersLeaveOneFeedInOrder(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		var wg sync.WaitGroup
		for w := range 16 {
			wg.Go(func() {
				for i := range 10 {
					err := db.Update(t.Context(), func(tx *sqldb.Tx) error {
						tx.Changed("client", fmt.Sprint(w, i))
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if got := len(feed(t, db)); got != 160 {
			t.Errorf("the feed holds %d rows, want 160", got)
		}
	})
}

// What has taken too long was rolled back behind its back; that is no defect of
// ours and nobody's doing.
func TestATransactionThatIsOutOfTimeIsUnavailable(t *testing.T) {
	for _, engine := range sqldbtest.Engines() {
		t.Run(engine, func(t *testing.T) {
			db, err := sqldb.Open(t.Context(), sqldb.Config{URL: sqldbtest.Migrated(t, engine), Timeout: 50 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			dawdle := func(tx *sqldb.Tx) (err error) {
				for err == nil {
					_, err = tx.Exec(t.Context(), `UPDATE revision SET seq = seq`)
				}
				return err
			}
			for name, err := range map[string]error{"Update": db.Update(t.Context(), dawdle), "Write": db.Write(t.Context(), dawdle)} {
				if fault.KindOf(err) != fault.Unavailable {
					t.Errorf("%s = %v, want unavailable", name, err)
				}
			}
		})
	}
}

func TestAPoolOfOneConnectionServesConcurrentTransactions(t *testing.T) {
	for _, engine := range sqldbtest.Engines() {
		t.Run(engine, func(t *testing.T) {
			db, err := sqldb.Open(t.Context(), sqldb.Config{URL: sqldbtest.URL(t, engine), MaxConns: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if err := db.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					if err := db.Update(t.Context(), func(*sqldb.Tx) error { return nil }); err != nil {
						t.Error(err)
					}
					if err := db.CheckSchema(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		})
	}
}

func TestAViewCannotWrite(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		statement := func(tx *sqldb.Tx) error {
			_, err := tx.Exec(t.Context(), `UPDATE installation SET schema = 0 WHERE id = 1`)
			return err
		}
		if err := db.View(t.Context(), statement); err == nil {
			t.Error("a view wrote")
		}
		if err := db.Write(t.Context(), statement); err != nil {
			t.Errorf("twin: %v", err)
		}
	})
}

func TestAViewSeesOneState(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		count := func(tx *sqldb.Tx) (n int) {
			if err := tx.QueryRow(t.Context(), `SELECT count(*) FROM change`).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		err := db.View(t.Context(), func(tx *sqldb.Tx) error {
			before := count(tx)
			if err := db.Update(t.Context(), func(*sqldb.Tx) error { return nil }); err != nil {
				return err
			}
			if after := count(tx); after != before {
				t.Errorf("the view saw %d rows, then %d", before, after)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestWatchersHearOfACommitAndNotOfARollback(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		changed, stop := db.Watch()
		defer stop()
		_ = db.Update(t.Context(), func(*sqldb.Tx) error { return errors.New("no") })
		select {
		case <-changed:
			t.Error("a rolled back update woke the watchers")
		default:
		}
		if err := db.Update(t.Context(), func(*sqldb.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
		case <-time.After(5 * time.Second):
			t.Error("twin: a committed update woke nobody")
		}
	})
}

func TestNotifyReachesAnotherProcess(t *testing.T) {
	for _, engine := range sqldbtest.Engines() {
		if engine != "postgres" {
			continue // SQLite has no notifications: other processes are found by the poll
		}
		t.Run(engine, func(t *testing.T) {
			url := sqldbtest.Migrated(t, engine)
			one, two := sqldbtest.Open(t, url), sqldbtest.Open(t, url)
			ctx, cancel := context.WithCancel(t.Context())
			changed, stop := one.Watch()
			defer stop()
			ended := make(chan error)
			go func() { ended <- one.Listen(ctx) }()
			<-changed // it listens
			if err := two.Update(ctx, func(*sqldb.Tx) error { return nil }); err != nil {
				t.Fatal(err)
			}
			select {
			case <-changed:
			case <-time.After(5 * time.Second):
				t.Error("no notification arrived")
			}
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Listen ended with %v", err)
			}
		})
	}
}

func TestAMissingRowIsErrNoRows(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		err := db.View(t.Context(), func(tx *sqldb.Tx) error {
			var name string
			return tx.QueryRow(t.Context(), `SELECT name FROM organisation WHERE id = $1`, "o-none").Scan(&name)
		})
		if !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("error = %v, want sql.ErrNoRows", err)
		}
	})
}

func TestUniqueViolationsAreToldApart(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		insert := func() error {
			return db.Write(t.Context(), func(tx *sqldb.Tx) error {
				_, err := tx.Exec(t.Context(), `INSERT INTO change (seq, kind, key, nonce, at) VALUES (1, '', '', '', 0)`)
				return err
			})
		}
		if err := insert(); err != nil {
			t.Fatal(err)
		}
		if err := insert(); !sqldb.IsUnique(err) {
			t.Errorf("the second insert gave %v, want a unique violation", err)
		}
	})
}

func TestIdsSortByTheirBytesOnEveryEngine(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		var got []string
		err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
			for _, name := range []string{"b", "a-c", "ab", "B", "é", "a"} {
				if _, err := tx.Exec(t.Context(), `INSERT INTO organisation (id, name, state, generation, version, created_at) VALUES ($1, $1, '', 0, 0, 0)`, name); err != nil {
					return err
				}
			}
			rows, err := tx.Query(t.Context(), `SELECT id FROM organisation ORDER BY id`)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var id string
				if err := rows.Scan(&id); err != nil {
					return err
				}
				got = append(got, id)
			}
			return rows.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"B", "a", "a-c", "ab", "b", "é"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestABinaryOlderThanTheContractedSchemaIsRefused(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		set := func(oldest int64) {
			err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
				_, err := tx.Exec(t.Context(), `UPDATE installation SET schema = $1, oldest_binary = $2 WHERE id = 1`, sqldb.Schema()+1, oldest)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		set(sqldb.Schema() + 1)
		if err := db.CheckSchema(t.Context()); fault.KindOf(err) != fault.Conflict {
			t.Errorf("error = %v, want a refusal", err)
		}
		set(sqldb.Schema()) // a newer schema that this binary can still serve
		if err := db.CheckSchema(t.Context()); err != nil {
			t.Errorf("twin: %v", err)
		}
	})
}

func TestADatabaseWithoutMigrationsIsRefused(t *testing.T) {
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: sqldbtest.URL(t, "sqlite")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.CheckSchema(t.Context()); err == nil || !strings.Contains(err.Error(), "doorward migrate") {
		t.Errorf("error = %v, want one that names doorward migrate", err)
	}
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.CheckSchema(t.Context()); err != nil {
		t.Errorf("twin: %v", err)
	}
}

func TestTwoNodesMigrateAtOnce(t *testing.T) {
	for _, engine := range sqldbtest.Engines() {
		t.Run(engine, func(t *testing.T) {
			url := sqldbtest.URL(t, engine)
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() { sqldbtest.Open(t, url) })
			}
			wg.Wait()
		})
	}
}

// SEC-14: the database is its owner's alone.
func TestSEC14_databaseFileIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doorward.db")
	open := func() error {
		db, err := sqldb.Open(t.Context(), sqldb.Config{URL: "sqlite:" + path})
		if err == nil {
			err = db.Close()
		}
		return err
	}
	if err := open(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("the file was created with mode %04o, want 0600", got)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := open(); err == nil {
		t.Error("a file that its group may read was opened")
	}
	t.Run("twin", func(t *testing.T) {
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := open(); err != nil {
			t.Error(err)
		}
	})
}

// STO-09: a foreign process that holds the write lock costs a bounded wait.
func TestSTO09_foreignWriteLockEndsInUnavailable(t *testing.T) {
	url := sqldbtest.URL(t, "sqlite")
	one := sqldbtest.Open(t, url)
	two, err := sqldb.Open(t.Context(), sqldb.Config{URL: url, Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	nothing := func(*sqldb.Tx) error { return nil }
	err = one.Write(t.Context(), func(*sqldb.Tx) error {
		if err := two.Update(t.Context(), nothing); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("error = %v, want unavailable", err)
		}
		return two.View(t.Context(), nothing) // readers go on
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("twin", func(t *testing.T) {
		if err := two.Update(t.Context(), nothing); err != nil {
			t.Error(err)
		}
	})
}
