package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/demo"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
)

// dev is what the command line of `doorward dev` says.
type dev struct {
	folder                string
	api, dashboard, opsAt string
	upstreams             []string // /prefix=URL
	out                   io.Writer
}

func newDev() *cobra.Command {
	d := &dev{}
	cmd := &cobra.Command{
		Use: "dev", Short: "Try everything on this machine, with sample products and a sample client", Args: cobra.NoArgs,
		Long: `Start the whole platform on loopback addresses with a database in one folder,
sample products behind the gateway and one API client, and print three commands to
paste: a token, a call that is allowed and one that is refused.

A second start on the same folder keeps everything.`,
		Example: "  doorward dev\n  doorward dev --upstream /orders=http://127.0.0.1:9000   # your own API behind the gateway",
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.out = cmd.OutOrStdout()
			return d.run(cmd.Context(), slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})))
		},
	}
	cmd.Flags().StringVar(&d.folder, "data-dir", "./doorward-data", "folder for database, keys and credentials")
	cmd.Flags().StringVar(&d.api, "api-listen", "127.0.0.1:8080", "address of the token service and the gateway")
	cmd.Flags().StringVar(&d.dashboard, "dashboard-listen", "127.0.0.1:8081", "address of the Dashboard")
	cmd.Flags().StringVar(&d.opsAt, "ops-listen", "127.0.0.1:8082", "address of health, readiness and metrics")
	cmd.Flags().StringArrayVar(&d.upstreams, "upstream", nil, "put your own API behind the gateway: /prefix=URL (repeatable)")
	return cmd
}

func (d *dev) run(ctx context.Context, logger *slog.Logger) error {
	for _, address := range []string{d.api, d.dashboard, d.opsAt} {
		if !isLoopbackAddress(address) {
			return fmt.Errorf("dev listens on loopback only, not on %s: its secrets are printed and its connections are not encrypted; use doorward serve", address)
		}
	}
	own, err := d.ownProducts()
	if err != nil {
		return err
	}
	config, err := d.config()
	if err != nil {
		return err
	}
	listeners, err := config.Listen(ctx)
	if err != nil {
		return err
	}
	config.PublicURL = "http://" + listeners.API.Addr().String()
	config.DashboardURL = "http://" + listeners.Dashboard.Addr().String()
	opsURL := "http://" + listeners.Ops.Addr().String()
	samples, err := startSamples(ctx, config.PublicURL, config.DashboardURL+"/help/errors", lastUpstreams(ctx, config))
	if err != nil {
		listeners.Close()
		return err
	}
	defer samples.stop()
	config.Products = append(samples.products, own...)
	s, err := server.Open(ctx, config, logger)
	if err != nil {
		listeners.Close()
		return err
	}
	credentials, err := d.seed(ctx, s, config, opsURL, own)
	if err != nil {
		listeners.Close()
		return errors.Join(err, s.Close())
	}
	fmt.Fprint(d.out, credentials.welcome(d.folder, own))
	err = s.Serve(ctx, listeners)
	return errors.Join(err, s.Close())
}

func isLoopbackAddress(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// ownProducts reads --upstream /orders=http://127.0.0.1:9000.
func (d *dev) ownProducts() (products []registry.Definition, err error) {
	for _, text := range d.upstreams {
		prefix, upstream, ok := strings.Cut(text, "=")
		key := strings.ReplaceAll(strings.TrimPrefix(prefix, "/"), "-", "_")
		if !ok || key == "" || strings.Contains(key, "/") || !strings.HasPrefix(prefix, "/") {
			return nil, fmt.Errorf("--upstream %s: write /prefix=URL, like /orders=http://127.0.0.1:9000", text)
		}
		products = append(products, demo.Catchall(key, prefix, upstream))
	}
	return products, nil
}

// config prepares the folder and returns the configuration without URLs. A
// key is made only where there is no database yet that another key sealed.
func (d *dev) config() (config server.Config, err error) {
	if err := os.MkdirAll(d.folder, 0o700); err != nil {
		return config, fmt.Errorf("create the data folder: %w", err)
	}
	config = configOf(d.folder)
	config.APIListen, config.DashboardListen, config.OpsListen, config.ManagementListen = d.api, d.dashboard, d.opsAt, d.api
	config.AccessLog, config.GraceTime = filepath.Join(d.folder, "access.log"), 5*time.Second
	config.Console = d.out
	config.Egress.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")} // to try webhooks
	_, err = os.Stat(filepath.Join(d.folder, "doorward.db"))
	if errors.Is(err, fs.ErrNotExist) {
		_, err = secret.CreateKeyEncryptionKey(config.KeyEncryptionKey.File, rand.Reader)
		if errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	return config, err
}

// configOf names the database and the key in the folder of `doorward dev`.
func configOf(folder string) server.Config {
	return server.Config{
		Database:         "sqlite:" + filepath.Join(folder, "doorward.db"),
		KeyEncryptionKey: server.KeyEncryptionKey{File: filepath.Join(folder, "key-encryption-key")},
	}
}

// samples are the upstreams of the sample products, on ports of their own.
type samples struct {
	products []registry.Definition
	servers  []*http.Server
	running  sync.WaitGroup
}

// lastUpstreams are those of the start before, by product. Samples that stand
// where they stood are not products of a new version.
func lastUpstreams(ctx context.Context, config server.Config) map[string]string {
	s, err := server.Beside(ctx, config, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil // there was none; what else is wrong is for the server to say
	}
	defer func() { _ = s.Close() }()
	products, err := s.Registry().LiveProducts(ctx)
	if err != nil {
		return nil
	}
	upstreams := map[string]string{}
	for _, p := range products {
		upstreams[p.Definition.Key] = p.Definition.Upstreams[id.Sandbox]
	}
	return upstreams
}

func startSamples(ctx context.Context, publicURL, helpURL string, last map[string]string) (*samples, error) {
	s := &samples{}
	authentication, err := s.start(ctx, last["auth"], demo.NewAuthentication(demo.AuthenticationConfig{PublicURL: publicURL, HelpURL: helpURL, Rand: rand.Reader}))
	if err != nil {
		return nil, err
	}
	echo, err := s.start(ctx, last["echo"], demo.NewEcho(helpURL))
	if err != nil {
		s.stop()
		return nil, err
	}
	s.products = demo.Definitions(authentication, echo)
	return s, nil
}

// start serves where last says, or, when that is taken, on any free port.
func (s *samples) start(ctx context.Context, last string, handler http.Handler) (url string, err error) {
	address := strings.TrimPrefix(last, "http://")
	if !isLoopbackAddress(address) {
		address = "127.0.0.1:0"
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		listener, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return "", fmt.Errorf("start a sample product: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	s.servers = append(s.servers, server)
	s.running.Go(func() { _ = server.Serve(listener) })
	return "http://" + listener.Addr().String(), nil
}

func (s *samples) stop() {
	for _, server := range s.servers {
		_ = server.Close()
	}
	s.running.Wait()
}
