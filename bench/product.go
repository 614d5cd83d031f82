package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
)

// productPermission is what callPath needs and every client holds.
const productPermission = "bench.read"

// productConfig is what an operator would write. The access log goes to
// standard output, which is a file here; the issuing limit is the default one.
const productConfig = `public_url: http://%[9]s
database: %[8]s
key_encryption_key:
  file: %[4]s
api_listen: %[1]s
dashboard_listen: %[2]s
ops_listen: %[3]s
trusted_proxies: [127.0.0.1/32]
max_clients: %[7]d
products:
  - key: bench
    name: Bench
    prefix: /bench
    sandbox_access: open
    production_access: open
    upstreams:
      sandbox: http://%[5]s
      production: http://%[5]s
    permissions:
      - key: %[6]s
    routes:
      - method: GET
        path: /items/{item}
        permissions: [[%[6]s]]
`

// seedProduct fulfils an order with the product itself.
func seedProduct(ctx context.Context, o order) (_ *installation, err error) {
	if o.beside != nil {
		return installProduct(ctx, o, o.beside.shared, filepath.Join(o.beside.dir, "key"), o.beside.api)
	}
	key, err := secret.CreateKeyEncryptionKey(filepath.Join(o.dir, "key"), rand.Reader)
	if err != nil {
		return nil, err
	}
	var database string
	var drop func() error
	if o.shared {
		if database, drop, err = newDatabase(ctx); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, drop())
			}
		}()
	}
	in, err := installProduct(ctx, o, database, filepath.Join(o.dir, "key"), netip.AddrPort{})
	if err != nil || o.clients+o.disabled == 0 {
		return in, err
	}
	in.drop = drop
	p, err := newPopulation(ctx, filepath.Join(o.dir, "doorward.yaml"), key)
	if err != nil {
		return nil, err
	}
	if in.clients, err = p.add(ctx, "enabled", o.clients, o.keep); err == nil {
		in.disabled, err = p.add(ctx, "disabled", o.disabled, o.disabled)
	}
	return in, errors.Join(err, p.db.Close())
}

// installProduct writes the configuration of a node: on a shared database, or
// one of its own; for the API domain of another node, or its own.
func installProduct(ctx context.Context, o order, shared, key string, public netip.AddrPort) (*installation, error) {
	var listen [3]netip.AddrPort
	if err := freeAddresses(ctx, listen[:]); err != nil {
		return nil, err
	}
	if !public.IsValid() {
		public = listen[0]
	}
	if !o.upstream.IsValid() {
		o.upstream = netip.MustParseAddrPort("127.0.0.1:9") // nobody calls it
	}
	file := filepath.Join(o.dir, "doorward.db")
	path := filepath.Join(o.dir, "doorward.yaml")
	text := fmt.Appendf(nil, productConfig, listen[0], listen[1], listen[2], key, o.upstream, productPermission,
		cmp.Or(o.entries, access.DefaultMaxClients), cmp.Or(shared, "sqlite:"+file), public)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	return &installation{
		argv:      []string{o.binary, "serve", "--config", path},
		dir:       o.dir,
		api:       listen[0],
		ready:     "http://" + listen[2].String() + "/readyz",
		metrics:   "http://" + listen[2].String() + "/metrics",
		tokenPath: "/auth/open/connect/token",
		callPath:  "/bench/items/7",
		database:  []string{file, file + "-wal"}, // -shm is an index, as large as ever
		shared:    shared,
	}, nil
}

// postgresVariable names a PostgreSQL on which databases may be made;
// scripts/engines sets it.
const postgresVariable = "DOORWARD_TEST_POSTGRES"

// newDatabase makes a database with the product's schema, and returns what
// removes it again.
func newDatabase(ctx context.Context) (address string, drop func() error, err error) {
	whole := os.Getenv(postgresVariable)
	if whole == "" {
		return "", nil, fmt.Errorf("no PostgreSQL: run scripts/engines bash -c 'cd bench && go run . …', or set %s", postgresVariable)
	}
	u, err := url.Parse(whole)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", postgresVariable, err)
	}
	db, err := sql.Open("pgx", whole)
	if err != nil {
		return "", nil, err
	}
	name := "doorward_bench_" + strings.ToLower(rand.Text())
	if _, err := db.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return "", nil, errors.Join(err, db.Close())
	}
	drop = func() error {
		_, err := db.ExecContext(context.WithoutCancel(ctx), "DROP DATABASE "+name+" WITH (FORCE)")
		return errors.Join(err, db.Close())
	}
	u.Path = "/" + name
	if _, err := server.Migrate(ctx, u.String()); err != nil {
		return "", nil, errors.Join(err, drop())
	}
	return u.String(), drop, nil
}

// freeAddresses finds addresses on which nobody listens.
func freeAddresses(ctx context.Context, out []netip.AddrPort) (err error) {
	var listen net.ListenConfig
	for i := range out {
		l, listenErr := listen.Listen(ctx, "tcp4", "127.0.0.1:0")
		if listenErr != nil {
			return errors.Join(err, fmt.Errorf("find a free port: %w", listenErr))
		}
		// Held until all are found, so that no two are the same.
		defer func() { err = errors.Join(err, l.Close()) }()
		if out[i], err = netip.ParseAddrPort(l.Addr().String()); err != nil {
			return err
		}
	}
	return err
}

// openAccount makes the database as the product does, with an organisation and
// an account.
func openAccount(ctx context.Context, config server.Config) (o id.Organisation, a id.Account, err error) {
	s, err := server.Open(ctx, config, slog.New(slog.DiscardHandler))
	if err != nil {
		return o, a, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	by := actor.NewSystem("bench")
	if o, err = s.Registry().CreateOrganisation(ctx, by, "Bench"); err != nil {
		return o, a, err
	}
	a, err = s.Registry().CreateAccount(ctx, by.In(o), id.Sandbox, "Bench")
	return o, a, err
}
