package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
)

const (
	// MaxJWKSetSize is the length in bytes of the longest JWK Set that is parsed.
	MaxJWKSetSize = 1 << 20
	// MaxKeys is how many keys one JWK Set can hold.
	MaxKeys = 64
)

// exponent is rsaExponent as a JWK writes it (RFC 7518 §6.3.1.2).
const exponent = "AQAB"

// Members of a JWK that are ours. A key of access tokens has environment, one of
// assertions has use; other libraries ignore both (RFC 7517 §4).
const (
	memberEnvironment = "environment"
	memberUse         = "doorward_use"
)

// AppendJWKSet appends the JWK Set (RFC 7517 §5) of keys to dst. It is an error
// if a key is not of the profile, or if two keys have one id. On an error dst is
// returned as it was.
func AppendJWKSet(dst []byte, keys []PublicKey) ([]byte, error) {
	if len(keys) > MaxKeys {
		return dst, fmt.Errorf("%w: more than %d keys", ErrMalformed, MaxKeys)
	}
	set := append(dst, `{"keys":[`...)
	for i, key := range keys {
		if has(keys[:i], key.ID) {
			return dst, fmt.Errorf("%w: two keys with id %s", ErrMalformed, key.ID)
		}
		if i > 0 {
			set = append(set, ',')
		}
		var err error
		if set, err = key.append(set); err != nil {
			return dst, err
		}
	}
	return append(set, `]}`...), nil
}

func has(keys []PublicKey, kid string) bool {
	for i := range keys {
		if keys[i].ID == kid {
			return true
		}
	}
	return false
}

func (k *PublicKey) append(dst []byte) ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	dst = append(dst, '{')
	dst = appendText(dst, "kid", k.ID)
	dst = appendText(dst, "use", "sig")
	dst = appendText(dst, "alg", string(k.Algorithm))
	switch key := k.Key.(type) {
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			return nil, fmt.Errorf("%w: key is not a point of P-256", ErrMalformed)
		}
		point = point[1:] // SEC 1 §2.3.3: 4, x, y
		dst = appendText(dst, "kty", "EC")
		dst = appendText(dst, "crv", "P-256")
		dst = appendBytes(dst, "x", point[:coordinate])
		dst = appendBytes(dst, "y", point[coordinate:])
	case *rsa.PublicKey:
		dst = appendText(dst, "kty", "RSA")
		dst = appendBytes(dst, "n", key.N.Bytes())
		dst = appendText(dst, "e", exponent)
	case ed25519.PublicKey: // RFC 8037 §2
		dst = appendText(dst, "kty", "OKP")
		dst = appendText(dst, "crv", "Ed25519")
		dst = appendBytes(dst, "x", key)
	}
	dst = appendText(dst, memberEnvironment, k.Environment)
	if k.Use == UseAssertion {
		dst = appendText(dst, memberUse, string(UseAssertion))
	}
	return append(dst, '}'), nil
}

func appendBytes(dst []byte, name string, value []byte) []byte {
	return appendText(dst, name, base64.RawURLEncoding.EncodeToString(value))
}

// ParseJWKSet reads a JWK Set. Keys of a kind, algorithm, use or environment that
// the profile does not know are left out (RFC 7517 §5), so that an issuer can add
// such; but anything malformed, two keys with one id, or a private or symmetric
// member in any key refuses the whole set.
func ParseJWKSet(data []byte) ([]PublicKey, error) {
	if len(data) > MaxJWKSetSize {
		return nil, fmt.Errorf("%w: JWK Set is longer than %d bytes", ErrMalformed, MaxJWKSetSize)
	}
	var (
		jwks  []jwk
		found bool
		o     object
		s     = scanner{text: string(data)}
	)
	for s.member(&o) {
		if o.name != "keys" {
			s.skipOther(o.name, "keys")
			continue
		}
		found, jwks = true, s.jwks()
	}
	if err := s.err(); err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%w: JWK Set has no keys member", ErrMalformed)
	}
	return publicKeys(jwks)
}

func publicKeys(jwks []jwk) ([]PublicKey, error) {
	keys := make([]PublicKey, 0, len(jwks))
	for i, j := range jwks {
		for _, other := range jwks[:i] {
			if j.kid != "" && j.kid == other.kid {
				return nil, fmt.Errorf("%w: JWK Set has two keys with one kid", ErrMalformed)
			}
		}
		if !j.known() {
			continue
		}
		key, err := j.publicKey()
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// jwk holds the members of one JWK that are read.
type jwk struct{ kid, use, alg, kty, crv, x, y, n, e, environment, purpose string }

func (s *scanner) jwks() []jwk {
	var jwks []jwk
	var a array
	for s.element(&a) {
		if len(jwks) == MaxKeys {
			s.fail("JWK Set has too many keys")
		}
		jwks = append(jwks, s.jwk())
	}
	return jwks
}

func (s *scanner) jwk() jwk {
	var j jwk
	var o object
	for s.member(&o) {
		if field := j.field(o.name); field != nil {
			*field = s.str()
			continue
		}
		s.skipOther(o.name, "kid", "use", "alg", "kty", "crv", "x", "y", "n", "e", memberEnvironment, memberUse,
			"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv") // private or symmetric: RFC 7518 §6
	}
	return j
}

func (j *jwk) field(member string) *string {
	switch member {
	case "kid":
		return &j.kid
	case "use":
		return &j.use
	case "alg":
		return &j.alg
	case "kty":
		return &j.kty
	case "crv":
		return &j.crv
	case "x":
		return &j.x
	case "y":
		return &j.y
	case "n":
		return &j.n
	case "e":
		return &j.e
	case memberEnvironment:
		return &j.environment
	case memberUse:
		return &j.purpose
	}
	return nil
}

// known tells whether the key is of a kind that the profile uses.
func (j *jwk) known() bool {
	if j.use != "sig" || j.tokenUse() == "" {
		return false
	}
	switch Algorithm(j.alg) {
	case ES256:
		return j.kty == "EC" && j.crv == "P-256"
	case RS256:
		return j.kty == "RSA"
	case EdDSA:
		return j.kty == "OKP" && j.crv == "Ed25519"
	}
	return false
}

func (j *jwk) tokenUse() Use {
	switch {
	case j.purpose == "" && (j.environment == Sandbox || j.environment == Production):
		return UseAccessToken
	case j.purpose == string(UseAssertion) && j.environment == "":
		return UseAssertion
	}
	return ""
}

func (j *jwk) publicKey() (PublicKey, error) {
	material, err := j.material()
	if err != nil {
		return PublicKey{}, err
	}
	key := PublicKey{
		ID:          j.kid,
		Algorithm:   Algorithm(j.alg),
		Environment: j.environment,
		Use:         j.tokenUse(),
		Key:         material,
	}
	return key, key.check()
}

func (j *jwk) material() (crypto.PublicKey, error) {
	switch Algorithm(j.alg) {
	case ES256:
		x, errX := decodeSegment(nil, []byte(j.x))
		y, errY := decodeSegment(nil, []byte(j.y))
		if errX != nil || errY != nil || len(x) != coordinate || len(y) != coordinate {
			return nil, fmt.Errorf("%w: JWK coordinates are not %d bytes", ErrMalformed, coordinate)
		}
		point := append(append([]byte{4}, x...), y...) // SEC 1 §2.3.3
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil {
			return nil, fmt.Errorf("%w: JWK is not a point of P-256", ErrMalformed)
		}
		return key, nil
	case RS256:
		n, err := decodeSegment(nil, []byte(j.n))
		if err != nil || len(n) != rsaBits/8 || j.e != exponent {
			return nil, fmt.Errorf("%w: JWK is not an RSA key of %d bits and exponent %d", ErrMalformed, rsaBits, rsaExponent)
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: rsaExponent}, nil
	default:
		x, err := decodeSegment(nil, []byte(j.x))
		if err != nil || len(x) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("%w: JWK is not an Ed25519 key", ErrMalformed)
		}
		return ed25519.PublicKey(x), nil
	}
}
