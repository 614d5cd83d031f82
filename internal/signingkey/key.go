package signingkey

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/jwt"
)

// Purposes of keys. No key ever has two.
const (
	Sandbox    = "sandbox"    // access tokens
	Production = "production" // access tokens
	Assertion  = "assertion"  // from the gateway to upstreams; always ES256
)

// States of keys, in the order in which a key takes them. A key can be
// withdrawn in each.
const (
	Next      = "next"
	Current   = "current"
	Retired   = "retired"
	Withdrawn = "withdrawn"
)

// maxPublished bounds the published keys of a purpose, so that all purposes
// together fit into a JWK Set.
const maxPublished = 20

const kidInfix = "-signing-key-"

func purposes() []string { return []string{Sandbox, Production, Assertion} }

// purposeOf reads the purpose that a key id states; "" if it states none.
func purposeOf(kid string) string {
	purpose, _, found := strings.Cut(kid, kidInfix)
	if !found || !slices.Contains(purposes(), purpose) {
		return ""
	}
	return purpose
}

// key is a row of signing_key, with its private key opened if it is published.
type key struct {
	id, purpose, state            string
	algorithm                     jwt.Algorithm
	public, sealed                []byte // PKIX; sealed PKCS #8, empty once erased
	published, activated, retired time.Time
	lag                           time.Duration // of nodes that have not heard of its retirement

	private *jwt.PrivateKey
}

func (k *key) info() Info {
	return Info{
		ID: k.id, Purpose: k.purpose, Algorithm: k.algorithm, State: k.state,
		Published: k.published, Activated: k.activated, Retired: k.retired, Ends: k.end(),
	}
}

// end is when the last that the key signed is dead; zero for a key that may
// still sign.
func (k *key) end() time.Time {
	lifetime := MaxTokenLifetime
	switch {
	case k.retired.IsZero():
		return time.Time{}
	case k.purpose == Assertion:
		lifetime = MaxAssertionLifetime
	}
	return k.retired.Add(k.lag + lifetime + jwt.Skew)
}

// dead is for ever: a key whose private key was erased does not come back when
// the clock is set back, for nothing could open it.
func (k *key) dead(now time.Time) bool {
	erased := k.state == Retired && len(k.sealed) == 0
	return !k.retired.IsZero() && (erased || !now.Before(k.end()))
}

func (k *key) isPublished(now time.Time) bool {
	return k.state != Withdrawn && !k.dead(now)
}

// erasable tells whether the private key is kept for nothing.
func (k *key) erasable(now time.Time) bool { return k.dead(now) && len(k.sealed) > 0 }

// profile is what package jwt calls the purpose.
func profile(purpose string) (use jwt.Use, environment string) {
	if purpose == Assertion {
		return jwt.UseAssertion, ""
	}
	return jwt.UseAccessToken, purpose
}

func (r *Ring) algorithm(purpose string) jwt.Algorithm {
	if purpose == Assertion {
		return jwt.ES256
	}
	return r.config.Algorithm
}

// draft makes and seals a key that is not stored yet. It is done ahead of the
// transaction, which all others wait for: an RSA key takes its time.
func (r *Ring) draft(purpose string) (*key, error) {
	const randomLength = 10
	k := &key{id: purpose + kidInfix + string(id.NewSecret(r.config.Rand))[:randomLength], purpose: purpose, algorithm: r.algorithm(purpose)}
	use, environment := profile(purpose)
	private, err := jwt.GenerateKey(k.algorithm, k.id, use, environment)
	if err != nil {
		return nil, err
	}
	der, err := private.MarshalPKCS8()
	if err != nil {
		return nil, fmt.Errorf("encode signing key %s: %w", k.id, err)
	}
	defer clear(der)
	if k.sealed, err = r.config.Sealer.Seal(r.config.Rand, der, k.identity()); err != nil {
		return nil, fmt.Errorf("signing key %s: %w", k.id, err)
	}
	if k.public, err = x509.MarshalPKIXPublicKey(private.Public().Key); err != nil {
		return nil, fmt.Errorf("encode signing key %s: %w", k.id, err)
	}
	return k, nil
}

func (k *key) identity() string { return "signing_key.private_key/" + k.id }

var errAltered = errors.New("its row was altered in the database: restore the row, or delete it to have the key replaced")

// open opens the private key and holds the rest of the row against it: the
// seal vouches for the id, and the id and the private key for the rest.
func (r *Ring) open(k *key) error {
	der, err := r.config.Sealer.Open(k.sealed, k.identity())
	if err != nil {
		return fmt.Errorf("signing key %s cannot be read; start with the key-encryption key that this installation has always had: %w", k.id, err)
	}
	defer clear(der)
	use, environment := profile(k.purpose)
	k.private, err = jwt.ParsePrivateKey(der, k.id, use, environment)
	if err != nil {
		return fmt.Errorf("signing key %s: %w", k.id, err)
	}
	public := k.private.Public()
	pkix, err := x509.MarshalPKIXPublicKey(public.Key)
	if err != nil {
		return fmt.Errorf("signing key %s: %w", k.id, err)
	}
	if purposeOf(k.id) != k.purpose || public.Algorithm != k.algorithm || !bytes.Equal(pkix, k.public) {
		return fmt.Errorf("signing key %s: %w", k.id, errAltered)
	}
	return nil
}
