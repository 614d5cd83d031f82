// Package resourceserver verifies the access tokens of a Doorward issuer
// (RFC 9068) and guards http.Handlers with them (RFC 6750).
//
//	guard, err := resourceserver.New(resourceserver.Config{
//		Issuer:   "https://api.example.com/auth/open",
//		Audience: "https://api.example.com",
//	})
//	http.Handle("GET /sessions/", guard.Handler("auth.sessions.read")(sessions))
//
// A service behind the gateway need not see access tokens: with Assertions the Guard
// verifies what the gateway signs for each call, in the field Doorward-Assertion.
// grpcguard guards services of gRPC, and resourceservertest is an issuer for tests.
//
// The issuer's keys come from its metadata (RFC 8414) and are kept in memory: a
// call costs no request. What must stay true: without keys, or in any doubt, the
// answer is no; and only production tokens pass unless the configuration says
// otherwise.
package resourceserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/jwt"
)

// Environments of tokens. One Guard accepts one of them.
const (
	Production = jwt.Production
	Sandbox    = jwt.Sandbox
)

// Config says whose tokens are good for what. Issuer and Audience are required.
type Config struct {
	Issuer      string // exactly as in the tokens; https, or http to a loopback address
	Audience    string // exactly as in the tokens; also the realm of challenges
	Environment string // Production or Sandbox; "": Production
	Tokens      Kind   // AccessTokens, or Assertions behind the gateway
	HTTPClient  *http.Client
}

// Kind is what a Guard verifies.
type Kind int

// The kinds.
const (
	AccessTokens Kind = iota // of clients, in the field Authorization
	Assertions               // of the gateway, in the field Doorward-Assertion; the audience is the key of the API product
)

func (k Kind) tokenType() string {
	if k == Assertions {
		return jwt.TypeAssertion
	}
	return jwt.TypeAccessToken
}

func (k Kind) field() string {
	if k == Assertions {
		return "Doorward-Assertion"
	}
	return "Authorization"
}

// Guard verifies tokens. It is safe for concurrent use.
type Guard struct {
	issuer, audience string
	sandbox          bool
	kind             Kind
	keys             *keySet
	verified         *memory
}

// New checks the configuration. It makes no request: keys are fetched at the first
// call, so that a server can start while its issuer is away. A nil HTTPClient
// means a plain one; redirects to another origin are never followed.
func New(config Config) (*Guard, error) {
	issuer, err := url.Parse(config.Issuer)
	switch {
	case err != nil:
		return nil, fmt.Errorf("issuer is not a URL: %w", err)
	case issuer.Host == "" || issuer.User != nil || issuer.RawQuery != "" || issuer.Fragment != "":
		return nil, errors.New("issuer must be a URL with a host and neither credentials, query nor fragment")
	case issuer.Scheme != "https" && (issuer.Scheme != "http" || !isLoopback(issuer.Hostname())):
		return nil, errors.New("issuer must be https, or http to a loopback address")
	case issuer.String() != config.Issuer:
		return nil, fmt.Errorf("issuer is not written as a URL normally is, use %s", issuer)
	case config.Audience == "":
		return nil, errors.New("audience is required")
	case config.Environment != "" && config.Environment != Production && config.Environment != Sandbox:
		return nil, fmt.Errorf("environment %q: use %s or %s", config.Environment, Production, Sandbox)
	case config.Tokens != AccessTokens && config.Tokens != Assertions:
		return nil, fmt.Errorf("unknown kind of tokens %d", config.Tokens)
	}
	return &Guard{
		issuer:   config.Issuer,
		audience: config.Audience,
		sandbox:  config.Environment == Sandbox,
		kind:     config.Tokens,
		keys:     newKeySet(issuer, config.HTTPClient),
		verified: &memory{},
	}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Verify returns the token if it is good now, else an *Error: 401 if it is not, 503
// if that cannot be told because the issuer's keys have never been had. The
// context bounds only the wait for keys. A token that was verified before costs a
// look at its key and its time; it is the same *Token for all.
func (g *Guard) Verify(ctx context.Context, token string) (*Token, error) {
	now := time.Now()
	if known, ok := g.verified.get(token); ok && g.keys.holds(known.key) {
		if err := known.claims.CheckTime(now); err != nil {
			return nil, invalidToken(err)
		}
		return known.token, nil
	}
	var key *jwt.PublicKey
	var unavailable error
	find := func(kid string) (*jwt.PublicKey, bool) {
		key, unavailable = g.keys.find(ctx, kid)
		return key, key != nil
	}
	claims, err := jwt.Verify(token, find, jwt.Expected{Type: g.kind.tokenType(), Issuer: g.issuer, Audience: g.audience, Now: now})
	switch {
	case unavailable != nil:
		return nil, &Error{Status: http.StatusServiceUnavailable, Description: "the token cannot be verified now, try again later", cause: unavailable}
	case err != nil:
		return nil, invalidToken(err)
	case claims.Sandbox != g.sandbox:
		return nil, invalidToken(jwt.ErrEnvironment)
	}
	good := newToken(claims)
	g.verified.put(strings.Clone(token), verified{claims: claims, key: key, token: good}) // the caller's string may pin a whole header block
	return good, nil
}

// Authorize is Verify, and an *Error with status 403 if the token lacks one of the
// permissions. Empty ones are passed over.
func (g *Guard) Authorize(ctx context.Context, token string, permissions ...string) (*Token, error) {
	good, err := g.Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	for _, permission := range permissions {
		if permission != "" && !good.HasPermission(permission) {
			return nil, &Error{
				Status:      http.StatusForbidden,
				Code:        "insufficient_scope",
				Description: "this call needs a permission that the token does not have",
				Permission:  permission,
			}
		}
	}
	return good, nil
}

// Handler is middleware that lets a request through if it brings a good token
// with all of the permissions, and answers it with Challenge if not. Without
// permissions a good token is enough. Behind it, FromContext gives the token.
func (g *Guard) Handler(permissions ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, err := g.authorize(r, permissions)
			if err != nil {
				Challenge(w, g.audience, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), token)))
		})
	}
}

func (g *Guard) authorize(r *http.Request, permissions []string) (*Token, error) {
	query, _ := url.ParseQuery(r.URL.RawQuery) // what does not parse is not a token
	if query.Has("access_token") {
		return nil, invalidRequest("send the token in one Authorization header and nowhere else") // RFC 9700 §4.3.2
	}
	credentials, err := g.Credentials(r.Header)
	if err != nil {
		return nil, err
	}
	return g.Authorize(r.Context(), credentials, permissions...)
}

// Credentials is the token in the header fields, unverified: that of Authorization
// (RFC 6750 §2.1), or with Assertions that of Doorward-Assertion. The *Error is 401
// without a token, and 400 if the fields are open to another reading.
func (g *Guard) Credentials(header http.Header) (string, error) {
	fields := header.Values(g.kind.field())
	if len(fields) > 1 {
		return "", invalidRequest("send the token in one " + g.kind.field() + " header and nowhere else")
	}
	token := strings.Join(fields, "")
	if g.kind == AccessTokens {
		scheme, rest, _ := strings.Cut(token, " ")
		if token = strings.Trim(rest, " "); !strings.EqualFold(scheme, "Bearer") {
			token = ""
		}
	}
	if token == "" {
		return "", &Error{Status: http.StatusUnauthorized, Description: "this call needs an access token"}
	}
	if strings.ContainsAny(token, " ,\t") {
		return "", invalidRequest("send one token after the scheme")
	}
	return token, nil
}

type tokenKey struct{}

// NewContext is a context that FromContext takes the token from: for guards of
// other protocols, and for tests of handlers.
func NewContext(ctx context.Context, token *Token) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

// FromContext is the token that Handler verified; false outside of it.
func FromContext(ctx context.Context) (*Token, bool) {
	token, ok := ctx.Value(tokenKey{}).(*Token)
	return token, ok && token != nil
}
