// Package resourceserver verifies the access tokens of a Doorward issuer
// (RFC 9068) and guards http.Handlers with them (RFC 6750).
//
//	guard, err := resourceserver.New(resourceserver.Config{
//		Issuer:   "https://api.example.com/auth/open",
//		Audience: "https://api.example.com",
//	})
//	http.Handle("GET /sessions/", guard.Handler("auth.sessions.read")(sessions))
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
	HTTPClient  *http.Client
}

// Guard verifies tokens. It is safe for concurrent use.
type Guard struct {
	issuer, audience string
	sandbox          bool
	keys             *keySet
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
	}
	return &Guard{
		issuer:   config.Issuer,
		audience: config.Audience,
		sandbox:  config.Environment == Sandbox,
		keys:     newKeySet(issuer, config.HTTPClient),
	}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Verify returns the token if it is good now, else an *Error: 401 if it is not, 503
// if that cannot be told because the issuer's keys have never been had. The
// context bounds only the wait for keys.
func (g *Guard) Verify(ctx context.Context, token string) (*Token, error) {
	var unavailable error
	find := func(kid string) (*jwt.PublicKey, bool) {
		key, err := g.keys.find(ctx, kid)
		unavailable = err
		return key, key != nil
	}
	claims, err := jwt.Verify(token, find, jwt.Expected{
		Type:     jwt.TypeAccessToken,
		Issuer:   g.issuer,
		Audience: g.audience,
		Now:      time.Now(),
	})
	switch {
	case unavailable != nil:
		return nil, &Error{Status: http.StatusServiceUnavailable, Description: "the token cannot be verified now, try again later", cause: unavailable}
	case err != nil:
		return nil, invalidToken(err)
	case claims.Sandbox != g.sandbox:
		return nil, invalidToken(jwt.ErrEnvironment)
	}
	return newToken(claims), nil
}

// Handler is middleware that lets a request through if it brings a good token
// with the permission, and answers it with Challenge if not. The permission ""
// asks for a good token only. Behind it, FromContext gives the token.
func (g *Guard) Handler(permission string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, err := g.authorize(r, permission)
			if err != nil {
				Challenge(w, g.audience, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, token)))
		})
	}
}

func (g *Guard) authorize(r *http.Request, permission string) (*Token, error) {
	credentials, err := bearer(r)
	if err != nil {
		return nil, err
	}
	token, err := g.Verify(r.Context(), credentials)
	if err != nil {
		return nil, err
	}
	if permission != "" && !token.HasPermission(permission) {
		return nil, &Error{
			Status:      http.StatusForbidden,
			Code:        "insufficient_scope",
			Description: "this call needs a permission that the token does not have",
			Permission:  permission,
		}
	}
	return token, nil
}

// bearer is the token of a request: from the header only, and only if the request
// is not open to another reading (RFC 6750 §2, RFC 9700 §4.3.2).
func bearer(r *http.Request) (string, error) {
	query, _ := url.ParseQuery(r.URL.RawQuery) // what does not parse is not a token
	fields := r.Header.Values("Authorization")
	if query.Has("access_token") || len(fields) > 1 {
		return "", invalidRequest("send the token in one Authorization header and nowhere else")
	}
	scheme, token, _ := strings.Cut(strings.Join(fields, ""), " ")
	token = strings.Trim(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", &Error{Status: http.StatusUnauthorized, Description: "this call needs an access token"}
	}
	if strings.ContainsAny(token, " ,\t") {
		return "", invalidRequest("send one token after the scheme")
	}
	return token, nil
}

type tokenKey struct{}

// FromContext is the token that Handler verified; false outside of it.
func FromContext(ctx context.Context) (*Token, bool) {
	token, ok := ctx.Value(tokenKey{}).(*Token)
	return token, ok
}
