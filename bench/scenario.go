package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"
)

// A scenario measures some of the figures in the table of floors.
type scenario struct {
	name string
	run  func(ctx context.Context, b *bench) (result, error)
}

// A result is what one scenario found.
type result struct {
	series  []series
	figures map[string]float64
}

// scenarios in the order in which they run: cheap ones first.
var scenarios = []scenario{
	{"binary-size", binarySize},
	{"start-empty", startEmpty},
	{"start-again", startAgain},
	{"memory-idle", memoryIdle},
	{"ceilings", ceilings},
	{"tokens", tokens},
	{"two-nodes", twoNodes},
	{"calls-warm", callsWarm},
	{"calls-new-token", callsNewToken},
	{"memory-load", memoryLoad},
	{"timing", timing},
	{"million-tokens-same-size", millionTokens},
	{"million-clients", millionClients},
	{"million-clients-hits", hitRate},
}

// choose returns the scenarios of a comma-separated list; empty means all.
func choose(list string) ([]scenario, error) {
	if list == "" {
		return scenarios, nil
	}
	var out []scenario
	for name := range strings.SplitSeq(list, ",") {
		found := false
		for _, s := range scenarios {
			if s.name == name {
				out, found = append(out, s), true
			}
		}
		if !found {
			return nil, fmt.Errorf("there is no scenario %q", name)
		}
	}
	return out, nil
}

// A bench is what the scenarios share.
type bench struct {
	cores  cores
	plan   plan
	sizes  sizes
	binary string
	seed   seeder
	log    func(format string, args ...any)
}

// sizes are the numbers that a trial run makes smaller.
type sizes struct {
	clients       int           // that ask for tokens in turn
	newTokens     int           // prepared for each round of calls-new-token
	starts        int           // measured starts
	settle        time.Duration // before idle memory is read
	timings       int           // per case of TOK-23
	millionTokens int
	millionClient int // clients in the database
	coldClients   int // of them, asked for the first time one after another
	filling       int // of them, asked for to fill the caches
	entries       int // clients in memory, when hits are counted
}

var (
	fullPlan  = plan{rounds: roundsAtLeast, attempts: 4 * roundsAtLeast, length: 4 * time.Second, warmUp: 500 * time.Millisecond}
	fullSizes = sizes{
		clients: 1000, newTokens: 70_000, starts: 7, settle: 3 * time.Second, timings: 2000,
		millionTokens: 1_000_000, millionClient: 1_000_000, coldClients: 2000, filling: 200_000, entries: 50_000,
	}
	quickPlan  = plan{rounds: 2, attempts: 4, length: time.Second, warmUp: 200 * time.Millisecond}
	quickSizes = sizes{
		clients: 1000, newTokens: 20_000, starts: 2, settle: time.Second, timings: 300,
		millionTokens: 20_000, millionClient: 20_000, coldClients: 200, filling: 5000, entries: 1000,
	}
)

// run measures the scenarios one after another. The failure of one is noted in
// the report and does not stop the others.
func (b *bench) run(ctx context.Context, chosen []scenario, r *report) {
	for _, s := range chosen {
		b.log("%s", s.name)
		began := time.Now()
		found, err := s.run(ctx, b)
		entry := scenarioReport{Name: s.name, Series: found.series}
		if err != nil {
			entry.Error = err.Error()
			b.log("  failed: %v", err)
		}
		for name, value := range found.figures {
			r.Figures[name] = value
			b.log("  %s = %.4g", name, value)
		}
		entry.Seconds = time.Since(began).Seconds()
		r.Scenarios = append(r.Scenarios, entry)
	}
	r.conclude()
}

// withProduct seeds an installation in a fresh folder with an upstream behind
// it, starts it, and stops both after use.
func (b *bench) withProduct(ctx context.Context, o order, use func(p *running, upstream netip.AddrPort) error) (err error) {
	up, err := serve(b.cores.load, "upstream")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, up.stop()) }()
	o.upstream = up.address
	return b.withInstallation(ctx, o, func(in *installation) (err error) {
		p, err := in.start(ctx, b.cores)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.stop()) }()
		return use(p, up.address)
	})
}

// withInstallation seeds one in a fresh folder, which is removed after use.
func (b *bench) withInstallation(ctx context.Context, o order, use func(in *installation) error) (err error) {
	o.dir, err = os.MkdirTemp("", "doorward-bench-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	o.binary = b.binary
	began := time.Now()
	in, err := b.seed(ctx, o)
	if err != nil {
		return fmt.Errorf("seed the installation: %w", err)
	}
	if o.clients > 0 {
		b.log("  seeded %d clients in %.1f s", o.clients, time.Since(began).Seconds())
	}
	if in.drop != nil {
		defer func() { err = errors.Join(err, in.drop()) }()
	}
	return use(in)
}

// ordinary is the order of most scenarios: a thousand clients.
func (b *bench) ordinary() order { return order{clients: b.sizes.clients, keep: b.sizes.clients} }

// steady is a load that repeats the same requests in every round.
func steady(to netip.AddrPort, requests [][]byte) func(context.Context) (load, error) {
	return func(context.Context) (load, error) {
		return load{address: to, connections: connections, status: 200, next: inTurn(requests)}, nil
	}
}
