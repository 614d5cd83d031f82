package main

import (
	"context"
	"errors"
	"strings"
)

// ceilings checks the ceilings themselves: a slow one would flatter the product.
func ceilings(ctx context.Context, b *bench) (result, error) {
	issuing, err := issuingCeiling(ctx, b)
	if err != nil {
		return result{series: issuing}, err
	}
	calling, err := callingCeiling(ctx, b)
	all := append(issuing, calling...)
	if err != nil {
		return result{series: all}, err
	}
	return result{series: all, figures: map[string]float64{
		"plain-issuer/signatures": issuing[0].Median.CPU / issuing[1].Median.CPU,
		"bare-proxy/bare-handler": calling[0].Median.CPU / calling[1].Median.CPU,
	}}, nil
}

func issuingCeiling(ctx context.Context, b *bench) (_ []series, err error) {
	plain, err := serve(b.cores.server, "plain-issuer", "")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, plain.stop()) }()
	requests := tokenRequests(plain.address, "/token", sampleClients(b.sizes.clients))
	return alternate(ctx, b.plan, b.log,
		signing(b.cores, randomised),
		loaded(b.cores, "plain-issuer", plain.pid(), steady(plain.address, requests)),
		signing(b.cores, deterministic),
	)
}

func callingCeiling(ctx context.Context, b *bench) (_ []series, err error) {
	up, err := serve(b.cores.load, "upstream")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, up.stop()) }()
	proxy, err := serve(b.cores.server, "bare-proxy", up.address.String())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, proxy.stop()) }()
	handler, err := serve(b.cores.server, "bare-handler")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, handler.stop()) }()
	token := []string{strings.Repeat("x", 800)}
	return alternate(ctx, b.plan, b.log,
		loaded(b.cores, "bare-handler", handler.pid(), steady(handler.address, callRequests(handler.address, "/echo/speed", token))),
		loaded(b.cores, "bare-proxy", proxy.pid(), steady(proxy.address, callRequests(proxy.address, "/echo/speed", token))),
	)
}

// sampleClients are credentials of the product's form that nobody checks.
func sampleClients(n int) []credential {
	out := make([]credential, n)
	for i := range out {
		out[i] = credential{id: sampleClaims.ClientID, secret: "dw_s_0123456789ab_" + strings.Repeat("x", 35)}
	}
	return out
}
