package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// crowd is how many connections each node has here: so many that it always has a
// request, although the load has no core of its own.
const crowd = 4 * connections

// twoNodes measures what a token costs when two nodes on one database issue at
// full load, each on a core of its own, against what it costs when one of them
// does so alone. Two cores of a machine are seldom as fast at one time as one
// of them, whoever works there; so it is also held against two strangers, each with a
// database of its own, and what remains is what the nodes cost each other. The
// load has no core left then and shares that of the second: it is not in the
// figures, which are of the servers' own time.
func twoNodes(ctx context.Context, b *bench) (out result, err error) {
	o := b.ordinary()
	o.shared = true
	err = b.withInstallation(ctx, o, func(in *installation) (err error) {
		here, err := in.start(ctx, b.cores)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, here.stop()) }()
		there, err := b.startBeside(ctx, in)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, there.stop()) }()
		return b.withInstallation(ctx, o, func(in *installation) (err error) {
			stranger, err := in.start(ctx, cores{server: b.cores.load, load: b.cores.load})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, stranger.stop()) }()
			alone, err := together(ctx, b.cores, "one-node", here)
			if err != nil {
				return err
			}
			strangers, err := together(ctx, b.cores, "two-strangers", here, stranger)
			if err != nil {
				return err
			}
			both, err := together(ctx, b.cores, "two-nodes", here, there)
			if err != nil {
				return err
			}
			out.series, err = alternate(ctx, b.plan, b.log, alone, strangers, both)
			if err == nil {
				nodes := out.series[2].Median.CPU
				out.figures = map[string]float64{"two nodes/one node": nodes / out.series[0].Median.CPU, "two nodes/two strangers": nodes / out.series[1].Median.CPU}
			}
			return err
		})
	})
	return out, err
}

// startBeside starts another node of an installation on the other core.
func (b *bench) startBeside(ctx context.Context, in *installation) (*running, error) {
	o := order{dir: filepath.Join(in.dir, "beside"), binary: b.binary, beside: in}
	if err := os.Mkdir(o.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	second, err := b.seed(ctx, o)
	if err != nil {
		return nil, err
	}
	second.clients = in.clients
	return second.start(ctx, cores{server: b.cores.load, load: b.cores.load})
}

// together is the contestant of several nodes that answer their loads at one
// time. Its round counts when both cores were busy. Each request is made once
// before.
func together(ctx context.Context, c cores, name string, nodes ...*running) (contestant, error) {
	loads := make([]load, len(nodes))
	for i, node := range nodes {
		requests := tokenRequests(node.api, node.tokenPath, node.clients)
		if err := runAll(ctx, load{address: node.api, connections: connections, status: 200, next: once(requests)}); err != nil {
			return contestant{}, err
		}
		loads[i] = load{address: node.api, connections: crowd, status: 200, next: inTurn(requests)}
	}
	return contestant{name: name, round: func(_ context.Context, p plan) (r round, err error) {
		generators := make([]*generator, len(nodes))
		for i := range generators {
			if generators[i], err = dial(loads[i]); err != nil {
				return round{}, err
			}
			defer func() { err = cmp.Or(err, generators[i].close()) }()
		}
		warm := p
		warm.length = p.warmUp
		if _, err := runTogether(c, nodes, generators, warm); err != nil {
			return round{}, err
		}
		return runTogether(c, nodes, generators, p)
	}}, nil
}

func runTogether(c cores, nodes []*running, generators []*generator, p plan) (sum round, err error) {
	before, after := make([]meter, len(nodes)), make([]meter, len(nodes))
	outcomes, failed := make([]outcome, len(nodes)), make([]error, len(nodes))
	for i, node := range nodes {
		if before[i], err = readMeter(c, node.pid()); err != nil {
			return sum, err
		}
	}
	var running sync.WaitGroup
	for i, g := range generators {
		running.Go(func() { outcomes[i], failed[i] = g.run(p.length) })
	}
	running.Wait()
	if err := errors.Join(failed...); err != nil {
		return sum, err
	}
	var requests uint64
	var spent float64 // microseconds of the servers
	for i, node := range nodes {
		if after[i], err = readMeter(c, node.pid()); err != nil {
			return sum, err
		}
		requests += outcomes[i].requests
		spent += micros(after[i].cpu - before[i].cpu)
	}
	sum = after[0].round(before[0], requests)
	sum.CPU = spent / float64(max(requests, 1))
	sum.P50, sum.P99 = micros(outcomes[0].times.quantile(0.50)), micros(outcomes[0].times.quantile(0.99))
	if len(nodes) > 1 { // the load's core is the second node's
		sum.ServerBusy, sum.LoadBusy = min(sum.ServerBusy, sum.LoadBusy), 0
	}
	return sum, nil
}
