package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// claims are those of an access token (RFC 9068), in the product's order.
type claims struct {
	Issuer         string   `json:"iss"`
	Subject        string   `json:"sub"`
	ClientID       string   `json:"client_id"`
	Audience       string   `json:"aud"`
	IssuedAt       int64    `json:"iat"`
	NotBefore      int64    `json:"nbf"`
	Expiry         int64    `json:"exp"`
	ID             string   `json:"jti"`
	Scope          string   `json:"scope"`
	AccountID      string   `json:"account_id,omitempty"`
	OrganisationID string   `json:"organisation_id,omitempty"`
	Sandbox        bool     `json:"sandbox"`
	Permissions    []string `json:"permissions,omitempty"`
	SecretID       string   `json:"secret_id,omitempty"`
	Generation     int64    `json:"generation"`
}

// sampleClaims stand in when there is no token of the product to be alike.
var sampleClaims = claims{
	Issuer: "http://127.0.0.1:8080/auth/open", Subject: "sandbox-round-apple-123", ClientID: "sandbox-round-apple-123",
	Audience: "http://127.0.0.1:8080", IssuedAt: 1_780_000_000, NotBefore: 1_780_000_000, Expiry: 1_780_000_600,
	ID: "0123456789abcdefghijkl", Scope: "signicat-api", AccountID: "a-s-0123456789abcdefghij",
	OrganisationID: "o-0123456789abcdefghij", Sandbox: true, Permissions: []string{"echo.call"},
	SecretID: "0123456789ab", Generation: 3,
}

const sampleHeader = `{"alg":"ES256","kid":"sandbox-signing-key-0123456789","typ":"at+jwt"}`

// A plainIssuer is the ceiling of issuing: what a Go programmer writes with
// net/http and encoding/json, without a product around it. It checks nothing.
type plainIssuer struct {
	key    *ecdsa.PrivateKey
	header string // protected header in base64url
	claims claims
}

// newPlainIssuer makes one whose tokens have the size of the given one; an
// empty token means the sample claims.
func newPlainIssuer(like string) (*plainIssuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate a key: %w", err)
	}
	p := &plainIssuer{key: key, header: base64.RawURLEncoding.EncodeToString([]byte(sampleHeader)), claims: sampleClaims}
	if like == "" {
		return p, nil
	}
	parts := strings.Split(like, ".")
	if len(parts) != 3 {
		return nil, errors.New("the token to be alike is not a compact JWS")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, fmt.Errorf("decode the token to be alike: %w", err)
	}
	p.header, p.claims = parts[0], claims{}
	if err := json.Unmarshal(payload, &p.claims); err != nil {
		return nil, fmt.Errorf("decode the claims to be alike: %w", err)
	}
	return p, nil
}

// ServeHTTP answers every request of the token endpoint with a fresh token.
func (p *plainIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if sha256.Sum256([]byte(r.PostForm.Get("client_secret"))) == ([sha256.Size]byte{}) {
		http.Error(w, "no secret has this digest", http.StatusUnauthorized)
		return
	}
	token, err := p.sign(r.PostForm.Get("client_id"), time.Now().Unix())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer := make([]byte, 0, 2048)
	answer = append(answer, `{"access_token":"`...)
	answer = append(answer, token...)
	answer = append(answer, `","expires_in":600,"token_type":"Bearer","scope":"signicat-api"}`...)
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.Header().Set("Cache-Control", "no-store, no-cache, max-age=0")
	w.Header().Set("Pragma", "no-cache")
	_, _ = w.Write(answer) // a client that has gone is no concern of the ceiling
}

// sign makes a compact JWS (RFC 7515 §7.1) with a randomised ES256 signature.
func (p *plainIssuer) sign(client string, now int64) (string, error) {
	c := p.claims
	c.Subject, c.ClientID = client, client
	c.IssuedAt, c.NotBefore, c.Expiry = now, now, now+600
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	input := p.header + "." + base64.RawURLEncoding.EncodeToString(payload)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, p.key, digest[:])
	if err != nil {
		return "", err
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(signature[:]), nil
}

// servePlainIssuer is the role plain-issuer; its argument is a token to be alike.
func servePlainIssuer(ctx context.Context, stdout io.Writer, args []string) error {
	p, err := newPlainIssuer(args[0])
	if err != nil {
		return err
	}
	return announceAndServe(ctx, stdout, p)
}
