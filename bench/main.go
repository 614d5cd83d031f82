// Command bench measures the whole product against ceilings of the same run,
// and exits 1 when a floor is missed.
//
// The measured process has one core to itself; the load generator and the
// upstream share another. A ceiling and the product are measured in alternating
// rounds of one run, and the judged figure is a ratio of server CPU time per
// request: a ratio holds on another machine, requests per second do not.
// docs/performance.md explains the figures; the table of floors is in floor.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// childArgument makes this program one of its own children.
const childArgument = "child"

// roles are what a child may be. The first argument of each is the role's own.
var roles = map[string]func(ctx context.Context, stdout io.Writer, args []string) error{
	"plain-issuer": servePlainIssuer,
	"bare-proxy":   serveBareProxy,
	"bare-handler": serveBareHandler,
	"upstream":     serveUpstream,
	"signatures":   signBare,
}

// errMissed is how a run ends that measured everything and missed a floor.
var errMissed = errors.New("a floor was missed, or the run was not a judged one")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := dispatch(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 1 && args[0] == childArgument {
		role, ok := roles[args[1]]
		if !ok {
			return fmt.Errorf("there is no role %q", args[1])
		}
		// A child ends by SIGTERM; an interrupt is for the parent to handle.
		signal.Ignore(os.Interrupt)
		return role(context.WithoutCancel(ctx), stdout, args[2:])
	}
	if len(args) > 0 && args[0] == "simulate" {
		return simulate(ctx, args[1:], stdout, stderr)
	}
	return orchestrate(ctx, args, stdout, stderr)
}

// options are what the command line says.
type options struct {
	run, binary, out   string
	quick, acceptNoise bool
	rounds             int
	length             time.Duration
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	flags.StringVar(&o.run, "run", "", "comma-separated `scenarios` to run, of "+strings.Join(names, ", ")+"; all if empty")
	flags.StringVar(&o.binary, "doorward", "../build/doorward", "`path` of the stripped product")
	flags.StringVar(&o.out, "out", "../build/bench.json", "`path` of the JSON report")
	flags.BoolVar(&o.quick, "quick", false, "short and small, for trying; never judged")
	flags.BoolVar(&o.acceptNoise, "accept-noise", false, "count every round, on a busy machine; never judged")
	flags.IntVar(&o.rounds, "rounds", roundsAtLeast, "counted rounds of each contestant; fewer than five are never judged")
	flags.DurationVar(&o.length, "length", fullPlan.length, "length of a round; less than 3 s is never judged")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	binary, err := filepath.Abs(o.binary)
	o.binary = binary
	return o, err
}

// bench makes the bench of these options, and reports whether it is judged.
func (o options) bench(c cores, seed seeder, stderr io.Writer) (*bench, bool) {
	b := &bench{cores: c, plan: fullPlan, sizes: fullSizes, binary: o.binary, seed: seed}
	b.plan.rounds, b.plan.attempts, b.plan.length = o.rounds, 4*o.rounds, o.length
	if o.quick {
		b.plan, b.sizes = quickPlan, quickSizes
	}
	b.plan.acceptNoise = o.acceptNoise
	b.log = func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }
	return b, !o.quick && !o.acceptNoise && o.rounds >= roundsAtLeast && o.length >= 3*time.Second
}

// orchestrate runs the chosen scenarios, prints the tables and writes the report.
func orchestrate(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	chosen, err := choose(o.run)
	if err != nil {
		return err
	}
	c, err := pinned()
	if err != nil {
		return err
	}
	b, judged := o.bench(c, seedProduct, stderr)
	r := newReport(judged)
	b.run(ctx, chosen, r)
	if err := errors.Join(r.print(stdout), r.write(o.out)); err != nil {
		return err
	}
	if !r.passed() {
		return errMissed
	}
	return nil
}
