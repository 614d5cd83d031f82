package redistoken

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/doorward/doorward/tokensource"
)

// entry is where the token of a key lies, and what opens it.
type entry struct {
	name, lock string
	aead       cipher.AEAD
}

// content is what is encrypted.
type content struct {
	AccessToken string `json:"access_token"`
	Lifetime    int64  `json:"lifetime"` // milliseconds, from issue to expiry
}

func newEntry(key tokensource.Key) (*entry, error) {
	keys, err := hkdf.Key(sha256.New, []byte(key.Secret), nil, "doorward token cache v1", 64)
	if err != nil {
		return nil, fmt.Errorf("derive the keys of the cache: %w", err)
	}
	mac := hmac.New(sha256.New, keys[32:])
	_, _ = mac.Write([]byte(strings.Join([]string{key.TokenURL, key.ClientID, key.Scopes, key.Audience}, "\n")))
	block, err := aes.NewCipher(keys[:32])
	if err != nil {
		return nil, fmt.Errorf("derive the keys of the cache: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("derive the keys of the cache: %w", err)
	}
	name := "doorward:token:" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	return &entry{name: name, lock: name + ":lock", aead: aead}, nil
}

func (e *entry) seal(c content) (string, error) {
	text, err := json.Marshal(c) //nolint:gosec // it is encrypted below
	if err != nil {
		return "", fmt.Errorf("write a token for the cache: %w", err)
	}
	nonce := make([]byte, e.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return base64.RawURLEncoding.EncodeToString(e.aead.Seal(nonce, nonce, text, []byte(e.name))), nil
}

func (e *entry) open(value string) (content, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || len(sealed) < e.aead.NonceSize() {
		return content{}, errors.New("the value in the cache is not one of ours")
	}
	text, err := e.aead.Open(nil, sealed[:e.aead.NonceSize()], sealed[e.aead.NonceSize():], []byte(e.name))
	if err != nil {
		return content{}, errors.New("the value in the cache cannot be decrypted")
	}
	var c content
	if err := json.Unmarshal(text, &c); err != nil || c.AccessToken == "" || c.Lifetime <= 0 {
		return content{}, errors.New("the value in the cache is no token")
	}
	return c, nil
}
