package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/sqldb"
	"github.com/doorward/doorward/tokensource"
)

// tokenCache keeps access tokens in files of the user's cache folder, so that
// commands that follow each other ask the server once. Where a file cannot be
// read, locked or written, it does without.
type tokenCache struct{}

var _ tokensource.Cache = tokenCache{}

// keptToken is the content of a file.
type keptToken struct {
	Value    string        `json:"access_token"`
	Lifetime time.Duration `json:"lifetime"` // in nanoseconds
	Expiry   time.Time     `json:"expires_at"`
}

// path is the file of a key. Its name tells nothing about the secret, and
// another secret is another file.
func (tokenCache) path(key tokensource.Key) (string, error) {
	folder, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, []byte(key.Secret))
	fmt.Fprintf(mac, "%s\n%s\n%s\n%s", key.TokenURL, key.ClientID, key.Scopes, key.Audience)
	return filepath.Join(folder, "doorward", "tokens", hex.EncodeToString(mac.Sum(nil)[:16])+".json"), nil
}

// Fetch returns the token of the file, or fetches one while others wait.
func (c tokenCache) Fetch(
	ctx context.Context, key tokensource.Key, accept func(tokensource.Token) bool, fetch func(context.Context) (tokensource.Token, error),
) (tokensource.Token, error) {
	path, err := c.path(key)
	if err != nil {
		return fetch(ctx)
	}
	if token, ok := c.load(path); ok && accept(token) {
		return token, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fetch(ctx)
	}
	unlock, err := sqldb.LockFile(path+".lock", true)
	if err != nil {
		return fetch(ctx)
	}
	defer unlock()
	if token, ok := c.load(path); ok && accept(token) {
		return token, nil // who held the lock before has written it
	}
	token, err := fetch(ctx)
	if err != nil {
		return token, err
	}
	text, err := json.Marshal(keptToken{Value: token.Value, Lifetime: token.Lifetime, Expiry: time.Now().Add(token.Left)}) //nolint:gosec // G117: the cache is where the token is kept
	if err == nil {
		_ = writePrivate(path, text) // without it the next command asks again
	}
	return token, nil
}

// Drop removes the token if it still is that one.
func (c tokenCache) Drop(_ context.Context, key tokensource.Key, token string) {
	path, err := c.path(key)
	if err != nil {
		return
	}
	if kept, ok := c.load(path); ok && kept.Value == token {
		_ = os.Remove(path)
	}
}

// load reads a file that its owner alone may read.
func (tokenCache) load(path string) (token tokensource.Token, ok bool) {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		return token, false
	}
	text, err := os.ReadFile(path) //nolint:gosec // of the user's own cache folder
	var kept keptToken
	if err != nil || json.Unmarshal(text, &kept) != nil {
		return token, false
	}
	left := min(time.Until(kept.Expiry), kept.Lifetime) // a clock that was set back makes no token live longer
	return tokensource.Token{Value: kept.Value, Lifetime: kept.Lifetime, Left: left}, left > 0
}

// forgetToken removes what is kept of the profile.
func (p *profile) forgetToken() {
	path, err := tokenCache{}.path(tokensource.Key{
		TokenURL: p.tokens.TokenURL, ClientID: p.tokens.ClientID, Audience: p.tokens.Audience, Secret: p.tokens.ClientSecret,
		Scopes: strings.Join(slices.Compact(slices.Sorted(slices.Values(p.tokens.Scopes))), " "),
	})
	if err == nil {
		_, _ = os.Remove(path), os.Remove(path+".lock")
	}
}
