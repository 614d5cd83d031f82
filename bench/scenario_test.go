package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serveStandIn is a product made of the ceilings. Its arguments are the address
// to listen on, the upstream, and a file that stands for the database.
func serveStandIn(ctx context.Context, _ io.Writer, args []string) error {
	issuer, err := newPlainIssuer("")
	if err != nil {
		return err
	}
	if err := os.WriteFile(args[2], []byte("rows"), 0o600); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, statementMetric+"{kind=\"read\"} 3\n"+hitMetric+" 5\n"+missMetric+" 4\n")
	})
	mux.Handle("GET /echo/speed", newBareProxy(args[1]))
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("client_secret") != secretOf(r.PostFormValue("client_id")) {
			http.Error(w, "refused", http.StatusUnauthorized)
			return
		}
		issuer.ServeHTTP(w, r)
	})
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp4", args[0])
	if err != nil {
		return err
	}
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return s.Serve(l)
}

func secretOf(client string) string {
	if strings.HasPrefix(client, "disabled") {
		return "none"
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(client)))
}

// seedStandIn fulfils orders with the stand-in.
func seedStandIn(_ context.Context, o order) (*installation, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0") //nolint:noctx // no name is looked up
	if err != nil {
		return nil, err
	}
	api := netip.MustParseAddrPort(l.Addr().String())
	if err := l.Close(); err != nil {
		return nil, err
	}
	database := filepath.Join(o.dir, "database")
	argv, err := ownRole("stand-in", api.String(), o.upstream.String(), database)
	if err != nil {
		return nil, err
	}
	in := &installation{
		argv: argv, dir: o.dir, api: api, database: []string{database},
		ready: "http://" + api.String() + "/ready", metrics: "http://" + api.String() + "/metrics",
		tokenPath: "/token", callPath: "/echo/speed",
	}
	for i := range o.keep {
		id := fmt.Sprintf("sandbox-round-apple-%d", 1000+i)
		in.clients = append(in.clients, credential{id: id, secret: secretOf(id)})
	}
	for i := range o.disabled {
		in.disabled = append(in.disabled, credential{id: fmt.Sprintf("disabled-round-apple-%d", 1000+i), secret: "wrong"})
	}
	return in, nil
}

// stripped builds this program without a symbol table.
func stripped(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "product")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", path, ".")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, text)
	}
	return path
}

// TestScenariosMeasureEveryFloor runs all of them against the stand-in, very
// short: the figures mean nothing, but each must be there.
func TestScenariosMeasureEveryFloor(t *testing.T) {
	c, err := chooseCores()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{
		cores: c, binary: stripped(t), seed: seedStandIn, log: t.Logf,
		plan: plan{rounds: 1, attempts: 1, length: 100 * time.Millisecond, warmUp: 10 * time.Millisecond, acceptNoise: true},
		sizes: sizes{
			clients: 50, newTokens: 5000, starts: 2, settle: 10 * time.Millisecond, timings: 100,
			millionTokens: 500, millionClient: 500, coldClients: 100, filling: 100, entries: 20,
		},
	}
	r := newReport(false)
	b.run(t.Context(), scenarios, r)
	for _, s := range r.Scenarios {
		if s.Error != "" {
			t.Errorf("%s: %s", s.Name, s.Error)
		}
	}
	for _, v := range r.Floors {
		if v.Measured == nil {
			t.Errorf("%s was not measured", v.Name)
		}
	}
	var printed strings.Builder
	if err := r.print(&printed); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + printed.String())
}
