package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
)

// NewToken draws 256 bits from rand in the form of a cookie's or link's value, of
// which the digest is stored.
func NewToken(rand io.Reader) (Plaintext, error) {
	var random [32]byte
	if _, err := io.ReadFull(rand, random[:]); err != nil {
		return Plaintext{}, fmt.Errorf("draw a token: %w", err)
	}
	return NewPlaintext(base64.RawURLEncoding.EncodeToString(random[:])), nil
}

// Digest is what is stored of a client secret: a byte that names the scheme,
// then the hash. SHA-256 without salt or stretching is right for values with
// 160 random bits, and wrong for passwords.
type Digest []byte

const (
	schemeSHA256 byte = 1
	digestLength      = 1 + sha256.Size
)

// DigestOf returns the digest to store of p.
func DigestOf(p Plaintext) Digest {
	sum := sha256.Sum256([]byte(p.Reveal()))
	return append(Digest{schemeSHA256}, sum[:]...)
}

// Matches reports whether presented is the secret of which d is the digest. It
// takes the same time for every d of the right length, and does not allocate for
// up to 64 bytes. A digest of an unknown scheme, and an empty one, match nothing.
func (d Digest) Matches(presented string) bool {
	if len(d) != digestLength || d[0] != schemeSHA256 {
		return false
	}
	var room [64]byte // on the stack: any client secret fits
	sum := sha256.Sum256(append(room[:0], presented...))
	return subtle.ConstantTimeCompare(d[1:], sum[:]) == 1
}
