package authserver

import (
	"net/http"
	"slices"

	"github.com/doorward/doorward/internal/fault"
)

// Route is one path of the server and what answers there.
type Route struct {
	Path    string   // of the request target, exactly
	Methods []string // none: any
	serve   http.HandlerFunc
}

// Routes is the map of the server: everything that it answers at.
func (s *Server) Routes() []Route {
	post, read := []string{http.MethodPost}, []string{http.MethodGet, http.MethodHead}
	return []Route{
		{Path: s.IssuerPath + tokenPath, Methods: post, serve: s.form("token", s.token)},
		{Path: "/oauth" + tokenPath, Methods: post, serve: s.form("token", s.token)}, // older clients
		{Path: s.IssuerPath + "/oauth" + tokenPath, Methods: post, serve: s.form("token", s.token)},
		{Path: s.IssuerPath + introspectionPath, Methods: post, serve: s.form("introspection", s.introspect)},
		{Path: s.IssuerPath + revocationPath, Methods: post, serve: s.form("revocation", s.revoke)},
		{Path: s.IssuerPath + metadataPath, Methods: read, serve: s.serveMetadata},
		{Path: "/.well-known/oauth-authorization-server" + s.IssuerPath, Methods: read, serve: s.serveMetadata}, // RFC 8414 §3.1
		{Path: s.IssuerPath + jwkSetPath, Methods: read, serve: s.serveJWKSet},
		{Path: "/oauth2/token", serve: s.elsewhere},
		{Path: "/oidc/token", serve: s.elsewhere},
		{Path: "/token", serve: s.elsewhere},
	}
}

// Paths beneath the issuer.
const (
	tokenPath         = "/connect/token"
	introspectionPath = "/connect/introspect"
	revocationPath    = "/connect/revocation"
	metadataPath      = "/.well-known/openid-configuration"
	jwkSetPath        = metadataPath + "/jwks"
)

// guard answers 405 to a method that the route does not have.
func (s *Server) guard(route Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(route.Methods) == 0 || slices.Contains(route.Methods, r.Method) {
			route.serve(w, r)
			return
		}
		err := fault.New(fault.MethodNotAllowed, "send %s here", route.Methods[0])
		err.Allow = route.Methods
		s.refuse(w, r, err)
	})
}

// elsewhere answers at paths where other servers have their token endpoint.
func (s *Server) elsewhere(w http.ResponseWriter, r *http.Request) { s.refuse(w, r, s.misdirected()) }

func (s *Server) misdirected() error {
	return fault.New(fault.RouteUnknown, "nothing is here: the token endpoint is %s", s.issuer+tokenPath)
}
