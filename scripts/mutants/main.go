// Command mutants breaks the guards of Doorward one by one and demands that a
// test notices. A mutant is a patch in testdata/mutants; CONTRIBUTING.md has
// its form. With names as arguments only those run.
//
// Everything happens in a copy of the tree. A mutant that does not apply, does
// not compile, or names a test that does not run or fails without the patch is
// an error, never a success.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, names []string) error {
	mutants, err := load("testdata/mutants", names)
	if err != nil {
		return err
	}
	copied, err := copyTree(ctx)
	if err != nil {
		return err
	}
	defer copied.remove()
	intact := copied.baselines(ctx, mutants)
	survived := 0
	for _, m := range mutants {
		verdict := intact[m.pkg]
		if verdict == nil {
			verdict = copied.mutate(ctx, m)
		}
		word := "red"
		if verdict != nil {
			survived++
			word = "ERROR " + verdict.Error()
		}
		fmt.Fprintf(out, "%-28s %-50s %s\n", m.name, m.guard, word)
	}
	if survived > 0 {
		return fmt.Errorf("%d of %d mutants were not noticed as they should be", survived, len(mutants))
	}
	return ctx.Err()
}
