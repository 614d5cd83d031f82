package main

import (
	"context"
	"errors"
	"net/netip"
)

// callsWarm holds authorised calls, with tokens seen before, against the bare proxy.
func callsWarm(ctx context.Context, b *bench) (out result, err error) {
	err = b.withProxies(ctx, func(p *running, proxy *service) error {
		tokens, err := p.issue(ctx, len(p.clients))
		if err != nil {
			return err
		}
		var perRequest float64
		out.series, perRequest, err = versus(ctx, b, p, callRequests(p.api, p.callPath, tokens), bareCalls(b, p, proxy, tokens))
		if err != nil {
			return err
		}
		out.figures = map[string]float64{
			"calls-warm/bare-proxy":     out.series[0].Median.CPU / out.series[1].Median.CPU,
			"calls-warm SQL statements": perRequest,
		}
		return nil
	})
	return out, err
}

// callsNewToken does the same with a token that the product has never seen on
// every call. They are issued before each round.
func callsNewToken(ctx context.Context, b *bench) (out result, err error) {
	err = b.withProxies(ctx, func(p *running, proxy *service) error {
		tokens, err := p.issue(ctx, len(p.clients))
		if err != nil {
			return err
		}
		fresh := func(ctx context.Context) (load, error) {
			if err := p.emptyLog(); err != nil {
				return load{}, err
			}
			tokens, err := p.issue(ctx, b.sizes.newTokens)
			if err != nil {
				return load{}, err
			}
			requests := callRequests(p.api, p.callPath, tokens)
			return load{address: p.api, connections: connections, status: 200, next: once(requests)}, nil
		}
		out.series, err = alternate(ctx, b.plan, b.log, bareCalls(b, p, proxy, tokens), loaded(b.cores, "doorward", p.pid(), fresh))
		if err != nil {
			return err
		}
		out.figures = map[string]float64{"calls-new-token/bare-proxy": out.series[0].Median.CPU / out.series[1].Median.CPU}
		return nil
	})
	return out, err
}

// bareCalls is the bare proxy on the product's own requests.
func bareCalls(b *bench, p *running, proxy *service, tokens []string) contestant {
	return loaded(b.cores, "bare-proxy", proxy.pid(), steady(proxy.address, callRequests(proxy.address, p.callPath, tokens)))
}

// withProxies runs the product and the bare proxy in front of one upstream.
func (b *bench) withProxies(ctx context.Context, use func(p *running, proxy *service) error) error {
	return b.withProduct(ctx, b.ordinary(), func(p *running, upstream netip.AddrPort) (err error) {
		proxy, err := serve(b.cores.server, "bare-proxy", upstream.String())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, proxy.stop()) }()
		return use(p, proxy)
	})
}
