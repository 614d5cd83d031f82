package tokensource

import "time"

// EventKind is what happened.
type EventKind string

// The events.
const (
	Renewed     EventKind = "renewed"     // the source has a token that it had not before
	Failed      EventKind = "failed"      // an attempt to get a token failed
	Shared      EventKind = "shared"      // the token came from the shared cache
	Invalidated EventKind = "invalidated" // a token was dropped because an API refused it
	Repeated    EventKind = "repeated"    // a call is sent again with another token
)

// Event is one thing that a source did, for metrics and logs. It contains neither
// a token nor the secret.
type Event struct {
	Kind     EventKind
	ClientID string
	Lifetime time.Duration // of the token: Renewed, Shared
	Err      error         // Failed
	Next     time.Duration // Failed: until the next attempt to renew
}

func (s *Source) tell(event Event) {
	if s.config.Observe != nil {
		event.ClientID = s.config.ClientID
		s.config.Observe(event)
	}
}
