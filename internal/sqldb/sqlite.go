package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/doorward/doorward/internal/fault"
)

// openSQLite opens a pool of readers and a pool of one writer on one file in
// WAL mode. synchronous=FULL: what was acknowledged survives a power cut.
// Counters are flushed in batches, so that they need no laxer setting. The journal
// is taken in at 1 MB, a quarter of the usual: it must not fill a small disk.
func (db *DB) openSQLite(ctx context.Context) error {
	path := strings.TrimPrefix(db.config.URL, "sqlite:")
	if err := privateFile(path); err != nil {
		return err
	}
	dsn := fileURL(path) +
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=wal_autocheckpoint(256)"
	var err error
	if db.writer, err = sql.Open("sqlite", dsn+"&_txlock=immediate"); err != nil {
		return err
	}
	if db.reader, err = sql.Open("sqlite", dsn+"&_pragma=query_only(1)&_txlock=deferred"); err != nil {
		return err
	}
	// Two processes cannot both turn a new file to WAL.
	unlock, err := LockFile(path+".lock", true)
	if err != nil {
		return err
	}
	defer unlock()
	if err := db.writer.PingContext(ctx); err != nil {
		return errors.Join(classifySQLite(err), db.Close())
	}
	db.writer.SetMaxOpenConns(1)
	db.reader.SetMaxOpenConns(db.config.MaxConns)
	db.reader.SetMaxIdleConns(db.config.MaxConns)
	db.dialect = dialect{
		name:   "sqlite",
		schema: func(migration string) string { return strings.ReplaceAll(migration, " UNLOGGED ", " ") },
		clock:  `SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER)`,
		goose:  goose.DialectSQLite3,
		migrate: func(ctx context.Context, up func(context.Context) error) error {
			unlock, err := LockFile(path+".lock", true)
			if err != nil {
				return err
			}
			defer unlock()
			if err := up(ctx); err != nil {
				return err
			}
			// Migrations leave a long journal, and a small disk may have no room for it.
			_, err = db.writer.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
			return err
		},
		copy:       func(ctx context.Context, to string) error { return copySQLite(ctx, path, to) },
		classify:   classifySQLite,
		serverSaid: func(error) bool { return true }, // there is no connection to lose
		broken:     isSQLiteBroken,
		conflict:   func(error) bool { return false },
	}
	return nil
}

// privateFile creates the file for its owner alone, and refuses one that
// others may read: it holds digests and sealed keys.
func privateFile(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names the database file
	if err != nil {
		return fmt.Errorf("open the database file: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("the database file %s can be read by others (mode %04o): run chmod 600 on it", path, info.Mode().Perm())
	}
	return nil
}

func classifySQLite(err error) error {
	if err == nil || fault.KindOf(err) == fault.Unavailable {
		return err
	}
	var e *sqlite.Error
	if errors.As(err, &e) { // first: a transaction that ended by it may look like one that is out of time
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_FULL:
			return errFull(err)
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR,
			sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_NOMEM:
			return errUnavailable(err)
		}
	}
	if outOfTime(err) {
		return errUnavailable(err)
	}
	return err
}

func isSQLiteBroken(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return true
	}
	return false
}

func isSQLiteUnique(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) &&
		(e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}
