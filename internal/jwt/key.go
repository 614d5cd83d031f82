package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
)

// Algorithm is a signature algorithm of RFC 7518 §3.1 or RFC 8037 §3.1.
type Algorithm string

// The algorithms of the profile.
const (
	ES256 Algorithm = "ES256" // ECDSA, P-256, SHA-256
	RS256 Algorithm = "RS256" // RSASSA-PKCS1-v1_5, 2048 bits, SHA-256
	EdDSA Algorithm = "EdDSA" // Ed25519
)

const (
	rsaBits     = 2048
	rsaExponent = 65537
)

// PublicKey verifies tokens of one algorithm, one use and one environment. Treat
// it as immutable; then it is safe for concurrent use.
type PublicKey struct {
	ID          string // kid: 1 to 128 of [A-Za-z0-9._~-]
	Algorithm   Algorithm
	Environment string           // Sandbox or Production; "" for UseAssertion
	Use         Use              // the zero Use verifies nothing
	Key         crypto.PublicKey // *ecdsa.PublicKey, *rsa.PublicKey or ed25519.PublicKey
}

// check tells whether the key is one of the profile.
func (k *PublicKey) check() error {
	algorithm, err := algorithmOf(k.Key)
	if err != nil {
		return err
	}
	switch {
	case algorithm != k.Algorithm:
		return fmt.Errorf("%w: key is not one for %q", ErrMalformed, k.Algorithm)
	case !isKeyID(k.ID):
		return fmt.Errorf("%w: key id %q: use 1 to 128 of [A-Za-z0-9._~-]", ErrMalformed, k.ID)
	case k.Use == UseAccessToken && (k.Environment == Sandbox || k.Environment == Production):
		return nil
	case k.Use == UseAssertion && k.Environment == "":
		return nil
	}
	return fmt.Errorf("%w: key use %q does not go with environment %q", ErrMalformed, k.Use, k.Environment)
}

// algorithmOf tells the one algorithm that a key is used with.
func algorithmOf(key crypto.PublicKey) (Algorithm, error) {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return ES256, nil
		}
	case *rsa.PublicKey:
		if key.N != nil && key.N.BitLen() == rsaBits && key.E == rsaExponent {
			return RS256, nil
		}
	case ed25519.PublicKey:
		if len(key) == ed25519.PublicKeySize {
			return EdDSA, nil
		}
	}
	return "", fmt.Errorf("%w: key is neither P-256 nor RSA of %d bits nor Ed25519", ErrMalformed, rsaBits)
}

// PrivateKey signs tokens of one type. It is immutable and safe for concurrent
// use, and shows nothing but its id when it is printed.
type PrivateKey struct {
	public PublicKey
	signer crypto.Signer
	header string // encoded JOSE header and the dot after it
}

// GenerateKey makes a key. The environment is Sandbox or Production for
// UseAccessToken and "" for UseAssertion. The randomness is the system's: Go
// ignores injected readers here.
func GenerateKey(alg Algorithm, kid string, use Use, environment string) (*PrivateKey, error) {
	signer, err := generate(alg)
	if err != nil {
		return nil, fmt.Errorf("generate %s key: %w", alg, err)
	}
	return newPrivateKey(signer, kid, use, environment)
}

func generate(alg Algorithm) (crypto.Signer, error) {
	switch alg {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	case EdDSA:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("%w: no such algorithm, use ES256, RS256 or EdDSA", ErrMalformed)
}

// ParsePrivateKey reads what MarshalPKCS8 wrote; the id, use and environment are
// not part of it. The algorithm follows from the kind of key.
func ParsePrivateKey(der []byte, kid string, use Use, environment string) (*PrivateKey, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: private key is not PKCS #8", ErrMalformed)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: private key cannot sign", ErrMalformed)
	}
	return newPrivateKey(signer, kid, use, environment)
}

func newPrivateKey(signer crypto.Signer, kid string, use Use, environment string) (*PrivateKey, error) {
	alg, err := algorithmOf(signer.Public())
	if err != nil {
		return nil, err
	}
	public := PublicKey{ID: kid, Algorithm: alg, Environment: environment, Use: use, Key: signer.Public()}
	if err := public.check(); err != nil {
		return nil, err
	}
	header := appendText([]byte{'{'}, "alg", string(alg))
	header = appendText(header, "kid", kid)
	header = append(appendText(header, "typ", use.tokenType()), '}')
	return &PrivateKey{
		public: public,
		signer: signer,
		header: base64.RawURLEncoding.EncodeToString(header) + ".",
	}, nil
}

// MarshalPKCS8 is the key in clear, as PKCS #8 DER (RFC 5958): seal it.
func (k *PrivateKey) MarshalPKCS8() ([]byte, error) {
	return x509.MarshalPKCS8PrivateKey(k.signer)
}

// Public is the key to publish.
func (k *PrivateKey) Public() PublicKey { return k.public }

// Format writes the key's id for every verb, so that no log shows the key.
func (k *PrivateKey) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "jwt.PrivateKey("+k.public.ID+")")
}

// Equal tells whether the two are one key for one purpose.
func (k *PublicKey) Equal(other *PublicKey) bool {
	material, ok := k.Key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.ID == other.ID && k.Algorithm == other.Algorithm && k.Environment == other.Environment && k.Use == other.Use && material.Equal(other.Key)
}
