package server_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
)

// withoutIssuingLimit lets one client ask as often as it likes.
func withoutIssuingLimit(c *server.Config) { c.IssuingLimit.PerSecond = new(float64) }

// The change feed is polled beside the requests, a few statements a second; one
// statement per request would be many times more.
func TestWarmTokensAndCallsRunNoSQL(t *testing.T) {
	p := servertest.Start(t, withoutIssuingLimit)
	c := p.NewClient("echo.call")
	value := token(t, p, c)
	callEcho(t, p, value)
	const requests = 500
	for name, act := range map[string]func(){
		"token": func() { token(t, p, c) },
		"call": func() {
			if a := callEcho(t, p, value); a.status != http.StatusOK {
				t.Fatalf("the call gets %d %s", a.status, a.body)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			misses := metric(t, p, "doorward_directory_misses_total")
			before := p.Server.Statements()
			for range requests {
				act()
			}
			if ran := p.Server.Statements() - before; ran > requests/2 {
				t.Errorf("%d requests ran %d SQL statements, want only those of the poll", requests, ran)
			}
			if now := metric(t, p, "doorward_directory_misses_total"); now != misses {
				t.Errorf("the directory missed: %s before, %s after", misses, now)
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		before := p.Server.Statements()
		for range 20 {
			cold := p.NewClient("echo.call")
			token(t, p, cold)
		}
		if ran := p.Server.Statements() - before; ran < 20 {
			t.Errorf("20 cold clients ran %d statements: the count counts nothing", ran)
		}
	})
}

// metric returns a metric's value as the ops listener has it.
func metric(t *testing.T, p *servertest.Platform, name string) string {
	t.Helper()
	for line := range strings.Lines(get(t, p.OpsURL+"/metrics").body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no metric %s", name)
	return ""
}

func TestIssuingTokensWritesNoRow(t *testing.T) {
	p := servertest.Start(t, withoutIssuingLimit)
	c := p.NewClient("echo.call")
	settled := func() string {
		if err := p.Server.Usage().Flush(t.Context()); err != nil { // last uses are written behind: one row per secret
			t.Fatal(err)
		}
		return contents(t, p.Config.Database)
	}
	token(t, p, c)
	before := settled()
	for range 1000 {
		token(t, p, c)
	}
	if after := settled(); after != before {
		t.Errorf("after 1,000 tokens the database holds %s, before %s", after, before)
	}
	t.Run("twin", func(t *testing.T) {
		p.NewClient()
		if contents(t, p.Config.Database) == before {
			t.Error("a new client is not seen: this test looks at nothing")
		}
	})
}

// contents sums up a SQLite database: its pages, and the rows of each table.
func contents(t *testing.T, databaseURL string) string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(databaseURL, "sqlite:")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	count := func(query string) (n int) {
		if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	rows, err := db.QueryContext(t.Context(), `SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	sum := fmt.Sprintf("pages=%d", count(`PRAGMA page_count`))
	for _, name := range tables {
		sum += fmt.Sprintf(" %s=%d", name, count(`SELECT count(*) FROM `+name))
	}
	return sum
}
