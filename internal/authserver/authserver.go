// Package authserver is the authorization server: token endpoint (RFC 6749),
// introspection (RFC 7662), revocation (RFC 7009), metadata (RFC 8414) and JWK
// Set (RFC 7517).
//
// It hides how a request is read, how a client proves who it is, and how an
// answer is written. What must stay true: a request that can be read in two
// ways is refused; an unknown client, a wrong secret and a client that may not
// work any more get the same answer, byte for byte, after the same work; no
// right comes from a parameter, only from the client that authenticated; and a
// warm token request does no I/O and writes nothing.
package authserver

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/registry"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/throttle"
)

// Config is what a Server works with. The functions are called by many
// goroutines at once; what may be nil says so.
type Config struct {
	Access   *access.Access
	Registry *registry.Registry
	Mint     *secret.Mint

	Signer     func(id.Environment) *jwt.PrivateKey // nil: none just now
	JWKSet     func() (body []byte, etag string)    // etag as the header has it, quoted
	Algorithms []jwt.Algorithm                      // that Signer's keys may have

	PublicURL  string // of the API domain, without a slash at the end; the audience
	IssuerPath string // the issuer is PublicURL + IssuerPath
	Scope      string // the default scope: at most 64 characters
	HelpURL    string // page whose anchors are the error codes; empty: none

	Failures *throttle.Failures // of client authentication
	Issuing  *throttle.Rate     // of tokens, per client; nil: no limit

	Now  func() time.Time
	Rand io.Reader // token ids; safe for concurrent use

	Peer      func(*http.Request) netip.Addr // the caller's address; nil: the socket's
	RequestID func(*http.Request) string     // for the audit log; nil: none
	Observe   func(Observation)              // sees each request once it is answered; nil: nobody
	Log       *slog.Logger
}

// Server answers at the endpoints of the issuer. It is safe for concurrent use.
type Server struct {
	Config
	issuer    string
	methods   []clientMethod
	grants    map[string]grant
	handlers  map[string]http.Handler
	stranger  registry.ClientEntry // stands in for a client that does not exist
	blank     registry.Secret      // stands in for a secret that does not exist
	published document             // the metadata
	fixed     fixedHeaders
	exchanges sync.Pool
	lines     *throttle.Rate // of the log about refusals, per address
}

// New returns a Server. An error names the setting to correct.
func New(config Config) (*Server, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	if config.Peer == nil {
		config.Peer = socketAddress
	}
	s := &Server{
		Config:  config,
		issuer:  config.PublicURL + config.IssuerPath,
		methods: []clientMethod{clientSecretBasic(), clientSecretPost()},
		grants:  map[string]grant{"client_credentials": clientCredentials},
		fixed:   newFixedHeaders(),
		lines:   throttle.NewRate(linesPerSecond, linesAtOnce, linesAddresses, config.Now),
	}
	s.stranger.State = registry.Deleted
	s.blank = registry.Secret{State: registry.SecretRevoked, Digest: secret.DigestOf(secret.Plaintext{})}
	s.exchanges.New = newExchange
	var err error
	if s.published, err = s.newMetadata(); err != nil {
		return nil, fmt.Errorf("write the metadata: %w", err)
	}
	s.handlers = map[string]http.Handler{}
	for _, r := range s.Routes() {
		s.handlers[r.Path] = s.guard(r)
	}
	return s, nil
}

func (c *Config) validate() error {
	public, err := url.Parse(c.PublicURL)
	switch {
	case err != nil || public.Host == "" || public.Path != "" || public.RawQuery != "" || public.Fragment != "" || public.User != nil,
		public.Scheme != "http" && public.Scheme != "https", fault.Description(c.PublicURL) != c.PublicURL:
		return fmt.Errorf("public_url %q: give scheme and host only, like https://api.example.com", c.PublicURL)
	case c.IssuerPath != "" && (c.IssuerPath[0] != '/' || strings.HasSuffix(c.IssuerPath, "/")), fault.Description(c.IssuerPath) != c.IssuerPath:
		return fmt.Errorf("issuer_path %q: begin with a slash, end without one, and use plain ASCII", c.IssuerPath)
	case c.Scope == "" || len(c.Scope) > maxScope || fault.Description(c.Scope) != c.Scope || strings.Contains(c.Scope, " "):
		return fmt.Errorf("scope %q: give one word of at most %d characters", c.Scope, maxScope)
	case fault.Description(c.HelpURL) != c.HelpURL:
		return fmt.Errorf("help url %q: give an address of at most 300 ASCII characters", c.HelpURL)
	case c.Access == nil || c.Registry == nil || c.Mint == nil || c.Signer == nil || c.JWKSet == nil || len(c.Algorithms) == 0:
		return errors.New("authserver: access, registry, mint, signer, JWK Set and algorithms are needed")
	case c.Failures == nil || c.Now == nil || c.Rand == nil || c.Log == nil:
		return errors.New("authserver: failures, clock, randomness and log are needed")
	case c.Access.Issuer != c.PublicURL+c.IssuerPath || c.Access.Audience != c.PublicURL || c.Access.Scope != c.Scope:
		return errors.New("authserver: calls are decided for another issuer, audience or scope than tokens are issued for")
	}
	return nil
}

// Handler returns the handler of a path of the request target as it was sent,
// without its query, and false if the path is not one of this server's.
func (s *Server) Handler(path string) (http.Handler, bool) {
	h, ok := s.handlers[path]
	return h, ok
}

// ServeHTTP serves the routes, and answers 404 to any other path. It looks at
// the target as it was sent: no path is cleaned into one of the routes.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if h, ok := s.handlers[path]; ok {
		h.ServeHTTP(w, r)
		return
	}
	s.refuse(w, r, s.misdirected())
}

// socketAddress is the other end of the connection; the zero Addr if unknown.
func socketAddress(r *http.Request) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	return peer.Addr()
}

// Observation is what became of one request. Endpoint, Outcome and Reason are
// of fixed sets, fit for labels.
type Observation struct {
	Endpoint string    // "token", "introspection" or "revocation"
	Outcome  string    // "issued", "inspected", "revoked", or the error's code
	Reason   string    // the true reason of an invalid_client, for its owner
	Status   int       // of the answer (HTTP)
	Client   id.Client // empty unless there is such a client
	Secret   id.Secret // that authenticated it; empty if none did
	At       time.Time // of its arrival
	Took     time.Duration

	Organisation id.Organisation // of Client; empty: the operator's, or there is none
	Named        id.Client       // as presented, in form; there may be no such client
	Presented    id.Secret       // that is right, also when it was refused
	Peer         netip.Addr      // the caller's address
}

// observe tells the observer what became of the exchange.
func (s *Server) observe(x *exchange) {
	if s.Observe != nil && x.seen.Endpoint != "" {
		x.seen.At, x.seen.Took = x.now, s.Now().Sub(x.now)
		x.seen.Named, x.seen.Peer = x.named, x.peer
		s.Observe(x.seen)
	}
}
