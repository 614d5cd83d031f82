package sqldbtest

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/doorward/doorward/internal/sqldb"
)

// To create a database of PostgreSQL, and to drop it, takes longer than most
// tests: those that are migrated go from test to test, emptied in between. They
// stay behind when the process ends.
var idle struct {
	mu        sync.Mutex
	databases []*postgres
}

// postgres is a migrated database that tests use one after the other.
type postgres struct {
	name  string
	shape string // of its schema, right after the migrations
	empty string // statements that bring its rows back to what they were then
}

func borrowPostgres(t testing.TB) string {
	t.Helper()
	idle.mu.Lock()
	var p *postgres
	if last := len(idle.databases) - 1; last >= 0 {
		p = idle.databases[last]
		idle.databases = idle.databases[:last]
	}
	idle.mu.Unlock()
	if p == nil {
		var err error
		if p, err = migratedPostgres(t); err != nil {
			t.Fatalf("create a test database: %v", err)
		}
	}
	t.Cleanup(func() {
		if err := p.giveBack(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("empty the test database: %v", err)
		}
	})
	return urlOf(p.name)
}

func migratedPostgres(t testing.TB) (*postgres, error) {
	t.Helper()
	needPostgres(t)
	p := &postgres{name: databaseName()}
	ctx := t.Context()
	if err := maintain(ctx, `CREATE DATABASE `+p.name); err != nil {
		return nil, err
	}
	db, err := sqldb.Open(ctx, sqldb.Config{URL: urlOf(p.name), MaxConns: 1})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		return nil, err
	}
	return p, onPostgres(ctx, urlOf(p.name), func(conn *pgx.Conn) (err error) {
		if p.shape, err = shapeOf(ctx, conn); err != nil {
			return err
		}
		p.empty, err = emptyingOf(ctx, conn)
		return err
	})
}

// giveBack empties the database for the next test, and drops it when the test
// has changed more than rows.
func (p *postgres) giveBack(ctx context.Context) error {
	err := onPostgres(ctx, urlOf(p.name), func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		if err != nil {
			return err
		}
		switch shape, err := shapeOf(ctx, conn); {
		case err != nil:
			return err
		case shape != p.shape:
			return errReshaped
		}
		_, err = conn.PgConn().Exec(ctx, p.empty).ReadAll()
		return err
	})
	if err != nil {
		return maintain(ctx, `DROP DATABASE `+p.name+` WITH (FORCE)`)
	}
	idle.mu.Lock()
	defer idle.mu.Unlock()
	idle.databases = append(idle.databases, p)
	return nil
}

var errReshaped = errors.New("a test has changed more than rows")

// shapeOf is text that is another one when tables, columns, indexes, triggers,
// functions or settings of the database are others.
func shapeOf(ctx context.Context, conn *pgx.Conn) (shape string, err error) {
	err = conn.QueryRow(ctx, `SELECT concat_ws(' ',
		(SELECT string_agg(concat_ws(':', oid, relname, relnatts, relchecks, relhastriggers), ' ' ORDER BY oid) FROM pg_class WHERE relnamespace = 'public'::regnamespace),
		(SELECT string_agg(concat_ws(':', a.attname, a.attnotnull, a.attisdropped), ' ' ORDER BY a.attrelid, a.attnum)
			FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0),
		(SELECT count(*) FROM pg_trigger), (SELECT count(*) FROM pg_constraint),
		(SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
		(SELECT count(*) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database()))`).Scan(&shape)
	return shape, err
}

// emptyingOf returns statements that delete all rows and insert those that are
// there now.
func emptyingOf(ctx context.Context, conn *pgx.Conn) (statements string, err error) {
	names, err := columnOf(ctx, conn, `SELECT quote_ident(relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`)
	if err != nil {
		return "", err
	}
	text := strings.Builder{}
	text.WriteString(`BEGIN; SET LOCAL session_replication_role = replica;`) // in whatever order
	for _, name := range names {
		text.WriteString(` DELETE FROM ` + name + `;`)
		rows, err := columnOf(ctx, conn, `SELECT quote_literal(to_json(t)::text) FROM `+name+` t`)
		if err != nil {
			return "", err
		}
		for _, row := range rows {
			text.WriteString(` INSERT INTO ` + name + ` SELECT * FROM json_populate_record(NULL::` + name + `, ` + row + `);`)
		}
	}
	text.WriteString(` COMMIT`)
	return text.String(), nil
}

func columnOf(ctx context.Context, conn *pgx.Conn, query string) ([]string, error) {
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// newPostgres creates a database for one test.
func newPostgres(t testing.TB) string {
	t.Helper()
	needPostgres(t)
	name := databaseName()
	if err := maintain(t.Context(), `CREATE DATABASE `+name); err != nil {
		t.Fatalf("create a test database: %v", err)
	}
	t.Cleanup(func() {
		if err := maintain(context.WithoutCancel(t.Context()), `DROP DATABASE `+name+` WITH (FORCE)`); err != nil {
			t.Errorf("drop the test database: %v", err)
		}
	})
	return urlOf(name)
}

func needPostgres(t testing.TB) {
	t.Helper()
	if os.Getenv("DOORWARD_TEST_POSTGRES") == "" {
		t.Fatal("no PostgreSQL for the tests: run them with `make test`, or with ENGINES=sqlite")
	}
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
	return onPostgres(ctx, os.Getenv("DOORWARD_TEST_POSTGRES"), func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, statement)
		return err
	})
}

// onPostgres has a connection for the time of a function.
func onPostgres(ctx context.Context, databaseURL string, use func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	return errors.Join(use(conn), conn.Close(ctx))
}
