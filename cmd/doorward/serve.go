package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/sqldb"
)

func newServe() *cobra.Command {
	var path string
	var check bool
	cmd := &cobra.Command{
		Use: "serve --config FILE", Short: "Run the server for production", Args: cobra.NoArgs,
		Long: `Run the server that FILE describes, until it gets SIGTERM or SIGINT; calls in
flight then finish within grace_time. docs/doorward.example.yaml lists every setting.`,
		Example: "  doorward serve --config doorward.yaml --check   # validate and exit\n  doorward serve --config doorward.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := server.LoadConfig(path, os.Environ())
			if err != nil {
				return err
			}
			if check {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is good; products: %d, database: %s\n", path, len(config.Products), engineOf(config.Database))
				return err
			}
			if config.Ops.Pprof {
				runtime.MemProfileRate = 512 << 10 // the runtime's own
			}
			logger := slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), nil))
			return serve(cmd.Context(), config, logger, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "the configuration file (YAML)")
	cmd.Flags().BoolVar(&check, "check", false, "validate the configuration and exit")
	_ = cmd.MarkFlagRequired("config") // fails only for a flag that does not exist
	return cmd
}

// engineOf tells the engine without the rest of the URL, which may hold a
// password.
func engineOf(database string) string {
	for i := range len(database) {
		if database[i] == ':' {
			return database[:i]
		}
	}
	return database
}

func serve(ctx context.Context, config server.Config, logger *slog.Logger, console io.Writer) error {
	s, err := server.Open(ctx, config, logger)
	if err != nil {
		return err
	}
	listeners, err := config.Listen(ctx)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	if err := offerSetUp(ctx, s, console); err != nil {
		listeners.Close()
		return errors.Join(err, s.Close())
	}
	logger.Info("serving", "version", version(), "api", listeners.API.Addr().String(), "dashboard", listeners.Dashboard.Addr().String(), "ops", listeners.Ops.Addr().String())
	err = s.Serve(ctx, listeners)
	return errors.Join(err, s.Close())
}

// offerSetUp prints where the first operator admin is made. Only who sees the
// console can do it.
func offerSetUp(ctx context.Context, s *server.Server, console io.Writer) error {
	url, needed, err := s.SetUpURL(ctx)
	if err != nil || !needed {
		return err
	}
	_, err = fmt.Fprintf(console, "Nobody administers this installation yet. Become its first operator admin here, within a day:\n\n  %s\n\n", url)
	return err
}

func newMigrate() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use: "migrate --config FILE", Short: "Bring the database's schema up to this binary", Args: cobra.NoArgs,
		Long: `Bring the schema of the database that FILE names up to this binary. On PostgreSQL
serve never does it by itself, so that a rolling restart decides when. Servers may run
meanwhile: what would break one of them is left out, and said; run it again when
all servers have the new binary.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := server.LoadConfig(path, os.Environ())
			if err != nil {
				return err
			}
			waiting, err := server.Migrate(cmd.Context(), config.Database)
			if err != nil {
				return err
			}
			return printMigrated(cmd.OutOrStdout(), waiting)
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "the configuration file (YAML)")
	_ = cmd.MarkFlagRequired("config") // fails only for a flag that does not exist
	return cmd
}

func printMigrated(out io.Writer, waiting []sqldb.Waiting) error {
	if len(waiting) == 0 {
		_, err := fmt.Fprintln(out, "the database is up to date")
		return err
	}
	fmt.Fprintln(out, "the database is ready for this binary")
	for _, w := range waiting {
		fmt.Fprintf(out, "migration %d waits for servers that need what it removes: %s\n", w.Migration, strings.Join(w.Servers, ", "))
	}
	_, err := fmt.Fprintln(out, "restart them with this binary, then run doorward migrate again")
	return err
}
