package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// An order says what installation of the product a scenario wants.
type order struct {
	binary   string         // the stripped product
	dir      string         // an empty folder for configuration, keys and database
	upstream netip.AddrPort // behind the product that callPath is of
	clients  int            // enabled clients in the database; 0 = no database yet
	keep     int            // how many of them to return, spread evenly
	disabled int            // disabled clients, all returned
	entries  int            // clients that the product keeps in memory; 0 = its default
	shared   bool           // on a PostgreSQL database, which several nodes may use
	beside   *installation  // another node on the database of this one; nil = an installation of its own
}

// A seeder fulfils an order. The installation has metrics, access log and
// issuing limit on, and takes X-Forwarded-For from loopback peers.
type seeder func(ctx context.Context, o order) (*installation, error)

// A credential is what a client authenticates with.
type credential struct{ id, secret string }

// An installation is a product that is ready to be started, again and again.
type installation struct {
	argv      []string       // command line of the server
	env       []string       // added to our own
	dir       string         // working folder; its log goes here too
	api       netip.AddrPort // of the API listener
	ready     string         // URL that answers 200 once it serves
	metrics   string         // URL of the Prometheus text
	tokenPath string         // of the token endpoint
	callPath  string         // of a GET that each client may make
	database  []string       // paths of the database files, journals included
	clients   []credential
	disabled  []credential
	shared    string       // URL of a PostgreSQL database; empty = SQLite
	drop      func() error // removes that database; nil = none
}

// A running installation.
type running struct {
	*child
	*installation
	readyAfter time.Duration // from fork to the first 200
}

// start runs the product on the server core and waits until it is ready. Its
// access log goes to a file, as an operator's would.
func (in *installation) start(ctx context.Context, c cores) (*running, error) {
	log, err := os.Create(filepath.Join(in.dir, "server.log"))
	if err != nil {
		return nil, fmt.Errorf("create the server's log: %w", err)
	}
	defer log.Close() // the child has a descriptor of its own
	began := time.Now()
	child, err := start(launch{core: c.server, argv: in.argv, dir: in.dir, env: in.env, stdout: log, stderr: log})
	if err != nil {
		return nil, err
	}
	after, err := child.awaitReady(ctx, in.ready, began)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w; its log: %s", err, in.lastOfLog()), child.stop())
	}
	return &running{child: child, installation: in, readyAfter: after}, nil
}

// lastOfLog returns the end of the server's log, for an error message.
func (in *installation) lastOfLog() string {
	text, err := os.ReadFile(filepath.Join(in.dir, "server.log"))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text[max(0, len(text)-1000):]))
}

// emptyLog keeps the access log of many rounds from filling the disk.
func (in *installation) emptyLog() error {
	return os.Truncate(filepath.Join(in.dir, "server.log"), 0)
}

// databaseSize adds up the database files; one that is missing is empty.
func (in *installation) databaseSize() (int64, error) {
	var sum int64
	for _, path := range in.database {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("measure the database: %w", err)
		}
		sum += info.Size()
	}
	return sum, nil
}

// statementMetric counts the SQL statements that the product has run.
const statementMetric = "doorward_sql_statements_total"

// statements returns how many SQL statements the product has run.
func (r *running) statements(ctx context.Context) (float64, error) {
	text, err := get(ctx, r.metrics)
	if err != nil {
		return 0, fmt.Errorf("read the metrics: %w", err)
	}
	return sumOfMetric(text, statementMetric)
}

// sumOfMetric adds up the samples of one metric in the Prometheus text format.
func sumOfMetric(text []byte, name string) (float64, error) {
	var sum float64
	found := false
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || rest == "" || (rest[0] != ' ' && rest[0] != '{') {
			continue
		}
		fields := strings.Fields(rest[strings.LastIndexByte(rest, '}')+1:])
		if len(fields) == 0 {
			return 0, fmt.Errorf("metric %s has a sample without a value", name)
		}
		value, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		sum, found = sum+value, true
	}
	if !found {
		return 0, fmt.Errorf("the product has no metric %s", name)
	}
	return sum, lines.Err()
}
