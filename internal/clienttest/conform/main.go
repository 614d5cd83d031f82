// Command conform checks a client library, in any language, against the contract
// of docs/clients.md.
//
//	go run ./internal/clienttest/conform [flags] COMMAND [ARGUMENT…]
//
// COMMAND is a program that speaks the protocol of that page: it opens token
// sources, asks them for tokens and makes calls as it is told on standard input.
// Instead of a command, -specimen runs a client that is built in: "" is a good
// one, and each of the others has one fault.
//
// It ends with 0 if all rows that could be observed passed, else with 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/clienttest"
	"github.com/doorward/doorward/internal/clienttest/specimen"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, errFailed) {
			fmt.Fprintln(os.Stderr, "conform:", err)
		}
		os.Exit(1)
	}
}

var errFailed = errors.New("rows failed")

func run(ctx context.Context, arguments []string, in io.Reader, out, stderr io.Writer) error {
	flags := flag.NewFlagSet("conform", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, "Usage: conform [flags] COMMAND [ARGUMENT…]\n\nChecks the client that COMMAND starts against the contract of docs/clients.md.\n\n")
		flags.PrintDefaults()
	}
	redis := flags.String("redis", os.Getenv("DOORWARD_TEST_REDIS"), "host:port of a Redis for the rows that share tokens; default $DOORWARD_TEST_REDIS")
	only := flags.String("row", "", "names of the rows to check, separated by commas; default all")
	list := flags.Bool("list", false, "list the rows and their promises")
	fault := flags.String("specimen", "", "act as the built-in client with this `fault` on standard input and output; \"good\" is the one without")
	if err := flags.Parse(arguments); err != nil {
		return errFailed // flag has said what is wrong
	}
	rows, err := choose(*only)
	switch {
	case err != nil:
		return err
	case *list:
		for _, row := range rows {
			fmt.Fprintf(out, "%-22s %s\n", row.Name, row.Says)
		}
		return nil
	case *fault != "":
		return serve(*fault, in, out)
	case flags.NArg() == 0:
		flags.Usage()
		return errFailed
	}
	subject := clienttest.Subject{Command: flags.Args(), Redis: *redis, Stderr: stderr}
	verdicts, err := clienttest.Run(ctx, subject, rows)
	if failed := report(out, verdicts); failed && err == nil {
		return errFailed
	}
	return err
}

func choose(names string) ([]clienttest.Row, error) {
	all := clienttest.Rows()
	if names == "" {
		return all, nil
	}
	var rows []clienttest.Row
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(r clienttest.Row) bool { return r.Name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("no row is called %q; -list names them", name)
		}
		rows = append(rows, all[i])
	}
	return rows, nil
}

func serve(fault string, in io.Reader, out io.Writer) error {
	known := specimen.Fault(fault)
	if fault == "good" {
		known = ""
	} else if _, ok := specimen.Broken[known]; !ok {
		var names []string
		for name := range specimen.Broken {
			names = append(names, string(name))
		}
		slices.Sort(names)
		return fmt.Errorf("no specimen has the fault %q; use good or one of: %s", fault, strings.Join(names, "; "))
	}
	return specimen.Serve(known, in, out)
}

// report prints a line for each row; it tells whether one failed.
func report(out io.Writer, verdicts []clienttest.Verdict) bool {
	failed := false
	for _, v := range verdicts {
		failed = failed || v.Outcome == clienttest.Failed
		line := fmt.Sprintf("%-13s %s", v.Outcome, v.Row.Name)
		if v.Reason != "" {
			line += ": " + v.Reason
		}
		fmt.Fprintln(out, line)
	}
	return failed
}
