package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
)

// productPermission is what callPath needs and every client holds.
const productPermission = "bench.read"

// productConfig is what an operator would write. The access log goes to
// standard output, which is a file here; the issuing limit is the default one.
const productConfig = `public_url: http://%[1]s
database: sqlite:%[4]s/doorward.db
key_encryption_key:
  file: %[4]s/key
api_listen: %[1]s
dashboard_listen: %[2]s
ops_listen: %[3]s
trusted_proxies: [127.0.0.1/32]
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
func seedProduct(ctx context.Context, o order) (*installation, error) {
	var listen [3]netip.AddrPort
	if err := freeAddresses(ctx, listen[:]); err != nil {
		return nil, err
	}
	key, err := secret.CreateKeyEncryptionKey(filepath.Join(o.dir, "key"), rand.Reader)
	if err != nil {
		return nil, err
	}
	if !o.upstream.IsValid() {
		o.upstream = netip.MustParseAddrPort("127.0.0.1:9") // nobody calls it
	}
	path := filepath.Join(o.dir, "doorward.yaml")
	text := fmt.Appendf(nil, productConfig, listen[0], listen[1], listen[2], o.dir, o.upstream, productPermission)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	database := filepath.Join(o.dir, "doorward.db")
	in := &installation{
		argv:      []string{o.binary, "serve", "--config", path},
		dir:       o.dir,
		api:       listen[0],
		ready:     "http://" + listen[2].String() + "/readyz",
		metrics:   "http://" + listen[2].String() + "/metrics",
		tokenPath: "/auth/open/connect/token",
		callPath:  "/bench/items/7",
		database:  []string{database, database + "-wal"}, // -shm is an index, as large as ever
	}
	if o.clients+o.disabled == 0 {
		return in, nil
	}
	p, err := newPopulation(ctx, path, key)
	if err != nil {
		return nil, err
	}
	if in.clients, err = p.add(ctx, "enabled", o.clients, o.keep); err == nil {
		in.disabled, err = p.add(ctx, "disabled", o.disabled, o.disabled)
	}
	return in, errors.Join(err, p.db.Close())
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
