package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/doorward/doorward/internal/fault"
)

// channel is the NOTIFY channel of the change feed.
const channel = "doorward_change"

func (db *DB) openPostgres() error {
	config, err := pgx.ParseConfig(db.config.URL)
	if err != nil {
		return errors.New("the PostgreSQL URL cannot be read: it looks like postgres://user:password@host:5432/database") // the cause may hold the password
	}
	config.RuntimeParams["application_name"] = "doorward"
	config.RuntimeParams["timezone"] = "UTC"
	config.RuntimeParams["synchronous_commit"] = "on"
	// A node that dies in mid-transaction must not hold the revision row.
	config.RuntimeParams["idle_in_transaction_session_timeout"] = "15000"
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	pool := stdlib.OpenDB(*config)
	pool.SetMaxOpenConns(db.config.MaxConns)
	pool.SetMaxIdleConns(db.config.MaxConns)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	db.reader, db.writer = pool, pool
	db.dialect = dialect{
		name: "postgres",
		// Ids and names sort by their bytes, as on SQLite, whatever the locale.
		schema:     func(migration string) string { return strings.ReplaceAll(migration, " TEXT", ` TEXT COLLATE "C"`) },
		goose:      goose.DialectPostgres,
		migrate:    func(ctx context.Context, up func(context.Context) error) error { return up(ctx) },
		notify:     `SELECT pg_notify('` + channel + `', '')`,
		clock:      `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`,
		planned:    []any{pgx.QueryExecModeCacheDescribe}, // without a name, so that the server keeps no plan
		identity:   `SELECT system_identifier::text || '/' || oid::text FROM pg_control_system(), pg_database WHERE datname = current_database()`,
		listen:     func(ctx context.Context, db *DB) error { return listenPostgres(ctx, config, db.wake) },
		classify:   classifyPostgres,
		serverSaid: func(err error) bool { return pgCode(err) != "" },
		broken:     func(err error) bool { return strings.HasPrefix(pgCode(err), "58") }, // system error: the server's disk
		conflict: func(err error) bool {
			return errors.Is(err, driver.ErrBadConn) || pgconn.SafeToRetry(err) || pgCode(err) == "40001" || pgCode(err) == "40P01"
		},
	}
	return nil
}

func listenPostgres(ctx context.Context, config *pgx.ConnConfig, wake func()) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	wake() // what was committed before LISTEN took effect
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("wait for a notification: %w", err)
		}
		wake()
	}
}

func pgCode(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func classifyPostgres(err error) error {
	var (
		network net.Error
		connect *pgconn.ConnectError
	)
	if err == nil || fault.KindOf(err) == fault.Unavailable {
		return err
	}
	switch code := pgCode(err); {
	case code == "53100":
		return errFull(err)
	case code != "":
		// Connection, resources, operator intervention, disk, read-only standby, lock wait.
		if class := code[:2]; class == "08" || class == "53" || class == "57" || class == "58" || code == "25006" || code == "55P03" || code == "25P03" {
			return errUnavailable(err)
		}
	case outOfTime(err), errors.Is(err, driver.ErrBadConn), errors.As(err, &network),
		errors.As(err, &connect), pgconn.SafeToRetry(err), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errUnavailable(err)
	}
	return err
}

func isPostgresUnique(err error) bool { return pgCode(err) == "23505" }
