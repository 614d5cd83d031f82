package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"
)

// tokens holds issuing against the plain issuer.
func tokens(ctx context.Context, b *bench) (out result, err error) {
	err = b.withProduct(ctx, b.ordinary(), func(p *running, _ netip.AddrPort) (err error) {
		sample, err := p.issue(ctx, 1)
		if err != nil {
			return err
		}
		plain, err := serve(b.cores.server, "plain-issuer", sample[0])
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, plain.stop()) }()
		if err := sameAnswers(ctx, p, plain.address); err != nil {
			return err
		}
		requests := tokenRequests(p.api, p.tokenPath, p.clients)
		var perRequest float64
		out.series, perRequest, err = versus(ctx, b, p, requests,
			loaded(b.cores, "plain-issuer", plain.pid(), steady(plain.address, tokenRequests(plain.address, p.tokenPath, p.clients))))
		if err != nil {
			return err
		}
		ceiling, product := out.series[0].Median, out.series[1].Median
		out.figures = map[string]float64{
			"tokens/plain-issuer":   ceiling.CPU / product.CPU,
			"tokens p99/p50":        product.P99 / product.P50,
			"tokens SQL statements": perRequest,
		}
		return nil
	})
	return out, err
}

// versus alternates a ceiling and the product on the same requests in every
// round, and also returns the SQL statements per request of the product. Each
// request is made once before, so that what is cold is not counted.
func versus(ctx context.Context, b *bench, p *running, requests [][]byte, ceiling contestant) ([]series, float64, error) {
	once := load{address: p.api, connections: connections, status: 200, next: once(requests)}
	if err := runAll(ctx, once); err != nil {
		return nil, 0, err
	}
	var statements, answered float64
	product := loaded(b.cores, "doorward", p.pid(), steady(p.api, requests))
	counted := contestant{name: product.name, round: func(ctx context.Context, plan plan) (round, error) {
		if err := p.emptyLog(); err != nil {
			return round{}, err
		}
		before, err := p.statements(ctx)
		if err != nil {
			return round{}, err
		}
		r, err := product.round(ctx, plan)
		if err != nil {
			return r, err
		}
		after, err := p.statements(ctx)
		statements += after - before
		answered += float64(r.Requests)
		return r, err
	}}
	found, err := alternate(ctx, b.plan, b.log, ceiling, counted)
	return found, statements / max(answered, 1), err
}

// sameAnswers makes sure that the ceiling writes what the product writes.
func sameAnswers(ctx context.Context, p *running, plain netip.AddrPort) error {
	var sizes [2]int
	for i, to := range []netip.AddrPort{p.api, plain} {
		l := load{
			address: to, connections: 1, status: 200,
			next:     once(tokenRequests(to, p.tokenPath, p.clients[:1])),
			answered: func(_ time.Duration, body []byte) { sizes[i] = len(body) },
		}
		if err := runAll(ctx, l); err != nil {
			return err
		}
	}
	if difference := sizes[0] - sizes[1]; difference*difference > 16*16 {
		return fmt.Errorf("the product answers %d bytes, the plain issuer %d: make the plain issuer's claims those of the product", sizes[0], sizes[1])
	}
	return nil
}

// millionTokens checks that issuing leaves no row behind. Each client asks once
// before, so that what is kept per client is there. The product is stopped for
// both readings: then the write-ahead log is in the database file.
func millionTokens(ctx context.Context, b *bench) (out result, err error) {
	err = b.withInstallation(ctx, b.ordinary(), func(in *installation) error {
		before, err := issueAndMeasure(ctx, b, in, len(in.clients))
		if err != nil {
			return err
		}
		after, err := issueAndMeasure(ctx, b, in, b.sizes.millionTokens)
		if err != nil {
			return err
		}
		b.log("  %d bytes before, %d after", before, after)
		out.figures = map[string]float64{"database growth": float64(after - before)}
		return nil
	})
	return out, err
}

// issueAndMeasure runs the product for n tokens and returns the size of the
// database after it has stopped.
func issueAndMeasure(ctx context.Context, b *bench, in *installation, n int) (int64, error) {
	p, err := in.start(ctx, b.cores)
	if err != nil {
		return 0, err
	}
	requests := times(n, tokenRequests(p.api, p.tokenPath, p.clients))
	err = runAll(ctx, load{address: p.api, connections: connections, status: 200, next: once(requests)})
	if err := errors.Join(err, p.stop()); err != nil {
		return 0, err
	}
	size, err := in.databaseSize()
	if err == nil && size == 0 {
		return 0, fmt.Errorf("there is no database in %v: %w", in.database, os.ErrNotExist)
	}
	return size, err
}
