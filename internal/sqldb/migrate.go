package sqldb

import (
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/doorward/doorward/internal/fault"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the schema up to this binary's. Two nodes may call it at once.
func (db *DB) Migrate(ctx context.Context) error {
	if err := db.dialect.migrate(ctx, db); err != nil {
		return db.dialect.classify(fmt.Errorf("migrate the database: %w", err))
	}
	return db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `UPDATE installation SET schema = $1 WHERE id = 1 AND schema < $1`, Schema())
		return err
	})
}

// Schema is the number of the newest migration that this binary knows.
func Schema() int64 {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(names) == 0 {
		panic("sqldb: no migrations embedded")
	}
	newest := strings.TrimPrefix(names[len(names)-1], "migrations/") // Glob sorts
	number, _, _ := strings.Cut(newest, "_")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		panic("sqldb: a migration's name must begin with its number: " + newest)
	}
	return n
}

// CheckSchema refuses a database whose schema this binary cannot serve: one
// that lacks migrations, or whose oldest_binary is newer than this binary. An
// old binary may serve a newer schema as long as no contracting migration ran.
func (db *DB) CheckSchema(ctx context.Context) error {
	var schema, oldest int64
	err := db.View(ctx, func(tx *Tx) error {
		return tx.QueryRow(ctx, `SELECT schema, oldest_binary FROM installation WHERE id = 1`).Scan(&schema, &oldest)
	})
	switch {
	case fault.KindOf(err) == fault.Unavailable:
		return err
	case err != nil || schema < Schema():
		return fault.Errorf(fault.Conflict, "the database's schema is older than this binary: run doorward migrate first")
	case Schema() < oldest:
		return fault.Errorf(fault.Conflict, "the database needs a binary that knows migration %d and this one knows %d: upgrade doorward", oldest, Schema())
	}
	return nil
}

func (db *DB) up(ctx context.Context, d goose.Dialect) error {
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if d == goose.DialectPostgres {
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // tries once a second, for five minutes
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(d, db.writer, translated{db.dialect.schema}, options...)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// translated is the embedded migrations in one engine's words.
type translated struct{ schema func(string) string }

// Open opens a migration, or the directory that lists them.
func (t translated) Open(name string) (fs.File, error) {
	file, err := migrations.Open(path.Join("migrations", name))
	if err != nil || !strings.HasSuffix(name, ".sql") {
		return file, err
	}
	defer file.Close()
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	return translatedFile{strings.NewReader(t.schema(string(text))), info}, err
}

type translatedFile struct {
	*strings.Reader
	info fs.FileInfo
}

func (f translatedFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f translatedFile) Close() error               { return nil }
