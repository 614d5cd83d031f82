// Package egress sends HTTP requests to addresses that others chose: targets
// of webhooks, documents of identity providers. It keeps such a request out of
// the network in which the server stands.
//
// It hides which addresses are public. What must stay true: the address is
// checked when the connection is dialled, whatever the name said before, so
// that a name which resolves to something else a moment later gains nothing;
// each redirect is checked like the first target; no proxy of the environment
// stands between, because it would dial for us; and an answer costs no more
// than the limits allow.
//
// IANA special-purpose registries: https://www.iana.org/assignments/iana-ipv4-special-registry
// and https://www.iana.org/assignments/iana-ipv6-special-registry.
package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Defaults of a [Config].
const (
	DefaultTimeout  = 10 * time.Second
	DefaultMaxBytes = 64 << 10
	maxHeaderBytes  = 16 << 10
)

// Config is what a Client works with. The zero value reaches public addresses
// by HTTPS, follows no redirect, and takes 64 KiB within ten seconds.
type Config struct {
	Policy       Policy
	Timeout      time.Duration // of a whole request with its answer; 0: DefaultTimeout
	MaxBytes     int64         // of an answer's body; 0: DefaultMaxBytes
	MaxRedirects int           // 0: a redirect is returned as the answer that it is
	TLS          *tls.Config   // nil: the system's roots
	Resolver     *net.Resolver // nil: the system's
}

// Client sends requests. It is safe for concurrent use.
type Client struct {
	config Config
	http   *http.Client
}

// Response is an answer that was read to its end.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// ErrRefused says that a target is one that the policy keeps from being
// reached. Its text names no address: what a name resolves to inside is
// nothing for whoever chose the name.
var ErrRefused = errors.New("the target is not a public address")

// ErrTooLarge says that an answer was longer than MaxBytes.
var ErrTooLarge = errors.New("the answer is too long")

// New returns a Client.
func New(config Config) *Client {
	if config.Timeout <= 0 {
		config.Timeout = DefaultTimeout
	}
	if config.MaxBytes <= 0 {
		config.MaxBytes = DefaultMaxBytes
	}
	c := &Client{config: config}
	dialer := &net.Dialer{Timeout: config.Timeout, Resolver: config.Resolver, ControlContext: c.control}
	c.http = &http.Client{
		CheckRedirect: c.checkRedirect,
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, TLSClientConfig: config.TLS, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: config.Timeout, MaxResponseHeaderBytes: maxHeaderBytes,
			DisableCompression: true, // a small answer stays small
			MaxIdleConns:       100, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
		},
	}
	return c
}

// Close closes the connections that are kept for later.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Do sends a request and reads the whole answer. A target that the policy
// refuses is ErrRefused, at once or when it is dialled.
func (c *Client) Do(r *http.Request) (*Response, error) {
	if err := c.config.Policy.Check(r.URL.String()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), c.config.Timeout)
	defer cancel()
	answer, err := c.http.Do(r.WithContext(ctx)) //nolint:gosec // G704: going where others say is what this package makes safe
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, c.config.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if int64(len(body)) > c.config.MaxBytes {
		return nil, ErrTooLarge
	}
	return &Response{Status: answer.StatusCode, Header: answer.Header, Body: body}, nil
}

// control sees each address that is about to be dialled, resolved by then.
func (c *Client) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || (network != "tcp4" && network != "tcp6") || !c.config.Policy.allows(at.Addr()) {
		return ErrRefused
	}
	return nil
}

func (c *Client) checkRedirect(r *http.Request, via []*http.Request) error {
	switch {
	case c.config.MaxRedirects == 0:
		return http.ErrUseLastResponse
	case len(via) > c.config.MaxRedirects:
		return fmt.Errorf("the target redirects more than %d times", c.config.MaxRedirects)
	}
	return c.config.Policy.Check(r.URL.String())
}
