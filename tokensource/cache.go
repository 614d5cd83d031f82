package tokensource

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Key names a token: sources with the same key may use the same one. A change of
// the client secret is another key.
type Key struct {
	TokenURL string
	ClientID string
	Scopes   string // sorted, each once, joined by a space
	Audience string
	Secret   Secret
}

// Token is an access token and its life.
type Token struct {
	Value    string
	Lifetime time.Duration // from its issue to its end
	Left     time.Duration // of the lifetime, when this was returned
}

// Format shows no more than the token's life, for every verb.
func (t Token) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "tokensource.Token(%v of %v left)", t.Left, t.Lifetime)
}

// Cache shares tokens among sources. A cache that is out of order does without:
// it never fails a caller whom the server would have served.
type Cache interface {
	// Fetch returns the token that lies under the key, if accept finds it good,
	// or else the one that fetch gets from the server, having put it there. It
	// makes others that want the same token wait, or find it, where it can.
	Fetch(ctx context.Context, key Key, accept func(Token) bool, fetch func(context.Context) (Token, error)) (Token, error)
	// Drop removes the token under the key if it still is that one.
	Drop(ctx context.Context, key Key, token string)
}

// Memory is a Cache for the sources of one process. The zero Memory is ready; it
// must not be copied. Most programs need none: a Source remembers its own token.
type Memory struct {
	Now func() time.Time // for tests; nil: time.Now

	mu      sync.Mutex
	entries map[Key]*entry
	sweepAt int // entries; then those that expired are removed
}

type entry struct {
	turn   chan struct{} // holds one value while a source fetches
	token  Token
	expiry time.Time
}

const firstSweep = 64 // entries

var _ Cache = (*Memory)(nil)

// Fetch lets one source at a time fetch the token of a key.
func (m *Memory) Fetch(ctx context.Context, key Key, accept func(Token) bool, fetch func(context.Context) (Token, error)) (Token, error) {
	e := m.entry(key)
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return Token{}, fmt.Errorf("wait for another source's access token: %w", context.Cause(ctx))
	}
	if token, ok := m.load(e); ok && accept(token) {
		return token, nil
	}
	token, err := fetch(ctx)
	if err == nil {
		m.store(key, e, token)
	}
	return token, err
}

// Drop removes the token.
func (m *Memory) Drop(_ context.Context, key Key, token string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.entries[key]; e != nil && e.token.Value == token {
		e.token, e.expiry = Token{}, time.Time{}
	}
}

func (m *Memory) now() time.Time {
	if m.Now != nil {
		return m.Now()
	}
	return time.Now()
}

func (m *Memory) entry(key Key) *entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entries == nil {
		m.entries, m.sweepAt = map[Key]*entry{}, firstSweep
	}
	e := m.entries[key]
	if e == nil {
		e = &entry{turn: make(chan struct{}, 1)}
		m.entries[key] = e
	}
	return e
}

func (m *Memory) load(e *entry) (Token, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	token := e.token
	token.Left = e.expiry.Sub(m.now())
	return token, token.Left > 0
}

func (m *Memory) store(key Key, e *entry, token Token) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	e.token, e.expiry = token, now.Add(token.Left)
	m.entries[key] = e // a sweep may have taken it meanwhile
	if len(m.entries) < m.sweepAt {
		return
	}
	for other, e := range m.entries {
		if !now.Before(e.expiry) && len(e.turn) == 0 {
			delete(m.entries, other)
		}
	}
	m.sweepAt = max(firstSweep, 2*len(m.entries))
}

// Format shows nothing of what is in the cache.
func (m *Memory) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "tokensource.Memory") }
