package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync/atomic"
)

// KeySize is the length in bytes of the key-encryption key, of sealing keys and
// of the tag key.
const KeySize = 32

// ErrOpen says that a sealed value did not open.
var ErrOpen = errors.New("sealed value does not open: it was sealed with a key that is not there, or was changed or moved")

const (
	sealVersion = byte(1) // AES-256-GCM: version, number of the key, nonce, ciphertext and tag
	numberSize  = 4
	nonceSize   = 12
	headerSize  = 1 + numberSize
)

// Sealer encrypts what must be read again, such as private keys, under numbered
// sealing keys, which themselves are stored under the key-encryption key. It is
// safe for concurrent use.
type Sealer struct {
	keys atomic.Pointer[sealingKeys]
}

// sealingKeys are never changed once stored. The highest number seals.
type sealingKeys struct {
	newest  uint32
	numbers map[uint32]cipher.AEAD
}

// NewSealer makes a Sealer of one key of KeySize bytes, whose number is 1.
func NewSealer(key []byte) (*Sealer, error) {
	s := NewEmptySealer()
	if err := s.Add(1, key); err != nil {
		return nil, err
	}
	return s, nil
}

// NewEmptySealer makes a Sealer that opens nothing. It must not seal before a key
// is added.
func NewEmptySealer() *Sealer {
	s := &Sealer{}
	s.keys.Store(&sealingKeys{numbers: map[uint32]cipher.AEAD{}})
	return s
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("the key has %d bytes: give one of %d", len(key), KeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Add makes the Sealer open what the key of that number sealed, and seal with it
// if no number is higher. Only one goroutine at a time changes the keys.
func (s *Sealer) Add(number uint32, key []byte) error {
	aead, err := newAEAD(key)
	if err != nil {
		return fmt.Errorf("sealing key %d: %w", number, err)
	}
	before := s.keys.Load()
	numbers := maps.Clone(before.numbers)
	numbers[number] = aead
	s.keys.Store(&sealingKeys{max(before.newest, number), numbers})
	return nil
}

// Has says whether the Sealer has the key of that number.
func (s *Sealer) Has(number uint32) bool {
	_, ok := s.keys.Load().numbers[number]
	return ok
}

// Seal encrypts plaintext for the place that identity names, such as
// "signing_key.private_key/" and the row's id: it opens in no other. The nonce
// is drawn from rand, which must not repeat itself.
func (s *Sealer) Seal(rand io.Reader, plaintext []byte, identity string) ([]byte, error) {
	if identity == "" {
		return nil, errors.New("seal: no identity given")
	}
	keys := s.keys.Load()
	aead := keys.numbers[keys.newest]
	sealed := make([]byte, headerSize+nonceSize, headerSize+nonceSize+len(plaintext)+aead.Overhead())
	copy(sealed, SealedWith(keys.newest))
	nonce := sealed[headerSize:]
	if _, err := io.ReadFull(rand, nonce); err != nil {
		return nil, fmt.Errorf("seal: draw a nonce: %w", err)
	}
	return aead.Seal(sealed, nonce, plaintext, additionalData(sealed, identity)), nil
}

// Open returns what Seal was given. Another key, another identity or a changed
// byte gives ErrOpen and nothing else.
func (s *Sealer) Open(sealed []byte, identity string) ([]byte, error) {
	if len(sealed) < headerSize+nonceSize || sealed[0] != sealVersion {
		return nil, ErrOpen
	}
	aead := s.keys.Load().numbers[binary.BigEndian.Uint32(sealed[1:])]
	if aead == nil {
		return nil, ErrOpen
	}
	nonce, ciphertext := sealed[headerSize:headerSize+nonceSize], sealed[headerSize+nonceSize:]
	plaintext, err := aead.Open(nil, nonce, ciphertext, additionalData(sealed, identity))
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

// SealedWith is how values begin that the key of that number sealed.
func SealedWith(number uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{sealVersion}, number)
}

// additionalData binds version and number too, so that a value cannot be passed
// off as one of another.
func additionalData(sealed []byte, identity string) []byte {
	return append(append([]byte{}, sealed[:headerSize]...), identity...)
}
