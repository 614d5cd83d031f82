// Package jwt is Doorward's one token profile: it signs, parses and verifies
// access tokens (RFC 9068) and the short assertions that the gateway sends to
// upstreams, and encodes and parses the JWK Set that both are verified with.
//
// It hides JOSE (RFC 7515, 7517, 7518, 8037) and deliberately supports little of
// it: compact JWS only, three algorithms, one algorithm per key, no key material
// or address ever taken from a token. What must stay true: nothing in a token but
// its key id chooses how it is verified, and no byte of its claims is read before
// its signature is known to be good (RFC 8725 §3). Being stricter than other
// libraries is fine, being laxer never is.
package jwt

import (
	"errors"
	"strings"
	"time"
)

// Skew is how far the clocks of issuer and verifier may differ: it is allowed
// for exp, nbf and iat alike.
const Skew = 5 * time.Second

const (
	// MaxSize is the length in bytes of the longest token that Verify looks at.
	MaxSize = 8 << 10
	// MaxSigned is the length in bytes of the longest token that Sign makes. It
	// leaves room for the scheme and for the rest of the Authorization header.
	MaxSigned = 7800
	// MaxPermissions is how many permissions one token can name.
	MaxPermissions = 100
)

// Token types: the header's typ without its "application/" prefix.
const (
	TypeAccessToken = "at+jwt"                 // RFC 9068 §2.1
	TypeAssertion   = "doorward-assertion+jwt" // from the gateway to an upstream
)

// Environments of keys of access tokens.
const (
	Sandbox    = "sandbox"
	Production = "production"
)

// Use is the one kind of token that a key signs. The zero Use signs nothing.
type Use string

// The uses of keys.
const (
	UseAccessToken Use = "access-token"
	UseAssertion   Use = "assertion"
)

// tokenType is the typ of the tokens that a key of this use signs.
func (u Use) tokenType() string {
	switch u {
	case UseAccessToken:
		return TypeAccessToken
	case UseAssertion:
		return TypeAssertion
	}
	return ""
}

// Errors of Verify, told apart with errors.Is. Sign and the JWK Set functions
// return ErrMalformed for what Verify or ParseJWKSet would refuse.
var (
	ErrMalformed   = errors.New("token is malformed")
	ErrSignature   = errors.New("token is not signed by a current key of this issuer")
	ErrEnvironment = errors.New("token is signed by a key of another environment")
	ErrIssuer      = errors.New("token is of another issuer")
	ErrAudience    = errors.New("token is for another audience")
	ErrNotYetValid = errors.New("token is not valid yet")
	ErrExpired     = errors.New("token has expired")
	ErrTooLarge    = errors.New("token would be too large") // Sign only
)

// isType tells whether the header's typ is want: letter case and the prefix
// "application/" do not matter (RFC 7515 §4.1.9, RFC 9068 §4).
func isType(typ, want string) bool {
	const prefix = "application/"
	if len(typ) > len(prefix) && strings.EqualFold(typ[:len(prefix)], prefix) {
		typ = typ[len(prefix):]
	}
	// visible: EqualFold would take U+017F for an s.
	return want != "" && visible(typ) && strings.EqualFold(typ, want)
}

// visible tells whether text is visible ASCII without spaces (VSCHAR of RFC 6749
// appendix A less the space), the alphabet of every id and name in a token.
func visible(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}
