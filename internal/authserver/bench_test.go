package authserver_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/authserver"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jwt"
	"github.com/doorward/doorward/internal/sqldb/sqldbtest"
)

// discard is a recorder that allocates nothing once it is warm.
type discard struct {
	header http.Header
	status int
	size   int
}

func newDiscard() *discard { return &discard{header: http.Header{}} }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { d.size = len(b); return len(b), nil }

// replay is one request that is served again and again.
type replay struct {
	*http.Request
	body *strings.Reader
	text string
	into *discard
}

func newReplay(text string) *replay {
	body := strings.NewReader(text)
	r := request(tokenPath, "")
	r.Body, r.ContentLength = io.NopCloser(body), int64(len(text))
	return &replay{r, body, text, newDiscard()}
}

func (r *replay) serve(h http.Handler) {
	r.body.Reset(r.text)
	r.Form, r.PostForm = nil, nil
	h.ServeHTTP(r.into, r.Request)
}

func newQuietWorld(t testing.TB) *world {
	t.Helper()
	return newWorld(t, sqldbtest.New(t), func(c *authserver.Config) {
		c.Observe, c.Log = nil, slog.New(slog.DiscardHandler)
	})
}

func BenchmarkToken(b *testing.B) {
	w := newQuietWorld(b)
	h, _ := w.server.Handler(tokenPath)
	r := newReplay(w.a1.tokenForm("scope=" + scope))
	r.serve(h)
	b.ReportAllocs()
	for b.Loop() {
		r.serve(h)
	}
	if r.into.size < 500 {
		b.Errorf("answer of %d bytes, want a token", r.into.size)
	}
}

// BenchmarkSignature is the part of BenchmarkToken that no code around it can
// save.
func BenchmarkSignature(b *testing.B) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("x"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := key.Sign(nil, digest[:], crypto.SHA256); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPlainIssuer is what BenchmarkToken is held against: what a Go
// programmer writes with net/http and encoding/json.
func BenchmarkPlainIssuer(b *testing.B) {
	h := newPlainIssuer(b)
	w := newQuietWorld(b)
	r := newReplay(w.a1.tokenForm("scope=" + scope))
	b.ReportAllocs()
	for b.Loop() {
		r.serve(h)
	}
	if r.into.size < 500 {
		b.Errorf("answer of %d bytes, want a token", r.into.size)
	}
}

func newPlainIssuer(t testing.TB) http.HandlerFunc {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	protected := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"production-signing-key-0123456789","typ":"at+jwt"}`))
	known := sha256.Sum256([]byte("x"))
	no := false
	return func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.PostForm.Get("grant_type") != "client_credentials" {
			http.Error(w, "invalid_request", http.StatusBadRequest)
			return
		}
		digest := sha256.Sum256([]byte(r.PostForm.Get("client_secret")))
		subtle.ConstantTimeCompare(digest[:], known[:])
		client, now := r.PostForm.Get("client_id"), time.Now().Unix()
		payload, _ := json.Marshal(tokenClaims{
			Issuer: issuer, Subject: client, ClientID: client, Audience: publicURL, IssuedAt: now, NotBefore: now, Expiry: now + 600,
			ID: rand.Text(), Scope: scope, AccountID: "a-p-0123456789abcdefghij", OrganisationID: "o-0123456789abcdefghij", Sandbox: &no,
			Permissions: &[]string{"echo.call", "echo.read"}, SecretID: "0123456789ab",
		})
		signed := protected + "." + base64.RawURLEncoding.EncodeToString(payload)
		hash := sha256.Sum256([]byte(signed))
		x, y, err := ecdsa.Sign(rand.Reader, key, hash[:])
		if err != nil {
			http.Error(w, "server_error", http.StatusInternalServerError)
			return
		}
		var raw [64]byte
		x.FillBytes(raw[:32])
		y.FillBytes(raw[32:])
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		w.Header().Set("Cache-Control", "no-store, no-cache, max-age=0")
		w.Header().Set("Pragma", "no-cache")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"access_token": signed + "." + base64.RawURLEncoding.EncodeToString(raw[:]), "expires_in": 600, "token_type": "Bearer", "scope": scope,
		})
	}
}

// fewestAllocations is what a call allocates when it finds its buffers in the
// pool, from which the race detector takes some at random.
func fewestAllocations(call func()) float64 {
	fewest := testing.AllocsPerRun(1, call)
	for range 50 {
		fewest = min(fewest, testing.AllocsPerRun(1, call))
	}
	return fewest
}

// What grows the allocations beside the signature's own costs every token:
// the copied body, the client's id and the token's id are three.
func TestTokenRequestAllocatesLittleBesideTheSignature(t *testing.T) {
	const ceiling = 4
	w := newQuietWorld(t)
	h, _ := w.server.Handler(tokenPath)
	r := newReplay(w.a1.tokenForm("scope=" + scope))
	r.serve(h)
	before := w.db.Statements()
	got := fewestAllocations(func() { r.serve(h) })
	if n := w.db.Statements() - before; n > 0 {
		t.Errorf("%d SQL statements for warm tokens, want none", n)
	}
	claims := jwt.Claims{
		Issuer: issuer, Audience: publicURL, Subject: "c", ClientID: "c", ID: "j", IssuedAt: 1, Expiry: 2,
	}
	room := make([]byte, 0, 1024)
	signature := fewestAllocations(func() {
		if _, err := keys()[id.Production].Sign(room, jwt.TypeAccessToken, &claims); err != nil {
			t.Error(err)
		}
	})
	if got > signature+ceiling {
		t.Errorf("%v allocations per token, want at most %v for the signature and %d", got, signature, ceiling)
	}
}
