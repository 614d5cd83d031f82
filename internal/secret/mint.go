package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/doorward/doorward/internal/id"
)

// Pattern is the regular expression (RE2) that finds client secrets in text. It
// is published, so that secret scanners can know a leaked one.
const Pattern = `dw_[spo]_[0-9a-z]{12}_[0-9A-Za-z]{35}`

// The environment letters of client secrets, by the owner of the client.
const (
	SandboxLetter    byte = 's' // a sandbox account
	ProductionLetter byte = 'p' // a production account
	OwnerLetter      byte = 'o' // an organisation or the operator
)

// A client secret reads dw_s_<public id>_<random><tag>, all in [A-Za-z0-9_], so
// that form-encoding leaves it as it is.
const (
	prefix       = "dw_"
	letterAt     = len(prefix)
	publicAt     = letterAt + 2
	publicEnd    = publicAt + 12
	randomAt     = publicEnd + 1
	randomLength = 27 // of 62 characters: 160.7 bits
	tagAt        = randomAt + randomLength
	tagLength    = 8 // of 62 characters: 47.6 bits
	textLength   = tagAt + tagLength
)

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Mint makes client secrets and recognises its own by their keyed tag, so that
// a made-up one is refused before anything is looked up. It is safe for
// concurrent use.
type Mint struct {
	inner, outer [sha256.BlockSize]byte // the tag key, padded as HMAC wants it
}

// NewMint makes a Mint of a tag key of KeySize bytes. All nodes of an
// installation share the key; secrets of another key are not recognised.
func NewMint(tagKey []byte) (*Mint, error) {
	if len(tagKey) != KeySize {
		return nil, fmt.Errorf("the tag key has %d bytes: give one of %d", len(tagKey), KeySize)
	}
	m := new(Mint)
	copy(m.inner[:], tagKey)
	copy(m.outer[:], tagKey)
	for i := range sha256.BlockSize {
		m.inner[i] ^= 0x36
		m.outer[i] ^= 0x5c
	}
	return m, nil
}

// New draws a client secret from rand: env is one of the three letters, public
// the id under which the secret's digest is stored.
func (m *Mint) New(rand io.Reader, env byte, public id.Secret) (Plaintext, error) {
	if !isEnvironmentLetter(env) {
		return Plaintext{}, fmt.Errorf("client secret: no environment has the letter %q", env)
	}
	if _, ok := id.ParseSecret(string(public)); !ok {
		return Plaintext{}, fmt.Errorf("client secret: %q is not the public id of one", string(public))
	}
	text := make([]byte, textLength)
	copy(text, prefix)
	text[letterAt], text[publicAt-1], text[publicEnd] = env, '_', '_'
	copy(text[publicAt:], public)
	if err := drawInto(rand, text[randomAt:tagAt]); err != nil {
		return Plaintext{}, fmt.Errorf("client secret: draw it: %w", err)
	}
	tag := m.tag(string(text[:tagAt]))
	copy(text[tagAt:], tag[:])
	return NewPlaintext(string(text)), nil
}

// Parse returns the public id and the environment letter of a presented client
// secret, if it has the form of one and a tag of this Mint. That it was ever
// issued, and to whom, only its stored Digest tells.
//
// The tag is computed for anything of the right length and compared in constant
// time, and nothing is allocated: the id shares the memory of presented, so
// clone it to keep it.
func (m *Mint) Parse(presented string) (public id.Secret, env byte, ok bool) {
	if len(presented) != textLength {
		return "", 0, false
	}
	tag := m.tag(presented[:tagAt])
	var got [tagLength]byte
	copy(got[:], presented[tagAt:])
	genuine := subtle.ConstantTimeCompare(got[:], tag[:]) == 1
	// The tag covers the form: what New did not write has no tag. It is checked
	// all the same, so that a lost tag key does not also lose the form.
	public, named := id.ParseSecret(presented[publicAt:publicEnd])
	if !genuine || !named || !isForm(presented) {
		return "", 0, false
	}
	return public, presented[letterAt], true
}

// tag is the HMAC-SHA-256 (RFC 2104) of the text before the tag, shortened. It
// is spelled out because the text has a fixed length: so it needs no state, no
// lock and no memory but the stack.
func (m *Mint) tag(text string) [tagLength]byte {
	var first [sha256.BlockSize + tagAt]byte
	copy(first[:], m.inner[:])
	copy(first[sha256.BlockSize:], text)
	sum := sha256.Sum256(first[:])

	var second [sha256.BlockSize + sha256.Size]byte
	copy(second[:], m.outer[:])
	copy(second[sha256.BlockSize:], sum[:])
	sum = sha256.Sum256(second[:])

	var tag [tagLength]byte
	value := binary.BigEndian.Uint64(sum[:])
	for i := range tag {
		tag[i] = alphabet[value%uint64(len(alphabet))]
		value /= uint64(len(alphabet))
	}
	return tag
}

// Authenticate returns the HMAC-SHA-256 (RFC 2104) of a message under the tag
// key, for a purpose of the caller's: what was authenticated for one purpose is
// not for another, and is never the tag of a secret.
func (m *Mint) Authenticate(purpose string, message []byte) [sha256.Size]byte {
	text := append(m.inner[:len(m.inner):len(m.inner)], purpose...)
	text = append(append(text, 0), message...) // no secret has a zero byte
	sum := sha256.Sum256(text)
	return sha256.Sum256(append(m.outer[:len(m.outer):len(m.outer)], sum[:]...))
}

// drawInto fills out with characters of the alphabet, each as likely as the
// others.
func drawInto(rand io.Reader, out []byte) error {
	const fair = 256 - 256%len(alphabet) // bytes from here on would favour the first characters
	var batch [32]byte
	for n := 0; n < len(out); {
		if _, err := io.ReadFull(rand, batch[:]); err != nil {
			return err
		}
		for _, b := range batch {
			if int(b) < fair && n < len(out) {
				out[n] = alphabet[int(b)%len(alphabet)]
				n++
			}
		}
	}
	return nil
}

func isForm(text string) bool {
	if text[:letterAt] != prefix || !isEnvironmentLetter(text[letterAt]) || text[publicAt-1] != '_' || text[publicEnd] != '_' {
		return false
	}
	for i := randomAt; i < textLength; i++ {
		c := text[i]
		if (c < '0' || '9' < c) && (c < 'A' || 'Z' < c) && (c < 'a' || 'z' < c) {
			return false
		}
	}
	return true
}

func isEnvironmentLetter(c byte) bool {
	return c == SandboxLetter || c == ProductionLetter || c == OwnerLetter
}
