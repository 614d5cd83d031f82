package main

import (
	"context"
	mathrand "math/rand/v2"
	"net/netip"
)

// skewOfClients is how unevenly clients ask for tokens here and in the
// simulation. Each asks again when its token ends, however many calls it makes
// with it, so that tokens are asked for more evenly than calls are made.
const skewOfClients = 0.7

// The product's own counts of look-ups in its directory of clients.
const (
	hitMetric  = "doorward_directory_hits_total"
	missMetric = "doorward_directory_misses_total"
)

// hitRate measures how many of the clients that ask for tokens are in memory,
// when a million ask as unevenly as a Zipf distribution says. What make simulate
// comes to is held against it.
func hitRate(ctx context.Context, b *bench) (out result, err error) {
	all := b.sizes.millionClient
	o := order{clients: all, keep: all, entries: b.sizes.entries}
	err = b.withProduct(ctx, o, func(p *running, _ netip.AddrPort) error {
		ranks := newZipf(mathrand.New(mathrand.NewPCG(7, 7)), all, skewOfClients) //nolint:gosec // no secret
		asks := func(n int) (hits, misses float64, err error) {
			next := func() []byte {
				if n--; n < 0 {
					return nil
				}
				return tokenRequest(p.api, p.tokenPath, p.clients[ranks.next()-1], "")
			}
			if err := runAll(ctx, load{address: p.api, connections: connections, status: 200, next: next}); err != nil {
				return 0, 0, err
			}
			return p.lookups(ctx)
		}
		hits, misses, err := asks(roundsToSettle * b.sizes.entries)
		if err != nil {
			return err
		}
		hitsAfter, missesAfter, err := asks(2 * b.sizes.entries)
		hits, misses = hitsAfter-hits, missesAfter-misses
		out.figures = map[string]float64{"million clients hit rate": 100 * hits / max(hits+misses, 1)}
		return err
	})
	return out, err
}

// roundsToSettle is how many look-ups there are for each entry of a memory
// before its hits are counted.
const roundsToSettle = 6

// lookups returns how often the product found a client in memory, and how often
// it did not.
func (r *running) lookups(ctx context.Context) (hits, misses float64, err error) {
	text, err := get(ctx, r.metrics)
	if err != nil {
		return 0, 0, err
	}
	if hits, err = sumOfMetric(text, hitMetric); err != nil {
		return 0, 0, err
	}
	misses, err = sumOfMetric(text, missMetric)
	return hits, misses, err
}
