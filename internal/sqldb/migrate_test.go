package sqldb_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pressly/goose/v3/lock"
	"modernc.org/sqlite"

	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// With this variable the test binary is a program that migrates the database
// that the variable names, and dies by SIGKILL behind the statement that
// diesVariable counts.
const (
	migratesVariable = "DOORWARD_TEST_MIGRATES"
	diesVariable     = "DOORWARD_TEST_DIES_AFTER"
)

func TestMain(m *testing.M) {
	url := os.Getenv(migratesVariable)
	if url == "" {
		os.Exit(m.Run())
	}
	if err := migrateAndDie(url); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func migrateAndDie(url string) error {
	var after int
	if _, err := fmt.Sscan(os.Getenv(diesVariable), &after); err != nil {
		return err
	}
	err := sqlite.RegisterScalarFunction("die", 0, func(*sqlite.FunctionContext, []driver.Value) (driver.Value, error) {
		return nil, syscall.Kill(os.Getpid(), syscall.SIGKILL)
	})
	if err != nil {
		return err
	}
	db, err := sqldb.Open(context.Background(), sqldb.Config{URL: url})
	if err != nil {
		return err
	}
	db.TranslateMigrations(func(migration string) string { return insertAfter(migration, after, "SELECT die();") })
	return db.Migrate(context.Background())
}

// insertAfter puts a statement behind the n-th one of a migration.
func insertAfter(migration string, n int, statement string) string {
	place := 0
	for range n {
		end := strings.Index(migration[place:], ";\n")
		if end < 0 {
			return migration
		}
		place += end + len(";\n")
	}
	if n == 0 {
		place = strings.Index(migration, "-- +goose Up\n") + len("-- +goose Up\n")
	}
	return migration[:place] + statement + "\n" + migration[place:]
}

// statements counts those of the migrations that this binary has.
func statements(t *testing.T) int {
	t.Helper()
	var (
		mu    sync.Mutex // migrations are read at once
		count int
	)
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: sqldbtest.URL(t, "sqlite")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.TranslateMigrations(func(migration string) string {
		mu.Lock()
		defer mu.Unlock()
		count = max(count, strings.Count(migration, ";\n"))
		return migration
	})
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return count
}

// schema describes a database: what it has, and the rows that migrations make.
func schema(t *testing.T, db *sqldb.DB) (list []string) {
	t.Helper()
	query := `SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_master ORDER BY 1`
	if db.Engine() == "postgres" {
		query = `SELECT line FROM (
			SELECT table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(collation_name, '') AS line FROM information_schema.columns WHERE table_schema = 'public'
			UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
			UNION ALL SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace) AS lines ORDER BY 1`
	}
	err := db.View(t.Context(), func(tx *sqldb.Tx) error {
		list = nil
		for _, query := range []string{
			query,
			`SELECT 'installation ' || id || ' ' || schema || ' ' || oldest_binary FROM installation`,
			`SELECT 'revision ' || id || ' ' || seq || ' ' || audit_count FROM revision`,
		} {
			lines, err := texts(t.Context(), tx, query)
			if err != nil {
				return err
			}
			list = append(list, lines...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func texts(ctx context.Context, tx *sqldb.Tx, query string) (list []string, err error) {
	rows, err := tx.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, rows.Err()
}

func TestSTO05_migrationKilledAfterAnyStatementIsCompletedByTheNext(t *testing.T) {
	count := statements(t)
	if count < 20 {
		t.Fatalf("only %d statements were found", count)
	}
	interrupt := map[string]func(t *testing.T, url string, after int){"sqlite": killMigration, "postgres": cutMigration}
	for _, engine := range sqldbtest.Engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			url := sqldbtest.URL(t, engine)
			want := schema(t, sqldbtest.Open(t, url))
			for after := range count + 1 {
				t.Run(fmt.Sprintf("STO-05 after %d statements", after), func(t *testing.T) {
					if engine == "sqlite" {
						url = sqldbtest.URL(t, engine)
					} else {
						empty(t, url)
					}
					interrupt[engine](t, url, after)
					db, err := sqldb.Open(t.Context(), sqldb.Config{URL: url})
					if err != nil {
						t.Fatal(err)
					}
					defer db.Close()
					if err := db.CheckSchema(t.Context()); err == nil {
						t.Error("half a schema passes for a whole one")
					}
					if err := db.Migrate(t.Context()); err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(want, schema(t, db)); diff != "" {
						t.Errorf("the schema differs from one that was made at once (-want +got):\n%s", diff)
					}
					t.Run("twin", func(t *testing.T) {
						if err := db.CheckSchema(t.Context()); err != nil {
							t.Error(err)
						}
					})
				})
			}
		})
	}
}

// killMigration kills the process that migrates.
func killMigration(t *testing.T, url string, after int) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), migratesVariable+"="+url, fmt.Sprintf("%s=%d", diesVariable, after))
	out, err := command.CombinedOutput()
	if state, ok := command.ProcessState.Sys().(syscall.WaitStatus); !ok || state.Signal() != syscall.SIGKILL {
		t.Fatalf("the migration was not killed: %v\n%s", err, out)
	}
}

// cutMigration ends the server's session that migrates.
func cutMigration(t *testing.T, url string, after int) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.TranslateMigrations(func(migration string) string {
		return insertAfter(migration, after, "SELECT pg_terminate_backend(pg_backend_pid());")
	})
	if err := db.Migrate(t.Context()); err == nil {
		t.Fatal("a migration succeeded whose session was ended")
	}
	// The server releases the lock of the session at the session's end, which
	// is after the client heard of it; waiting here spares the next a retry.
	execute(t, url, fmt.Sprintf(`SELECT pg_advisory_lock(%d)`, lock.DefaultLockID))
}

func empty(t *testing.T, url string) {
	t.Helper()
	execute(t, url, `DROP SCHEMA public CASCADE; CREATE SCHEMA public`)
}

// execute runs a statement in a session of its own.
func execute(t *testing.T, url, statement string) {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// withServer gives a database, as soon as it has leases, that of a server which
// knows a migration.
func withServer(db *sqldb.DB, knows int64) {
	db.TranslateMigrations(func(migration string) string {
		if strings.Contains(migration, "CREATE TABLE node ") {
			migration += fmt.Sprintf("\nINSERT INTO node VALUES ('x', 'web-1', 'v', %d, 60000000, 1000000, 0, '', 0, 9000000000000000);\n", knows)
		}
		return migration
	})
}

func named(_ context.Context, tx *sqldb.Tx, migration int64) (names []string, err error) {
	return texts(context.Background(), tx, fmt.Sprintf(`SELECT name FROM node WHERE schema < %d`, migration))
}

func TestAContractingMigrationWaitsForOlderServers(t *testing.T) {
	const contracting, needed = 23, 22
	for _, engine := range sqldbtest.Engines() {
		for knows := int64(needed - 1); knows <= needed; knows++ {
			t.Run(fmt.Sprintf("%s/a server that knows migration %d", engine, knows), func(t *testing.T) {
				t.Parallel()
				db, err := sqldb.Open(t.Context(), sqldb.Config{URL: sqldbtest.URL(t, engine)})
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				withServer(db, knows)
				migrate := func() []sqldb.Waiting {
					t.Helper()
					waiting, err := db.MigrateBeside(t.Context(), named)
					if err == nil {
						err = db.CheckSchema(t.Context())
					}
					if err != nil {
						t.Fatal(err)
					}
					return waiting
				}
				var want []sqldb.Waiting
				if knows < needed {
					want = []sqldb.Waiting{{Migration: contracting, Oldest: needed, Servers: []string{"web-1"}}}
				}
				for range 2 {
					if diff := cmp.Diff(want, migrate(), cmpopts.EquateEmpty()); diff != "" {
						t.Fatalf("what waits (-want +got):\n%s", diff)
					}
				}
				if made := oldestBinary(t, db) == needed; made != (want == nil) {
					t.Errorf("the contracting migration was made: %v", made)
				}
				t.Run("twin", func(t *testing.T) { // the server is gone
					err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
						_, err := tx.Exec(t.Context(), `DELETE FROM node`)
						return err
					})
					if err != nil {
						t.Fatal(err)
					}
					if waiting := migrate(); len(waiting) > 0 {
						t.Errorf("%+v still waits", waiting)
					}
					if diff := cmp.Diff(schema(t, sqldbtest.Open(t, sqldbtest.URL(t, engine))), schema(t, db)); diff != "" {
						t.Errorf("the schema differs from one that was made at once (-want +got):\n%s", diff)
					}
				})
			})
		}
	}
}

func oldestBinary(t *testing.T, db *sqldb.DB) (n int64) {
	t.Helper()
	err := db.View(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT oldest_binary FROM installation WHERE id = 1`).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
