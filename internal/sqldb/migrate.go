package sqldb

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/doorward/doorward/internal/fault"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Waiting is a contracting migration that was not made yet, and why.
type Waiting struct {
	Migration int64
	Oldest    int64    // a binary must know this migration to work on after it
	Servers   []string // that run and do not
}

// Migrate brings the schema of a database that no server uses up to this
// binary's. Two processes may call it at once.
func (db *DB) Migrate(ctx context.Context) error {
	_, err := db.MigrateBeside(ctx, nil)
	return err
}

// MigrateBeside is Migrate for a database that servers may be using. Migrations
// that expand the schema are made at once, since older binaries work on with
// them. One that contracts it, which is one that raises oldest_binary, waits
// while older names servers that do not know a migration.
func (db *DB) MigrateBeside(ctx context.Context, older func(ctx context.Context, tx *Tx, migration int64) ([]string, error)) (waiting []Waiting, err error) {
	err = db.dialect.migrate(ctx, func(ctx context.Context) (err error) {
		waiting, err = db.up(ctx, older)
		return err
	})
	if err != nil {
		return nil, db.dialect.classify(fmt.Errorf("migrate the database: %w", err))
	}
	return waiting, db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `UPDATE installation SET schema = $1 WHERE id = 1 AND schema < $1`, Schema())
		return err
	})
}

// up expands the schema before it contracts it, which a database that is migrated
// by each binary in turn does in another order: to the same end.
func (db *DB) up(ctx context.Context, older func(context.Context, *Tx, int64) ([]string, error)) (waiting []Waiting, err error) {
	if err := db.upWithout(ctx, contracting()); err != nil || older == nil {
		return nil, errors.Join(err, db.upWithout(ctx, nil))
	}
	all, err := db.Waiting(ctx, older)
	if err != nil {
		return nil, err
	}
	waiting = slices.DeleteFunc(all, func(w Waiting) bool { return len(w.Servers) == 0 })
	return waiting, db.upWithout(ctx, waiting)
}

// Waiting returns the contracting migrations that were not made yet, and the
// servers, by older, that each of them waits for.
func (db *DB) Waiting(ctx context.Context, older func(ctx context.Context, tx *Tx, migration int64) ([]string, error)) (waiting []Waiting, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		waiting = nil
		for _, w := range contracting() {
			var made bool
			err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM goose_db_version WHERE version_id = $1)`, w.Migration).Scan(&made)
			if err != nil {
				return err
			}
			if made {
				continue
			}
			if w.Servers, err = older(ctx, tx, w.Oldest); err != nil {
				return err
			}
			waiting = append(waiting, w)
		}
		return nil
	})
	return waiting, err
}

func (db *DB) upWithout(ctx context.Context, excluded []Waiting) error {
	// An expanding migration may have overtaken a contracting one of a lower number.
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithAllowOutofOrder(true)}
	for _, w := range excluded {
		options = append(options, goose.WithExcludeVersions([]int64{w.Migration}))
	}
	if db.dialect.goose == goose.DialectPostgres {
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // tries once a second, for five minutes
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(db.dialect.goose, db.writer, translated{db.dialect.schema}, options...)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// Schema is the number of the newest migration that this binary knows.
func Schema() int64 {
	all := migrationNames()
	return number(all[len(all)-1])
}

// raising is what makes a migration a contracting one.
var raising = regexp.MustCompile(`(?m)^UPDATE installation SET oldest_binary = (\d+)\b`)

// contracting returns the contracting migrations in order.
var contracting = sync.OnceValue(func() (list []Waiting) {
	for _, name := range migrationNames() {
		text, err := migrations.ReadFile(name)
		if err != nil {
			panic("sqldb: " + err.Error())
		}
		if m := raising.FindSubmatch(text); m != nil {
			oldest, err := strconv.ParseInt(string(m[1]), 10, 64)
			if err != nil {
				panic("sqldb: " + name + ": " + err.Error())
			}
			list = append(list, Waiting{Migration: number(name), Oldest: oldest})
		}
	}
	return list
})

func migrationNames() []string {
	names, err := fs.Glob(migrations, "migrations/*.sql") // sorted
	if err != nil || len(names) == 0 {
		panic("sqldb: no migrations embedded")
	}
	return names
}

func number(name string) int64 {
	digits, _, _ := strings.Cut(path.Base(name), "_")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		panic("sqldb: a migration's name must begin with its number: " + name)
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
	}
	return CheckBinary(oldest)
}

// ErrOutdated says that a contracting migration has left this binary behind.
var ErrOutdated = errors.New("this binary is too old for the database")

// CheckBinary is ErrOutdated when the database's oldest_binary is newer than
// this binary.
func CheckBinary(oldest int64) error {
	if Schema() < oldest {
		return fault.Errorf(fault.Conflict, "%w: it knows migration %d and %d is needed; upgrade doorward", ErrOutdated, Schema(), oldest)
	}
	return nil
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
