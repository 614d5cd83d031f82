package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
)

// KeySize is the length in bytes of the key-encryption key and of the tag key.
const KeySize = 32

// ErrOpen says that a sealed value did not open.
var ErrOpen = errors.New("sealed value does not open: the key-encryption key is another one than it was sealed with, or the value was changed or moved")

const (
	sealVersion = byte(1) // AES-256-GCM: version, nonce, ciphertext and tag
	nonceSize   = 12
)

// Sealer encrypts what must be read again, such as private keys, under the
// key-encryption key. It is safe for concurrent use.
type Sealer struct {
	aead cipher.AEAD
}

// NewSealer makes a Sealer of a key of KeySize bytes.
func NewSealer(kek []byte) (*Sealer, error) {
	if len(kek) != KeySize {
		return nil, fmt.Errorf("the key-encryption key has %d bytes: give one of %d", len(kek), KeySize)
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, fmt.Errorf("key-encryption key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("key-encryption key: %w", err)
	}
	return &Sealer{aead: aead}, nil
}

// Seal encrypts plaintext for the place that identity names, such as
// "signing_key.private_key/" and the row's id: it opens in no other. The nonce
// is drawn from rand, which must not repeat itself.
func (s *Sealer) Seal(rand io.Reader, plaintext []byte, identity string) ([]byte, error) {
	if identity == "" {
		return nil, errors.New("seal: no identity given")
	}
	sealed := make([]byte, 1+nonceSize, 1+nonceSize+len(plaintext)+s.aead.Overhead())
	sealed[0] = sealVersion
	nonce := sealed[1:]
	if _, err := io.ReadFull(rand, nonce); err != nil {
		return nil, fmt.Errorf("seal: draw a nonce: %w", err)
	}
	return s.aead.Seal(sealed, nonce, plaintext, additionalData(identity)), nil
}

// Open returns what Seal was given. Another key, another identity or a changed
// byte gives ErrOpen and nothing else.
func (s *Sealer) Open(sealed []byte, identity string) ([]byte, error) {
	if len(sealed) < 1+nonceSize || sealed[0] != sealVersion {
		return nil, ErrOpen
	}
	nonce, ciphertext := sealed[1:1+nonceSize], sealed[1+nonceSize:]
	plaintext, err := s.aead.Open(nil, nonce, ciphertext, additionalData(identity))
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

// additionalData binds the version too, so that a value cannot be passed off as
// one of a later version.
func additionalData(identity string) []byte {
	return append([]byte{sealVersion}, identity...)
}
