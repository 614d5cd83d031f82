// Command doorward is the front door of a company that sells APIs: the token
// service, the gateway and what operates them, in one binary.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	// The table of the heap profile takes a megabyte and a half, and nobody can read it but by ops.pprof.
	runtime.MemProfileRate = 0
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program without the process; it returns an exit code. The
// context's end is the signal to stop.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot(args)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	started := false
	markStart(root, &started)
	err := root.ExecuteContext(ctx)
	if err != nil && !started {
		err = usageError{err} // cobra's own: of arguments and flags
	}
	code := exitCode(ctx, err)
	if err != nil && code != exitInterrupted {
		fmt.Fprintf(stderr, "%s %v\n", paint(stderr, red, "doorward:"), err)
	}
	return code
}

// markStart notes that a command began, after its arguments were found good.
func markStart(cmd *cobra.Command, started *bool) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*started = true
			return run(cmd, args)
		}
	}
	for _, child := range cmd.Commands() {
		markStart(child, started)
	}
}

// newRoot is the whole command line; for a server only its own command, since
// what the others know of the management API would stay in memory.
func newRoot(args []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "doorward",
		Short: "The front door of your APIs: tokens, permissions and a gateway on one domain",
		Long: `Doorward issues access tokens to API clients and lets their calls through to
your API products with exactly the permissions they were given.

  Start here:    doorward dev
  In production: doorward serve --config doorward.yaml
  As a customer: doorward login --url https://api.example.com --client-id …`,
		SilenceUsage: true, SilenceErrors: true,
	}
	if len(args) > 0 && args[0] == "serve" {
		root.AddCommand(newServe())
		return root
	}
	for _, group := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Run the server", []*cobra.Command{newDev(), newServe(), newMigrate(), newBackup(&printer{}), newRestore(&printer{}), newOperator(&printer{}), newDoctor()}},
		{"Call APIs", []*cobra.Command{newLogin(), newLogout(), newToken(), newCall(), newExplain()}},
		{"Manage", append(newNouns(), newApply(), newExport())},
	} {
		root.AddGroup(&cobra.Group{ID: group.title, Title: group.title + ":"})
		for _, command := range group.commands {
			command.GroupID = group.title
			root.AddCommand(command)
		}
	}
	root.AddCommand(newVersion(), newMan(root))
	return root
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
