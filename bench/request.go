package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"time"
)

// tokenRequest is what a client sends to the token endpoint; extra are further
// header lines, each with its CR LF.
func tokenRequest(to netip.AddrPort, path string, c credential, extra string) []byte {
	form := "grant_type=client_credentials&scope=signicat-api&client_id=" + url.QueryEscape(c.id) + "&client_secret=" + url.QueryEscape(c.secret)
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
		path, to, extra, len(form), form)
}

// callRequest is an authorised call.
func callRequest(to netip.AddrPort, path, token string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\nAuthorization: Bearer %s\r\n\r\n", path, to, token)
}

func tokenRequests(to netip.AddrPort, path string, clients []credential) [][]byte {
	out := make([][]byte, len(clients))
	for i, c := range clients {
		out[i] = tokenRequest(to, path, c, "")
	}
	return out
}

func callRequests(to netip.AddrPort, path string, tokens []string) [][]byte {
	out := make([][]byte, len(tokens))
	for i, token := range tokens {
		out[i] = callRequest(to, path, token)
	}
	return out
}

// times returns n requests, the given ones in turn.
func times(n int, requests [][]byte) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = requests[i%len(requests)]
	}
	return out
}

// connections is the number of keep-alive connections of every load.
const connections = 32

// issue asks for n tokens, the clients in turn, and returns them.
func (r *running) issue(ctx context.Context, n int) ([]string, error) {
	if len(r.clients) == 0 {
		return nil, errors.New("the installation has no clients: nobody can ask for a token")
	}
	tokens := make([]string, 0, n)
	var bad error
	l := load{
		address: r.api, connections: connections, status: 200,
		next: once(times(n, tokenRequests(r.api, r.tokenPath, r.clients))),
		answered: func(_ time.Duration, body []byte) {
			token, err := accessToken(body)
			bad = errors.Join(bad, err)
			tokens = append(tokens, token)
		},
	}
	return tokens, errors.Join(runAll(ctx, l), bad)
}

// accessToken cuts the token out of an answer (RFC 6749 §5.1).
func accessToken(body []byte) (string, error) {
	_, rest, found := bytes.Cut(body, []byte(`"access_token":"`))
	token, _, closed := bytes.Cut(rest, []byte(`"`))
	if !found || !closed {
		return "", fmt.Errorf("the answer has no access_token: %.100s", body)
	}
	return string(token), nil
}

// runAll makes a load whose requests run out, and waits for the last answer.
func runAll(ctx context.Context, l load) (err error) {
	g, err := dial(l)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	if _, err := g.run(time.Hour); err != nil {
		return err
	}
	return ctx.Err()
}
