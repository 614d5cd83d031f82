package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// negligibleEffect is the bound of Cliff's delta below which two distributions
// are called the same (Romano and others, 2006). With 2,000 timings of each the
// standard error of delta is 0.018, so chance alone stays far below the bound.
const negligibleEffect = 0.147

// refusals are the cases that a caller must not be able to tell apart by time
// (TOK-23).
var refusals = [3]string{"unknown client", "wrong secret", "disabled client"}

// timing interleaves the refusals at random on one connection and compares the
// distributions pair by pair. Each case has as many clients, all asked for once
// before. Every secret is well made: what a stranger invents never gets as far.
func timing(ctx context.Context, b *bench) (out result, err error) {
	o := b.ordinary()
	o.disabled = o.clients
	err = b.withProduct(ctx, o, func(p *running, _ netip.AddrPort) error {
		cases, err := refusedCredentials(p.clients, p.disabled)
		if err != nil {
			return err
		}
		if _, err := timeRefusals(ctx, p, cases, o.clients); err != nil {
			return err
		}
		took, err := timeRefusals(ctx, p, cases, b.sizes.timings)
		if err != nil {
			return err
		}
		out.figures = map[string]float64{"TOK-23 effect": compare(took, b.log)}
		return nil
	})
	return out, err
}

// refusedCredentials lists the credentials of each case.
func refusedCredentials(clients, disabled []credential) ([3][]credential, error) {
	var cases [3][]credential
	known := make(map[string]bool)
	for _, c := range slices.Concat(clients, disabled) {
		known[c.id] = true
	}
	for i, c := range clients {
		other := clients[(i+1)%len(clients)].secret
		if unknown := c.id + "7"; !known[unknown] {
			cases[0] = append(cases[0], credential{unknown, other})
		}
		cases[1] = append(cases[1], credential{c.id, other})
	}
	cases[2] = disabled
	for i, c := range cases {
		if len(c) == 0 {
			return cases, fmt.Errorf("the installation has no credentials for the case %s", refusals[i])
		}
	}
	return cases, nil
}

// timeRefusals times n requests of each case in random order. Each comes from an
// address of its own, so that failures do not add up to a throttle.
func timeRefusals(ctx context.Context, p *running, cases [3][]credential, n int) ([3][]time.Duration, error) {
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) //nolint:gosec // an order, not a secret
	order := make([]int, 0, 3*n)
	for range n {
		order = append(order, 0, 1, 2)
	}
	random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	var used [3]int
	requests := make([][]byte, len(order))
	for i, which := range order {
		c := cases[which][used[which]%len(cases[which])]
		used[which]++
		from := fmt.Sprintf("X-Forwarded-For: 10.%d.%d.%d\r\n", random.IntN(256), random.IntN(256), random.IntN(256))
		requests[i] = tokenRequest(p.api, p.tokenPath, c, from)
	}
	var took [3][]time.Duration
	answered := 0
	err := runAll(ctx, load{
		address: p.api, connections: 1, status: 401, next: once(requests),
		answered: func(t time.Duration, _ []byte) {
			took[order[answered]] = append(took[order[answered]], t)
			answered++
		},
	})
	return took, err
}

// compare returns the largest effect between any two cases.
func compare(took [3][]time.Duration, log func(string, ...any)) float64 {
	var worst float64
	for i, times := range took {
		log("  %-16s median %7.1f µs of %d", refusals[i], micros(median(times)), len(times))
		for j, others := range took[:i] {
			delta := cliffsDelta(others, times)
			log("  %s against %s: Cliff's delta %+.3f", refusals[j], refusals[i], delta)
			worst = max(worst, math.Abs(delta))
		}
	}
	return worst
}

// cliffsDelta is the probability that a value of a is larger than one of b, less
// the probability that it is smaller: 0 for one distribution, ±1 for two that
// do not overlap.
func cliffsDelta(a, b []time.Duration) float64 {
	sorted := slices.Sorted(slices.Values(b))
	var sum int
	for _, v := range a {
		smaller, _ := slices.BinarySearch(sorted, v)
		notLarger, _ := slices.BinarySearch(sorted, v+1)
		sum += smaller - (len(sorted) - notLarger)
	}
	return float64(sum) / float64(len(a)*len(b))
}
