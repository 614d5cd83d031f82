// Package tokensource fetches access tokens with the client credentials grant
// (RFC 6749 §4.4), keeps them until shortly before they expire, and puts them on
// HTTP requests (RFC 6750 §2.1).
//
//	source, err := tokensource.New(tokensource.Config{
//		TokenURL:     "https://api.example.com/auth/open/connect/token",
//		ClientID:     "sandbox-round-apple-123",
//		ClientSecret: tokensource.Secret(os.Getenv("CLIENT_SECRET")),
//	})
//	client := &http.Client{Transport: source.Transport(nil)}
//
// However many goroutines ask, one token request is under way at a time; and
// neither the secret nor a token ever appears in an error or in what is printed.
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
	"sync"
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
// required.
type Config struct {
	TokenURL     string // https, or http to a loopback address
	ClientID     string
	ClientSecret Secret
	Scopes       []string // none: the server's default scope
	AuthStyle    AuthStyle
	HTTPClient   *http.Client // for token requests; nil: a plain one. Redirects are never followed
}

const (
	flightTimeout = 30 * time.Second
	maxMargin     = 10 * time.Second
	maxLifetime   = 24 * time.Hour
)

// Source gives access tokens of one client. It is safe for concurrent use.
type Source struct {
	config Config
	client *http.Client

	mu      sync.Mutex
	current *token  // nil: none
	flight  *flight // nil: no request is under way
}

type token struct {
	value  string
	usable time.Time // until then it is served from memory
}

// flight is one token request that any number of callers wait for.
type flight struct {
	done  chan struct{} // closed when token and err are set
	token *token
	err   error
}

// New checks the configuration. It makes no request.
func New(config Config) (*Source, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	config.Scopes = slices.Clone(config.Scopes)
	client := &http.Client{}
	if config.HTTPClient != nil {
		*client = *config.HTTPClient
	}
	// A redirect would carry the secret to an address that nobody configured.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Source{config: config, client: client}, nil
}

func (c *Config) check() error {
	u, err := url.Parse(c.TokenURL)
	switch {
	case err != nil: // not wrapped: it quotes the URL
		return errors.New("token URL cannot be parsed")
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("token URL must have a host and neither credentials, query nor fragment")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return errors.New("token URL must be https, or http to a loopback address")
	case c.ClientID == "" || c.ClientSecret == "":
		return errors.New("client id and client secret are required")
	case c.AuthStyle != AuthBasic && c.AuthStyle != AuthPost:
		return fmt.Errorf("unknown authentication style %d", c.AuthStyle)
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Token returns an access token that is good for a while yet, from memory or from
// the server. A caller whose context ends leaves; the request goes on for the
// others, within 30 seconds. An error of the server is an *Error.
func (s *Source) Token(ctx context.Context) (string, error) {
	current, flight := s.board(ctx)
	if flight == nil {
		return current.value, nil
	}
	select {
	case <-flight.done:
	case <-ctx.Done():
		return "", fmt.Errorf("wait for an access token: %w", context.Cause(ctx))
	}
	if flight.err != nil {
		return "", flight.err
	}
	return flight.token.value, nil
}

// board returns the token in memory, or the flight to wait for.
func (s *Source) board(ctx context.Context) (*token, *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil && time.Now().Before(s.current.usable) {
		return s.current, nil
	}
	if s.flight == nil {
		s.flight = &flight{done: make(chan struct{})}
		go s.fly(context.WithoutCancel(ctx), s.flight) // ends with its own time-out; its callers wait for it
	}
	return nil, s.flight
}

func (s *Source) fly(ctx context.Context, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, flightTimeout)
	defer cancel()
	f.token, f.err = s.fetch(ctx)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.flight = f.token, nil
	close(f.done)
}

// Invalidate drops the token if it is the one in memory, so that the next Token
// asks the server. Call it when an API has refused the token as invalid.
func (s *Source) Invalidate(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil && s.current.value == token {
		s.current = nil
	}
}

// Format writes the client's id for every verb, so that no log shows a token.
func (s *Source) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "tokensource.Source("+s.config.ClientID+")")
}

// margin is how long before its end a token is no longer served: 10 seconds, and
// of a short life a fifth, so that even such a token is used more than once.
func margin(lifetime time.Duration) time.Duration {
	return min(maxMargin, lifetime/5)
}
