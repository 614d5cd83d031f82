package jwt

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// Expected is what a verifier demands of a token. All fields are required: a
// zero Expected accepts nothing.
type Expected struct {
	Type     string // TypeAccessToken or TypeAssertion
	Issuer   string
	Audience string
	Now      time.Time
}

// Verify returns the claims of a token that is good in every respect, or one of
// the package's errors. It never asks keys for an id that a JWK Set could not hold.
//
// The order is fixed (RFC 8725 §3): size and three segments; header (strict JSON,
// typ, kid); the key by its id, its use, its algorithm; signature; then, and only
// then, the claims: form, environment, issuer, audience, time. So ErrExpired says
// that nothing but the time is wrong.
func Verify(token string, keys func(kid string) (*PublicKey, bool), want Expected) (*Claims, error) {
	if len(token) > MaxSize {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrMalformed, MaxSize)
	}
	var raw, scratch [2 << 10]byte // on the stack, which would keep the size that the longest token needs
	parts, err := split(append(raw[:0], token...))
	if err != nil {
		return nil, err
	}
	key, err := parts.key(scratch[:0], keys, want.Type)
	if err != nil {
		return nil, err
	}
	signature, err := decodeSegment(scratch[:0], parts.signature)
	if err != nil {
		return nil, err
	}
	if !key.verify(parts.input, signature) {
		return nil, ErrSignature
	}
	payload, err := decodeSegment(scratch[:0], parts.payload)
	if err != nil {
		return nil, err
	}
	claims, err := parseClaims(string(payload))
	if err != nil {
		return nil, err
	}
	if err := claims.expect(key, want); err != nil {
		return nil, err
	}
	return claims, nil
}

// expect checks claims whose signature is good.
func (c *Claims) expect(key *PublicKey, want Expected) error {
	if err := c.check(want.Type); err != nil {
		return err
	}
	switch {
	case key.Use == UseAccessToken && key.Environment != environment(c.Sandbox):
		return ErrEnvironment
	case c.Issuer != want.Issuer:
		return ErrIssuer
	case c.Audience != want.Audience:
		return ErrAudience
	}
	return c.CheckTime(want.Now)
}

func environment(sandbox bool) string {
	if sandbox {
		return Sandbox
	}
	return Production
}

// segments are the parts of a compact JWS (RFC 7515 §3.1), still encoded. input
// is what is signed: header, dot and payload.
type segments struct {
	header, payload, signature, input []byte
}

func split(token []byte) (segments, error) {
	first := bytes.IndexByte(token, '.')
	last := bytes.LastIndexByte(token, '.')
	if first == last || bytes.IndexByte(token[first+1:last], '.') >= 0 {
		return segments{}, fmt.Errorf("%w: not three segments", ErrMalformed)
	}
	return segments{
		header:    token[:first],
		payload:   token[first+1 : last],
		signature: token[last+1:],
		input:     token[:last],
	}, nil
}

// key finds the key that the header names and holds the header against it: the
// key says which algorithm and which type of token it is for, the header only
// repeats it.
func (p *segments) key(scratch []byte, keys func(kid string) (*PublicKey, bool), typ string) (*PublicKey, error) {
	text, err := decodeSegment(scratch, p.header)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(string(text))
	if err != nil {
		return nil, err
	}
	if !isType(h.typ, typ) {
		return nil, fmt.Errorf("%w: typ is not %s", ErrMalformed, typ)
	}
	key, ok := keys(h.kid)
	if !ok || key.Use.tokenType() != typ || string(key.Algorithm) != h.alg {
		return nil, ErrSignature
	}
	return key, nil
}

type header struct{ alg, kid, typ string }

// parseHeader reads a JOSE header. Members that bring a key, an address or another
// way of processing are refused, members that mean nothing here are ignored.
func parseHeader(text string) (header, error) {
	var (
		h header
		o object
		s = scanner{text: text}
	)
	for s.member(&o) {
		switch o.name {
		case "alg":
			h.alg = s.str()
		case "kid":
			h.kid = s.str()
		case "typ":
			h.typ = s.str()
		default:
			s.skipOther(o.name, "alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "zip", "enc")
		}
	}
	if err := s.err(); err != nil {
		return header{}, err
	}
	if !isKeyID(h.kid) {
		return header{}, fmt.Errorf("%w: kid is missing or not a key id", ErrMalformed)
	}
	return h, nil
}

// isKeyID tells whether kid is 1 to 128 of [A-Za-z0-9._~-]: safe to look up and
// to log whoever wrote it.
func isKeyID(kid string) bool {
	const other = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-"
	return kid != "" && len(kid) <= 128 && strings.Trim(kid, other) == ""
}

// decodeSegment appends the bytes of a base64url segment without padding. The
// standard decoder skips line breaks even when it is strict about trailing bits.
func decodeSegment(dst, segment []byte) ([]byte, error) {
	if bytes.IndexByte(segment, '\n') >= 0 || bytes.IndexByte(segment, '\r') >= 0 {
		return nil, fmt.Errorf("%w: line break in base64url", ErrMalformed)
	}
	decoded, err := base64.RawURLEncoding.Strict().AppendDecode(dst, segment)
	if err != nil {
		return nil, fmt.Errorf("%w: not base64url", ErrMalformed)
	}
	return decoded, nil
}
