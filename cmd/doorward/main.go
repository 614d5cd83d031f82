// Command doorward is the front door of a company that sells APIs: the token
// service, the gateway and what operates them, in one binary.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program without the process: 0 for success, 1 when it failed.
// The context's end is the signal to stop.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:   "doorward",
		Short: "The front door of your APIs: tokens, permissions and a gateway on one domain",
		Long: `Doorward issues access tokens to API clients and lets their calls through to
your API products with exactly the permissions they were given.

Start here:    doorward dev
In production: doorward serve --config doorward.yaml`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(newDev(), newServe(), newMigrate(), newVersion())
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(stderr, "doorward: %v\n", err)
		return 1
	}
	return 0
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "doorward", version())
			return err
		},
	}
}

// version is the module's, with the Go release that built the binary.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version + " " + info.GoVersion
}
