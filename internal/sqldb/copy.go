package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/doorward/doorward/internal/fault"
)

// Copy writes a consistent copy of the database to a new file of mode 0600, while
// others read and write. finish changes the copy before anybody can see it under
// its name. Only SQLite has such copies; elsewhere the answer is fault.Invalid.
func (db *DB) Copy(ctx context.Context, path string, finish func(tx *Tx) error) (err error) {
	if db.dialect.copy == nil {
		return fault.Errorf(fault.Invalid, "a PostgreSQL database is backed up with PostgreSQL's own tools: docs/operating.md shows how")
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fault.Errorf(fault.Conflict, "%s is there already: choose another name", path)
	}
	partial := path + ".partial"
	file, err := os.OpenFile(partial, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return fmt.Errorf("create the copy: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close(), remove(partial)) }()
	if err := db.dialect.copy(ctx, partial); err != nil {
		return db.dialect.classify(fmt.Errorf("copy the database: %w", err))
	}
	if err := db.finish(ctx, partial, finish); err != nil {
		return fmt.Errorf("finish the copy: %w", err)
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := os.Link(partial, path); err != nil { // unlike a rename it replaces nothing
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// syncFolder makes new names in a folder survive a power cut.
func syncFolder(path string) error {
	folder, err := os.Open(path) //nolint:gosec // the operator names the folder
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// finish changes a copy without leaving a file beside it.
func (db *DB) finish(ctx context.Context, path string, change func(tx *Tx) error) error {
	pool, err := sql.Open("sqlite", fileURL(path)+"?_pragma=journal_mode(MEMORY)&_pragma=synchronous(FULL)&_txlock=immediate")
	if err != nil {
		return err
	}
	pool.SetMaxOpenConns(1)
	copied := &DB{dialect: db.dialect, config: db.config, reader: pool, writer: pool}
	return errors.Join(copied.Write(ctx, change), pool.Close())
}

func fileURL(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }

// copySQLite copies what one read transaction sees, without the pages that
// deleted rows left behind. Writers go on meanwhile.
func copySQLite(ctx context.Context, from, to string) error {
	pool, err := sql.Open("sqlite", fileURL(from)+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	_, err = pool.ExecContext(ctx, `VACUUM INTO $1`, to)
	return errors.Join(err, pool.Close())
}

// CheckIntegrity looks for damage in the file of a SQLite database, and for
// rows that refer to missing ones. PostgreSQL looks after its own.
func (db *DB) CheckIntegrity(ctx context.Context) error {
	if db.dialect.name != "sqlite" {
		return nil
	}
	return errors.Join(db.finds(ctx, `PRAGMA integrity_check`, "ok"), db.finds(ctx, `PRAGMA foreign_key_check`, ""))
}

// finds runs a check and makes an error of what it says beyond good.
func (db *DB) finds(ctx context.Context, check, good string) error {
	rows, err := db.reader.QueryContext(ctx, check)
	if err != nil {
		return db.dialect.classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		var said string
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		into := make([]any, len(columns))
		into[0] = &said
		for i := 1; i < len(into); i++ {
			into[i] = new(any)
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if said != good {
			return fmt.Errorf("the database file is damaged: %s", strings.TrimSpace(said))
		}
	}
	return db.dialect.classify(rows.Err())
}

// Identity tells this database from a copy of it that was made or restored with
// PostgreSQL's tools. It is empty where that cannot be told.
func (db *DB) Identity(ctx context.Context) (identity string, err error) {
	if db.dialect.identity == "" {
		return "", nil
	}
	err = db.View(ctx, func(tx *Tx) error { return tx.QueryRow(ctx, db.dialect.identity).Scan(&identity) })
	if code := pgCode(err); code == "42501" || code == "42883" { // not for this role, or not in what only speaks the protocol
		return "", nil
	}
	return identity, err
}
