package resourceserver

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/jwt"
)

const (
	retryInterval = 10 * time.Second // between two fetches, whatever asks for them
	keyLifetime   = 5 * time.Minute  // then keys are fetched anew, in the background
	fetchTimeout  = 10 * time.Second
)

// keySet is the issuer's keys in memory. A fetch that fails changes nothing: the
// last good keys stay. Keys are fetched when there are none, when a token names one
// that is not there, and when they are keyLifetime old (so that a withdrawn key
// is forgotten), but never twice within retryInterval, so that made-up key ids
// cannot cause a storm.
type keySet struct {
	origin *origin

	mu      sync.Mutex
	keys    map[string]*jwt.PublicKey // nil until the first success; replaced, never changed
	fetched time.Time                 // of the last success
	tried   time.Time                 // of the last attempt's start
	failure error                     // of the last attempt; nil if it was good
	flight  chan struct{}             // closed when the attempt under way ends; nil: none is
}

func newKeySet(issuer *url.URL, client *http.Client) *keySet {
	return &keySet{origin: newOrigin(issuer, client)}
}

// find returns the key, nil if the issuer has none of that id, or an error if
// there are no keys at all.
func (s *keySet) find(ctx context.Context, kid string) (*jwt.PublicKey, error) {
	key, flight := s.look(kid)
	if key != nil {
		return key, nil
	}
	if flight != nil {
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the issuer's keys: %w", context.Cause(ctx))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		return nil, s.failure
	}
	return s.keys[kid], nil
}

// look returns the key if it is here; it starts a fetch where one is due, and
// returns the one under way.
func (s *keySet) look(kid string) (*jwt.PublicKey, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := s.keys[kid]
	due := key == nil || time.Since(s.fetched) >= keyLifetime
	if due && s.flight == nil && (s.tried.IsZero() || time.Since(s.tried) >= retryInterval) {
		s.tried, s.flight = time.Now(), make(chan struct{})
		go s.load() // ends with its own time-out; callers without a key wait for it
	}
	return key, s.flight
}

// holds tells whether the key still is one of the issuer's. It starts a fetch where
// one is due.
func (s *keySet) holds(key *jwt.PublicKey) bool {
	current, _ := s.look(key.ID)
	return current == key
}

func (s *keySet) load() {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	keys, err := s.origin.keys(ctx)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure = err; err == nil {
		for kid, key := range keys {
			if known := s.keys[kid]; known != nil && known.Equal(key) {
				keys[kid] = known // so that tokens verified with it stay remembered
			}
		}
		s.keys, s.fetched = keys, time.Now()
	}
	close(s.flight)
	s.flight = nil
}
