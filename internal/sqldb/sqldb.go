// Package sqldb opens the database, brings its schema up to date and runs
// transactions. It hides all that differs between SQLite and PostgreSQL: above
// it, one query text serves both ($1 parameters, RETURNING, ON CONFLICT; times
// are BIGINT microseconds).
//
// What must stay true: the transactions of [DB.Update] are serial on both
// engines, because each updates the one row of revision first; so the numbers of
// the change feed have no gap and never arrive late. No transaction needs a
// second connection: a pool of one is enough.
package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doorward/doorward/internal/fault"
)

// Config says which database to open.
type Config struct {
	// URL is "sqlite:/path/to/file.db", or a PostgreSQL URL as libpq reads it.
	URL string
	// MaxConns bounds the connections of the pool; 0 means 8. On SQLite it
	// bounds the readers: there is always one writer beside them.
	MaxConns int
	// Timeout bounds a transaction whose context has no earlier deadline;
	// 0 means 10 s.
	Timeout time.Duration
	// NoNotify leaves changes to the poll, for engines that speak PostgreSQL's
	// protocol without LISTEN and NOTIFY.
	NoNotify bool
	// RevocationJournal names a file to which what an Update revokes is appended,
	// and synced, before it is acknowledged; empty: none.
	RevocationJournal string
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	dialect    dialect
	config     Config
	reader     *sql.DB
	writer     *sql.DB // the same pool as reader on PostgreSQL
	statements atomic.Uint64
	broken     atomic.Pointer[error] // that the last write ended in, if the disk is to blame

	mu       sync.Mutex
	watchers map[chan struct{}]bool
}

// Open opens the database and checks that it answers. A SQLite file is
// created, mode 0600, when it does not exist; one that others may read is
// refused.
func Open(ctx context.Context, config Config) (*DB, error) {
	if config.MaxConns <= 0 {
		config.MaxConns = 8
	}
	if config.Timeout <= 0 {
		config.Timeout = 10 * time.Second
	}
	db := &DB{config: config, watchers: map[chan struct{}]bool{}}
	scheme, _, _ := strings.Cut(config.URL, ":")
	var err error
	switch scheme {
	case "sqlite":
		err = db.openSQLite(ctx)
	case "postgres", "postgresql":
		err = db.openPostgres()
	default:
		return nil, errors.New("the database URL begins with sqlite: or postgres:, as in sqlite:/var/lib/doorward/doorward.db")
	}
	if err != nil {
		return nil, err
	}
	if err := db.reader.PingContext(ctx); err != nil {
		return nil, errors.Join(db.dialect.classify(err), db.Close())
	}
	return db, nil
}

// Close closes the pools. Transactions under way end with an error.
func (db *DB) Close() error {
	if db.reader == db.writer {
		return db.reader.Close()
	}
	return errors.Join(db.reader.Close(), db.writer.Close())
}

// Engine is "sqlite" or "postgres".
func (db *DB) Engine() string { return db.dialect.name }

// Statements counts the SQL statements run so far, for tests and metrics.
func (db *DB) Statements() uint64 { return db.statements.Load() }

// Writable is nil while the disk under the database takes what is written, as
// far as is known: after an I/O error, or when the file system has turned
// read-only, it tries to write and returns what comes of it. A disk that is
// only full is none of its business.
func (db *DB) Writable(ctx context.Context) error {
	if db.broken.Load() == nil {
		return nil
	}
	return db.Update(ctx, func(*Tx) error { return nil }) // a row of the feed that is nobody's
}

// note remembers whether the disk failed the last write. Of a success it wants to
// know whether it certainly wrote: one that changed no row says nothing about the
// disk.
func (db *DB) note(err error, wrote bool) error {
	switch {
	case err == nil:
		if wrote && db.broken.Load() != nil {
			db.broken.Store(nil)
		}
	case db.dialect.broken(err):
		db.broken.Store(&err)
	}
	return err
}

// Watch returns a channel that holds a value after a change was committed by
// this process or, through [DB.Listen], by another. stop releases it.
func (db *DB) Watch() (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	db.mu.Lock()
	db.watchers[ch] = true
	db.mu.Unlock()
	return ch, func() {
		db.mu.Lock()
		delete(db.watchers, ch)
		db.mu.Unlock()
	}
}

func (db *DB) wake() {
	db.mu.Lock()
	defer db.mu.Unlock()
	for ch := range db.watchers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// Listen wakes the watchers when another process commits a change, until the
// context ends (nil) or the connection fails. It returns nil at once where the
// engine has no notifications. It uses a connection of its own.
func (db *DB) Listen(ctx context.Context) error {
	if db.dialect.listen == nil || db.config.NoNotify {
		return nil
	}
	return db.dialect.listen(ctx, db)
}

// IsUnique says whether an error is the violation of a unique constraint.
func IsUnique(err error) bool {
	return isSQLiteUnique(err) || isPostgresUnique(err)
}

// outOfTime tells what a transaction ends in when its time is up: also that it was
// rolled back behind the back of its next statement.
func outOfTime(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, sql.ErrTxDone)
}

// errUnavailable is what callers see when the engine does not answer; the
// cause is kept for the log.
func errUnavailable(err error) error {
	return fault.Errorf(fault.Unavailable, "the database does not answer; try again shortly: %w", err)
}

// errFull is the same where a disk has no room. Only the operator can make some,
// so it is the log and the command line that ask for it.
func errFull(err error) error {
	full := fault.New(fault.TemporarilyUnavailable, "the disk is full: make room on it, then try again: %w", err)
	full.Message = "nothing can be written just now; try again shortly"
	return full
}
