package sqldb

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Tx is a transaction. It is valid until the function that got it returns,
// and not safe for concurrent use.
type Tx struct {
	db      *DB
	tx      *sql.Tx
	changes []change
	revoked []Revocation
}

type change struct{ kind, key string }

// Exec runs a statement.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	tx.db.statements.Add(1)
	result, err := tx.tx.ExecContext(ctx, query, args...)
	return result, tx.db.dialect.classify(err)
}

// Query runs a statement that returns rows; the caller closes them.
func (tx *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	tx.db.statements.Add(1)
	rows, err := tx.tx.QueryContext(ctx, query, args...)
	return rows, tx.db.dialect.classify(err)
}

// QueryPlanned is Query for a statement whose best plan depends on its
// arguments, such as filters that may be empty. It is planned each time;
// PostgreSQL would otherwise settle on one plan for all of them.
func (tx *Tx) QueryPlanned(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return tx.Query(ctx, query, append(slices.Clone(tx.db.dialect.planned), args...)...)
}

// QueryRow runs a statement that returns at most one row. Its Scan returns
// sql.ErrNoRows when there is none.
func (tx *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	tx.db.statements.Add(1)
	return tx.tx.QueryRowContext(ctx, query, args...)
}

// Clock returns the time by the clock of the database, which all nodes share.
func (tx *Tx) Clock(ctx context.Context) (time.Time, error) {
	var now int64
	err := tx.QueryRow(ctx, tx.db.dialect.clock).Scan(&now)
	return time.UnixMicro(now), tx.db.dialect.classify(err)
}

// Changed queues a row of the change feed, which nodes read to drop what they
// hold in memory under that kind and key. It belongs in an Update.
func (tx *Tx) Changed(kind, key string) {
	for _, c := range tx.changes {
		if c.kind == kind && c.key == key {
			return
		}
	}
	tx.changes = append(tx.changes, change{kind, key})
}

// View runs fn in a read-only transaction that sees one state of the database.
func (db *DB) View(ctx context.Context, fn func(tx *Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, db.config.Timeout)
	defer cancel()
	return db.ViewAll(ctx, fn)
}

// ViewAll is View without its limit of time, for what reads whole tables.
func (db *DB) ViewAll(ctx context.Context, fn func(tx *Tx) error) error {
	return db.run(ctx, db.reader, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, fn)
}

// Write runs fn in a writing transaction outside the change feed: for rows
// that no node keeps in memory. fn may run again after a conflict.
func (db *DB) Write(ctx context.Context, fn func(tx *Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, db.config.Timeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		err := db.note(db.run(ctx, db.writer, nil, fn), false)
		if err == nil || attempt == maxAttempts || !db.dialect.conflict(err) {
			return err
		}
	}
}

const maxAttempts = 5

func (db *DB) run(ctx context.Context, pool *sql.DB, options *sql.TxOptions, fn func(tx *Tx) error) error {
	sqlTx, err := pool.BeginTx(ctx, db.options(options))
	if err != nil {
		return db.dialect.classify(err)
	}
	defer rollback(sqlTx)
	if err := fn(&Tx{db: db, tx: sqlTx}); err != nil {
		return db.dialect.classify(err)
	}
	return db.dialect.classify(sqlTx.Commit())
}

// options drops what SQLite has not: its readers are read-only by connection.
func (db *DB) options(options *sql.TxOptions) *sql.TxOptions {
	if db.reader != db.writer {
		return nil
	}
	return options
}

// Rolling back after a commit is the ordinary end and answers sql.ErrTxDone.
func rollback(tx *sql.Tx) { _ = tx.Rollback() }

// Update runs fn in the serial write transaction of the change feed. fn may
// run again after a conflict or a lost connection, so nothing else happens
// inside. When the connection is lost during COMMIT, Update finds out whether
// the transaction was committed instead of running it a second time.
func (db *DB) Update(ctx context.Context, fn func(tx *Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, db.config.Timeout)
	defer cancel()
	nonce := rand.Text()
	var err error
	for attempt := 1; attempt <= maxAttempts; attempt++ {
		var lost bool
		var tx *Tx
		tx, lost, err = db.update(ctx, nonce, fn)
		if db.note(err, true) == nil {
			return db.acknowledge(tx)
		}
		if lost {
			committed, lookErr := db.committed(ctx, nonce)
			switch {
			case lookErr != nil:
				return errUnavailable(fmt.Errorf("the outcome of a change is not known: %w", errors.Join(err, lookErr)))
			case committed:
				return db.acknowledge(tx)
			}
		}
		if ctx.Err() != nil || !lost && !db.dialect.conflict(err) {
			return err
		}
	}
	return err
}

// update is one attempt; lost says that the connection broke during COMMIT.
func (db *DB) update(ctx context.Context, nonce string, fn func(tx *Tx) error) (tx *Tx, lost bool, err error) {
	sqlTx, err := db.writer.BeginTx(ctx, nil)
	if err != nil {
		return nil, false, db.dialect.classify(err)
	}
	defer rollback(sqlTx)
	tx = &Tx{db: db, tx: sqlTx}
	seq, err := tx.lock(ctx)
	if err != nil {
		return tx, false, err
	}
	if err := fn(tx); err != nil {
		return tx, false, db.dialect.classify(err)
	}
	if err := tx.appendChanges(ctx, seq, nonce); err != nil {
		return tx, false, err
	}
	if err := sqlTx.Commit(); err != nil {
		return tx, !db.dialect.serverSaid(err), db.dialect.classify(err)
	}
	return tx, false, nil
}

// acknowledge does what has to be done between the commit of a change and its
// acknowledgement.
func (db *DB) acknowledge(tx *Tx) error {
	db.wake()
	return db.keepRevocations(tx.revoked)
}

// lock takes the revision row, behind which all changes queue, and returns
// the number of the newest change.
func (tx *Tx) lock(ctx context.Context) (seq int64, err error) {
	err = tx.QueryRow(ctx, `UPDATE revision SET seq = seq WHERE id = 1 RETURNING seq`).Scan(&seq)
	return seq, tx.db.dialect.classify(err)
}

// appendChanges writes at least one row, which carries the nonce by which a
// lost COMMIT is found again.
func (tx *Tx) appendChanges(ctx context.Context, seq int64, nonce string) error {
	if len(tx.changes) == 0 {
		tx.Changed("none", "")
	}
	at := time.Now().UnixMicro()
	for _, c := range tx.changes {
		seq++
		_, err := tx.Exec(ctx, `INSERT INTO change (seq, kind, key, nonce, at) VALUES ($1, $2, $3, $4, $5)`, seq, c.kind, c.key, nonce, at)
		if err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, `UPDATE revision SET seq = $1 WHERE id = 1`, seq); err != nil {
		return err
	}
	if err := tx.placeRevocations(ctx, seq); err != nil {
		return err
	}
	if tx.db.dialect.notify != "" && !tx.db.config.NoNotify {
		_, err := tx.Exec(ctx, tx.db.dialect.notify)
		return err
	}
	return nil
}

// committed says whether the transaction with that nonce came through. It
// queues behind the revision row, so that a server that is still committing
// has ended by then. It goes on when the caller has left.
func (db *DB) committed(ctx context.Context, nonce string) (found bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), db.config.Timeout)
	defer cancel()
	for {
		err = db.run(ctx, db.writer, nil, func(tx *Tx) error {
			if _, err := tx.lock(ctx); err != nil {
				return err
			}
			return tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM change WHERE nonce = $1)`, nonce).Scan(&found)
		})
		if err == nil {
			return found, nil
		}
		select {
		case <-ctx.Done():
			return false, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}
