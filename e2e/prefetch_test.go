package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/dashboard"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/sqldb"
)

// What the server writes by itself, at any time.
var ownTables = []string{"node", "session"}

// A browser that fetches pages before anybody asked for them changes nothing.
func TestPrefetchChangesNothing(t *testing.T) {
	p := start(t)
	fixtures := p.fixtures(t)
	s := p.beside(t)
	p.prefetchAll(t, fixtures) // what is made on the first visit, is made now
	before := snapshot(t, s)
	p.prefetchAll(t, fixtures)
	p.prefetchAll(t, fixtures)
	after := snapshot(t, s)
	for _, table := range slices.Sorted(maps.Keys(before)) {
		if before[table] != after[table] {
			t.Errorf("the table %s had\n%s\nand has\n%s", table, before[table], after[table])
		}
	}
}

func (p *product) prefetchAll(t *testing.T, fixtures map[string][]fixture) {
	t.Helper()
	for _, route := range dashboard.Routes() {
		if route.Method != "GET" {
			continue
		}
		for _, f := range fixtures[route.Pattern] {
			who := f.as
			if f.who != "" && f.who != half {
				who = p.signedIn(t, f.who)
			}
			p.prefetch(t, who, f.path)
		}
	}
}

// snapshot is all that the database holds, by table.
func snapshot(t *testing.T, s *server.Server) map[string]string {
	t.Helper()
	tables := map[string]string{}
	err := s.Database().View(t.Context(), func(tx *sqldb.Tx) error {
		names, err := lines(t.Context(), tx, `SELECT name FROM sqlite_master WHERE type = 'table'`)
		for _, name := range names {
			name = strings.Trim(name, "[]")
			if slices.Contains(ownTables, name) {
				continue
			}
			var rows []string
			if rows, err = lines(t.Context(), tx, `SELECT * FROM `+name); err != nil {
				return err
			}
			slices.Sort(rows)
			tables[name] = strings.Join(rows, "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(tables) < 20 || tables["audit"] == "" {
		t.Fatalf("these are not the tables of the product: %q", slices.Sorted(maps.Keys(tables)))
	}
	return tables
}

// lines are the rows of a query, each as text.
func lines(ctx context.Context, tx *sqldb.Tx, query string) (list []string, err error) {
	rows, err := tx.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		values := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		list = append(list, fmt.Sprint(values))
	}
	return list, rows.Err()
}
