package authserver

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/signingkey"
)

// metadata is the document of RFC 8414 §2. What it lists is taken from what the
// server enforces.
type metadata struct {
	Issuer                   string          `json:"issuer"`
	TokenEndpoint            string          `json:"token_endpoint"`
	JWKSetURI                string          `json:"jwks_uri"`
	IntrospectionEndpoint    string          `json:"introspection_endpoint"`
	RevocationEndpoint       string          `json:"revocation_endpoint"`
	Scopes                   []string        `json:"scopes_supported"`
	ResponseTypes            []string        `json:"response_types_supported"` // required, and empty: there are none
	GrantTypes               []string        `json:"grant_types_supported"`
	TokenAuthMethods         []string        `json:"token_endpoint_auth_methods_supported"`
	IntrospectionAuthMethods []string        `json:"introspection_endpoint_auth_methods_supported"`
	RevocationAuthMethods    []string        `json:"revocation_endpoint_auth_methods_supported"`
	TokenAlgorithms          []jwt.Algorithm `json:"access_token_signing_alg_values_supported"`
	Documentation            string          `json:"service_documentation,omitempty"`
}

// document is something that anybody may read and keep for a while.
type document struct {
	mediaType string
	body      []byte
	etag      string // quoted
}

func (s *Server) newMetadata() (document, error) {
	methods := make([]string, len(s.methods))
	for i := range s.methods {
		methods[i] = s.methods[i].name
	}
	body, err := json.Marshal(metadata{
		Issuer:                   s.issuer,
		TokenEndpoint:            s.issuer + tokenPath,
		JWKSetURI:                s.issuer + jwkSetPath,
		IntrospectionEndpoint:    s.issuer + introspectionPath,
		RevocationEndpoint:       s.issuer + revocationPath,
		Scopes:                   []string{s.Scope},
		ResponseTypes:            []string{},
		GrantTypes:               slices.Sorted(maps.Keys(s.grants)),
		TokenAuthMethods:         methods,
		IntrospectionAuthMethods: methods,
		RevocationAuthMethods:    methods,
		TokenAlgorithms:          s.Algorithms,
		Documentation:            s.HelpURL,
	})
	sum := sha256.Sum256(body)
	return document{"application/json", body, `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`}, err
}

func (s *Server) serveMetadata(w http.ResponseWriter, r *http.Request) { s.published.serve(w, r) }

func (s *Server) serveJWKSet(w http.ResponseWriter, r *http.Request) {
	body, etag := s.JWKSet()
	document{"application/jwk-set+json", body, etag}.serve(w, r) // RFC 7517 §8.5.1
}

// serve answers GET and HEAD, with 304 to who has the document already (RFC
// 9110 §13.1.2).
func (d document) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(signingkey.MaxAge.Seconds())))
	header.Set("Etag", d.etag)
	if d.known(r.Header["If-None-Match"]) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", d.mediaType)
	header.Set("Content-Length", strconv.Itoa(len(d.body)))
	_, _ = w.Write(d.body) // a caller that is gone needs no answer
}

// known tells whether the entity tags name the document; the comparison is the
// weak one.
func (d document) known(tags []string) bool {
	for _, list := range tags {
		for tag := range strings.SplitSeq(list, ",") {
			if tag = strings.Trim(tag, " \t"); tag == "*" || strings.TrimPrefix(tag, "W/") == d.etag {
				return true
			}
		}
	}
	return false
}
