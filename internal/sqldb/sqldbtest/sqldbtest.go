// Package sqldbtest makes fresh, migrated databases for tests, on every engine
// that the environment names: ENGINES (default "sqlite,postgres") and, for
// PostgreSQL, DOORWARD_TEST_POSTGRES, the URL of a database whose user may
// create others. An engine that is named and not there fails the test.
package sqldbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"

	"github.com/doorward/doorward/internal/sqldb"
)

// Run runs test once per engine, as a subtest of the engine's name, each with
// a database of its own.
func Run(t *testing.T, test func(t *testing.T, db *sqldb.DB)) {
	t.Helper()
	for _, engine := range Engines() {
		t.Run(engine, func(t *testing.T) { test(t, Open(t, Migrated(t, engine))) })
	}
}

// New returns a fresh SQLite database, for tests that are about something else.
func New(t testing.TB) *sqldb.DB {
	t.Helper()
	return Open(t, Migrated(t, "sqlite"))
}

// Engines returns the engines that the environment asks for.
func Engines() []string {
	if names := os.Getenv("ENGINES"); names != "" {
		return strings.Split(names, ",")
	}
	return []string{"sqlite", "postgres"}
}

// Open opens and migrates the database at that URL and closes it with the test.
func Open(t testing.TB, databaseURL string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: databaseURL})
	if err != nil {
		t.Fatalf("open the test database: %v", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatalf("migrate the test database: %v", err)
	}
	return db
}

// URL returns the URL of a fresh database that is not migrated yet, or on
// PostgreSQL may already be. It is removed with the test.
func URL(t testing.TB, engine string) string {
	t.Helper()
	switch engine {
	case "sqlite":
		return "sqlite:" + filepath.Join(t.TempDir(), "doorward.db")
	case "postgres":
		return createPostgres(t)
	}
	t.Fatalf("ENGINES names %q: use sqlite and postgres", engine)
	return ""
}

// Migrated returns the URL of a fresh database of this schema. It is removed with
// the test.
func Migrated(t testing.TB, engine string) string {
	t.Helper()
	databaseURL := URL(t, engine)
	if path, ok := strings.CutPrefix(databaseURL, "sqlite:"); ok {
		content, err := sqliteTemplate()
		if err != nil {
			t.Fatalf("migrate the template database: %v", err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return databaseURL
}

// sqliteTemplate is the content of a migrated database; to copy it takes a
// hundredth of migrating.
var sqliteTemplate = sync.OnceValues(func() (content []byte, err error) {
	folder, err := os.MkdirTemp("", "doorward-test-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	path, ctx := filepath.Join(folder, "doorward.db"), context.Background()
	db, err := sqldb.Open(ctx, sqldb.Config{URL: "sqlite:" + path})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(db.Migrate(ctx), db.Close()); err != nil { // the last to close takes the journal in
		return nil, err
	}
	return os.ReadFile(path) //nolint:gosec // G304: the file was made here
})

// postgresTemplate is the name of a migrated database that the others are copies
// of.
var postgresTemplate = sync.OnceValues(func() (string, error) {
	name := databaseName()
	ctx := context.Background()
	err := maintain(ctx, `CREATE DATABASE `+name)
	if err != nil {
		return "", err
	}
	db, err := sqldb.Open(ctx, sqldb.Config{URL: urlOf(name), MaxConns: 1})
	if err != nil {
		return "", err
	}
	defer db.Close()
	return name, db.Migrate(ctx)
})

var creating sync.Mutex // a template can be copied by one at a time

func createPostgres(t testing.TB) string {
	t.Helper()
	if os.Getenv("DOORWARD_TEST_POSTGRES") == "" {
		t.Fatal("no PostgreSQL for the tests: run them with `make test`, or with ENGINES=sqlite")
	}
	creating.Lock()
	defer creating.Unlock()
	from, err := postgresTemplate()
	if err != nil {
		t.Fatalf("create the template database: %v", err)
	}
	name := databaseName()
	if err := maintain(t.Context(), `CREATE DATABASE `+name+` TEMPLATE `+from); err != nil {
		t.Fatalf("create a test database: %v", err)
	}
	t.Cleanup(func() {
		if err := maintain(context.WithoutCancel(t.Context()), `DROP DATABASE `+name+` WITH (FORCE)`); err != nil {
			t.Errorf("drop the test database: %v", err)
		}
	})
	return urlOf(name)
}

func databaseName() string { return "doorward_test_" + strings.ToLower(rand.Text()) }

func urlOf(database string) string {
	u, err := url.Parse(os.Getenv("DOORWARD_TEST_POSTGRES"))
	if err != nil {
		panic("DOORWARD_TEST_POSTGRES is no URL: " + err.Error())
	}
	u.Path = "/" + database
	return u.String()
}

func maintain(ctx context.Context, statement string) error {
	db, err := sql.Open("pgx", os.Getenv("DOORWARD_TEST_POSTGRES"))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, statement)
	return err
}
