// Package tokensource fetches access tokens with the client credentials grant
// (RFC 6749 §4.4), keeps and renews them, and puts them on HTTP requests
// (RFC 6750 §2.1).
//
//	source, err := tokensource.New(tokensource.Config{
//		TokenURL:     "https://api.example.com/auth/open/connect/token",
//		ClientID:     "sandbox-round-apple-123",
//		ClientSecret: tokensource.Secret(os.Getenv("CLIENT_SECRET")),
//	})
//	client := &http.Client{Transport: source.Transport(nil)}
//
// However many goroutines ask, one token request is under way at a time. A token
// is renewed in the background well before it expires, so that who asks often
// never waits; a source that nobody asks does nothing, and needs no closing.
// Neither the secret nor a token ever appears in an error or in what is printed.
//
// docs/clients.md of the project is the contract in full. Tokens are shared among
// processes with the package redistoken; grpctoken and oauth2token serve programs
// of gRPC and of golang.org/x/oauth2. This package itself needs nothing but the
// standard library.
package tokensource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// AuthStyle is how the client authenticates. It is fixed, never guessed by trying
// both, since every wrong guess is a failure that the server counts.
type AuthStyle int

// The styles of RFC 6749 §2.3.1.
const (
	AuthBasic AuthStyle = iota // the Authorization header
	AuthPost                   // client_id and client_secret in the body
)

// Config says where tokens come from. TokenURL, ClientID and ClientSecret are
// required. FromEnvironment and FromProfile read one.
type Config struct {
	TokenURL     string // https, or http to a loopback address
	ClientID     string
	ClientSecret Secret
	Scopes       []string // none: the server's default scope
	Audience     string   // "": none is asked for
	AuthStyle    AuthStyle
	HTTPClient   *http.Client     // for token requests; nil: a plain one. Redirects are never followed
	Timeout      time.Duration    // of one token request; 0: 30 s
	Cache        Cache            // shared with other sources; nil: the source's own memory alone
	Observe      func(Event)      // is told what happens, from many goroutines; must not block; nil: nobody
	Now          func() time.Time // for tests; nil: time.Now
}

const defaultTimeout = 30 * time.Second

// Source gives access tokens of one client. It is safe for concurrent use.
type Source struct {
	config Config
	key    Key
	client *http.Client
	now    func() time.Time

	serving atomic.Pointer[serving] // what is given without the mutex; nil: nothing

	mu        sync.Mutex
	current   *lease    // nil: none
	flight    *flight   // nil: no request is under way
	failures  int       // attempts that failed in a row
	notBefore time.Time // the next attempt to renew, after a failure
	refusal   refusal   // the last failure, as far as it is remembered
	dropped   string    // the token that was last invalidated
	droppedAt time.Time
}

// New checks the configuration. It makes no request.
func New(config Config) (*Source, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	config.Scopes = slices.Clone(config.Scopes)
	if config.Timeout == 0 {
		config.Timeout = defaultTimeout
	}
	client := &http.Client{}
	if config.HTTPClient != nil {
		*client = *config.HTTPClient
	}
	// A redirect would carry the secret to an address that nobody configured.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s := &Source{config: config, key: config.key(), client: client, now: config.Now}
	if s.now == nil {
		s.now = time.Now
	}
	return s, nil
}

func (c *Config) check() error {
	u, err := url.Parse(c.TokenURL)
	switch {
	case c.TokenURL == "":
		return errors.New("token URL is missing")
	case err != nil: // not wrapped: it quotes the URL
		return errors.New("token URL cannot be parsed")
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("token URL must have a host and neither credentials, query nor fragment")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return errors.New("token URL must be https, or http to a loopback address")
	case c.ClientID == "" || c.ClientSecret == "":
		return errors.New("client id and client secret are required")
	case strings.ContainsAny(strings.Join(c.Scopes, ""), " \n"):
		return errors.New("a scope contains a space; give each as an element of its own")
	case c.AuthStyle != AuthBasic && c.AuthStyle != AuthPost:
		return fmt.Errorf("unknown authentication style %d", c.AuthStyle)
	case c.Timeout < 0:
		return errors.New("time-out is negative")
	}
	return nil
}

func (c *Config) key() Key {
	scopes := slices.Compact(slices.Sorted(slices.Values(c.Scopes)))
	return Key{TokenURL: c.TokenURL, ClientID: c.ClientID, Scopes: strings.Join(scopes, " "), Audience: c.Audience, Secret: c.ClientSecret}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Token returns an access token that is good for a while yet, from memory or from
// the server. A caller whose context ends leaves; the request goes on for the
// others. An error of the server is an *Error.
func (s *Source) Token(ctx context.Context) (string, error) {
	if now := s.serving.Load(); now != nil && !passed(s.now(), now.until) {
		return now.lease.value, nil
	}
	lease, err := s.obtain(ctx)
	if err != nil {
		return "", err
	}
	return lease.value, nil
}

// Details is Token with what is known about the token's life.
func (s *Source) Details(ctx context.Context) (Token, error) {
	lease, err := s.obtain(ctx)
	if err != nil {
		return Token{}, err
	}
	return Token{Value: lease.value, Lifetime: lease.lifetime, Left: lease.expiry.Sub(s.now())}, nil
}

// obtain gives the token in memory, or the one of the flight that it waits for.
func (s *Source) obtain(ctx context.Context) (*lease, error) {
	current, flight, err := s.board(ctx)
	if flight == nil {
		return current, err
	}
	select {
	case <-flight.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for an access token: %w", context.Cause(ctx))
	}
	switch {
	case flight.err == nil:
		return flight.lease, nil
	case current != nil && !passed(s.now(), current.expiry):
		return current, nil
	}
	return nil, flight.err
}

// invalidationInterval is the least time between two tokens dropped: an API that
// refuses every token must not make the source fetch one for each call.
const invalidationInterval = 5 * time.Second

// Invalidate drops the token if it is the one in memory, so that the next Token
// asks the server. Call it when an API has refused the token as invalid. Within
// 5 s of one token dropped no other is.
func (s *Source) Invalidate(token string) {
	if s.drop(token) {
		s.tell(Event{Kind: Invalidated})
	}
}

func (s *Source) drop(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.current == nil || s.current.value != token || s.dropped != "" && !passed(now, s.droppedAt.Add(invalidationInterval)) {
		return false
	}
	s.current, s.dropped, s.droppedAt = nil, token, now
	s.publish()
	return true
}

// Format writes the client's id for every verb, so that no log shows a token.
func (s *Source) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "tokensource.Source("+s.config.ClientID+")")
}
