// Package sqldbtest makes fresh, migrated databases for tests, on every engine
// that the environment names: ENGINES (default "sqlite,postgres") and, for
// PostgreSQL, DOORWARD_TEST_POSTGRES, the URL of a database whose user may
// create others. An engine that is named and not there fails the test.
package sqldbtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

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

// Open opens the database at that URL, migrates it unless it is already, and
// closes it with the test.
func Open(t testing.TB, databaseURL string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: databaseURL})
	if err != nil {
		t.Fatalf("open the test database: %v", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if db.CheckSchema(t.Context()) == nil {
		return db
	}
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatalf("migrate the test database: %v", err)
	}
	return db
}

// URL returns the URL of a fresh database that is not migrated. It is removed
// with the test.
func URL(t testing.TB, engine string) string {
	t.Helper()
	switch engine {
	case "sqlite":
		return "sqlite:" + filepath.Join(t.TempDir(), "doorward.db")
	case "postgres":
		return newPostgres(t)
	}
	t.Fatalf("ENGINES names %q: use sqlite and postgres", engine)
	return ""
}

// Migrated returns the URL of a database of this schema that is as good as
// fresh. It is the test's alone until it ends.
func Migrated(t testing.TB, engine string) string {
	t.Helper()
	if engine == "postgres" {
		return borrowPostgres(t)
	}
	databaseURL := URL(t, engine)
	content, err := sqliteTemplate()
	if err != nil {
		t.Fatalf("migrate the template database: %v", err)
	}
	if err := os.WriteFile(strings.TrimPrefix(databaseURL, "sqlite:"), content, 0o600); err != nil {
		t.Fatal(err)
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
