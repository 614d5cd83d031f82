package tokensource

import (
	"context"
	"errors"
	"time"
)

// flight is one attempt to get a token that any number of callers wait for.
type flight struct {
	done  chan struct{} // closed when lease and err are set
	lease *lease
	err   error
}

// serving is a token that is given to everybody until a time, without a look at
// anything else.
type serving struct {
	lease *lease
	until time.Time
}

// refusal is a failure that is remembered.
type refusal struct {
	err   error
	until time.Time
}

const (
	refusalTime   = 5 * time.Second  // for wrong credentials
	maxRetryAfter = 60 * time.Second // without a token, whatever the server asks for
)

// board returns the token in memory, the flight to wait for, or both: then the
// token is what remains if the flight fails.
func (s *Source) board(ctx context.Context) (*lease, *flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	current := s.current
	if current != nil && passed(now, current.expiry) {
		current = nil
	}
	switch {
	case current != nil && (!passed(now, current.renew) || !passed(now, s.notBefore)):
		return current, nil, nil
	case current == nil && s.flight == nil && !passed(now, s.refusal.until):
		return nil, nil, s.refusal.err
	}
	if s.flight == nil {
		s.flight = &flight{done: make(chan struct{})}
		s.publish()
		go s.fly(context.WithoutCancel(ctx), s.flight, s.dropped) // ends with its own time-out; its callers wait for it
	}
	if current != nil && (!passed(now, current.late) || s.failures > 0) {
		return current, nil, nil
	}
	return current, s.flight, nil
}

// publish says what Token may give without asking. The mutex is held.
func (s *Source) publish() {
	current := s.current
	if current == nil {
		s.serving.Store(nil)
		return
	}
	until := current.renew
	switch {
	case s.flight != nil && s.failures > 0:
		until = current.expiry
	case s.flight != nil:
		until = current.late
	case s.failures > 0:
		until = current.expiry
		if s.notBefore.Before(until) {
			until = s.notBefore
		}
	}
	s.serving.Store(&serving{lease: current, until: until})
}

// fly gets a token from the cache or the server.
func (s *Source) fly(ctx context.Context, f *flight, dropped string) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	got, err := s.cached(ctx, dropped)
	s.tell(s.land(f, got, err))
}

// land notes what the flight brought.
func (s *Source) land(f *flight, got *lease, err error) Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.lease, f.err, s.flight = got, err, nil
	event := Event{Kind: Renewed, Err: err}
	if err != nil {
		event.Kind, event.Next = Failed, s.fail(err)
	} else {
		event.Lifetime = got.lifetime
		s.current, s.failures, s.notBefore, s.refusal = got, 0, time.Time{}, refusal{}
	}
	s.publish()
	close(f.done)
	return event
}

// fail notes a failure; it returns the time until the next attempt to renew.
func (s *Source) fail(err error) time.Duration {
	s.failures++
	wait, remembered := backOff(s.failures), time.Duration(0)
	if refused, ok := errors.AsType[*Error](err); ok {
		switch {
		case refused.RetryAfter > 0:
			wait, remembered = patience(refused.RetryAfter), min(refused.RetryAfter, maxRetryAfter)
		case refused.Code == "invalid_client" || refused.Code == "unauthorized_client":
			remembered = refusalTime
		}
	}
	now := s.now()
	s.notBefore = now.Add(wait)
	s.refusal = refusal{err: err, until: now.Add(remembered)}
	return wait
}

// cached asks the shared cache, if there is one, and the server behind it.
func (s *Source) cached(ctx context.Context, dropped string) (*lease, error) {
	var own *lease
	fetch := func(ctx context.Context) (Token, error) {
		got, err := s.fetch(ctx)
		if err != nil {
			return Token{}, err
		}
		own = got
		return Token{Value: got.value, Lifetime: got.lifetime, Left: got.expiry.Sub(s.now())}, nil
	}
	if s.config.Cache == nil {
		_, err := fetch(ctx)
		return own, err
	}
	if dropped != "" {
		s.config.Cache.Drop(ctx, s.key, dropped)
	}
	got, err := s.config.Cache.Fetch(ctx, s.key, s.acceptable(dropped), fetch)
	switch {
	case err != nil:
		return nil, err
	case own != nil && own.value == got.Value:
		return own, nil // the times are exact
	}
	s.tell(Event{Kind: Shared, Lifetime: got.Lifetime})
	return newLease(got.Value, got.Lifetime, s.now().Add(got.Left-got.Lifetime)), nil
}

// acceptable is what a token of the shared cache must be: not the one that was
// refused, good for a while, and for longer than the source's own.
func (s *Source) acceptable(dropped string) func(Token) bool {
	s.mu.Lock()
	current := s.current
	s.mu.Unlock()
	return func(t Token) bool {
		if !isToken(t.Value) || t.Value == dropped || t.Left <= margin(t.Lifetime) {
			return false
		}
		return current == nil || t.Value != current.value && s.now().Add(t.Left).After(current.expiry)
	}
}
