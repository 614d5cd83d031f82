package authserver_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	metadataPath = issuerPath + "/.well-known/openid-configuration"
	jwkSetPath   = metadataPath + "/jwks"
)

// get answers a request without a body.
func (w *world) get(method, path string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, nil)
	for _, c := range change {
		c(r)
	}
	recorder := httptest.NewRecorder()
	w.server.ServeHTTP(recorder, r)
	return recorder
}

func TestMetadataIsTheSameAtBothPlaces(t *testing.T) {
	w := newSQLiteWorld(t)
	got := w.get("GET", metadataPath).Body.Bytes()
	if other := w.get("GET", "/.well-known/oauth-authorization-server/auth/open").Body.Bytes(); !bytes.Equal(got, other) {
		t.Errorf("the two documents differ:\n%s\n%s", got, other)
	}
	var indented bytes.Buffer
	w.must(json.Indent(&indented, got, "", "  "))
	indented.WriteByte('\n')
	golden := filepath.Join("testdata", "metadata.golden")
	if *update {
		w.must(os.MkdirAll("testdata", 0o755))
		w.must(os.WriteFile(golden, indented.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	w.must(err)
	if diff := cmp.Diff(string(want), indented.String()); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

func TestKEY13_metadataSaysWhatIsEnforced(t *testing.T) {
	w := newSQLiteWorld(t)
	var m struct {
		Issuer        string   `json:"issuer"`
		TokenEndpoint string   `json:"token_endpoint"`
		JWKSetURI     string   `json:"jwks_uri"`
		Introspection string   `json:"introspection_endpoint"`
		Revocation    string   `json:"revocation_endpoint"`
		Grants        []string `json:"grant_types_supported"`
		Methods       []string `json:"token_endpoint_auth_methods_supported"`
		Algorithms    []string `json:"access_token_signing_alg_values_supported"`
	}
	w.must(json.Unmarshal(w.get("GET", metadataPath).Body.Bytes(), &m))
	if want, _ := strings.CutSuffix(publicURL+metadataPath, "/.well-known/openid-configuration"); m.Issuer != want {
		t.Errorf("KEY-13 issuer = %q, want the document's own URL base %q", m.Issuer, want)
	}
	for _, address := range []string{m.TokenEndpoint, m.JWKSetURI, m.Introspection, m.Revocation} {
		path, ok := strings.CutPrefix(address, publicURL)
		if _, served := w.server.Handler(path); !ok || !served {
			t.Errorf("KEY-13 nothing is served at %s", address)
		}
	}
	requests := map[string]*http.Request{
		"client_secret_basic": request(tokenPath, grantOnly, basic(string(w.a1.id), w.a1.secret)),
		"client_secret_post":  request(tokenPath, w.a1.tokenForm()),
	}
	for _, method := range m.Methods {
		t.Run("KEY-13 "+method, func(t *testing.T) {
			if r := requests[method]; r == nil {
				t.Error("no request shows that the method works")
			} else {
				w.issued(t, r)
			}
		})
	}
	if len(m.Methods) != len(requests) {
		t.Errorf("KEY-13 methods = %q, want the %d that work", m.Methods, len(requests))
	}
	for _, grant := range m.Grants {
		w.issued(t, request(tokenPath, w.a1.form("grant_type="+grant)))
	}
	signed, err := jose.ParseSignedCompact(w.token(w.a1), []jose.SignatureAlgorithm{jose.ES256})
	w.must(err)
	if got := signed.Signatures[0].Header.Algorithm; !cmp.Equal(m.Algorithms, []string{got}) {
		t.Errorf("KEY-13 algorithms = %q, tokens are signed with %s", m.Algorithms, got)
	}
}

func TestKEY12_documentsCanBeKeptForAWhile(t *testing.T) {
	w := newSQLiteWorld(t)
	for path, media := range map[string]string{
		metadataPath: "application/json",
		jwkSetPath:   "application/jwk-set+json",
		"/.well-known/oauth-authorization-server/auth/open": "application/json",
	} {
		t.Run("KEY-12 "+path, func(t *testing.T) {
			get, head := w.get("GET", path), w.get("HEAD", path)
			for _, a := range []*httptest.ResponseRecorder{get, head} {
				h := a.Header()
				if a.Code != 200 || h.Get("Content-Type") != media || h.Get("Cache-Control") != "public, max-age=300" || h.Get("Set-Cookie") != "" {
					t.Errorf("answer = %d %v, want 200, %s, max-age=300 and no cookie", a.Code, h, media)
				}
			}
			if !json.Valid(get.Body.Bytes()) {
				t.Errorf("body = %s, want JSON", get.Body)
			}
			etag := get.Header().Get("ETag")
			for condition, want := range map[string]int{
				etag: 304, "W/" + etag: 304, `"other", ` + etag: 304, "*": 304, `"other"`: 200, strings.Trim(etag, `"`): 200,
			} {
				a := w.get("GET", path, header("If-None-Match", condition))
				if a.Code != want || want == 304 && a.Body.Len() > 0 || a.Header().Get("ETag") != etag {
					t.Errorf("If-None-Match %s: %d with %d bytes and ETag %s, want %d", condition, a.Code, a.Body.Len(), a.Header().Get("ETag"), want)
				}
			}
			w.refused(t, request(path, ""), 405, "invalid_request")
		})
	}
}

func TestJWKSetIsReadByOtherLibraries(t *testing.T) {
	w := newSQLiteWorld(t)
	var set jose.JSONWebKeySet
	w.must(json.Unmarshal(w.get("GET", jwkSetPath).Body.Bytes(), &set))
	if len(set.Keys) != 2 {
		t.Errorf("%d keys, want 2", len(set.Keys))
	}
}
