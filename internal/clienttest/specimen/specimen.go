// Package specimen is a small client that keeps the contract of docs/clients.md,
// and a number of them that each break it in one place: clienttest must tell them
// apart. It favours plainness over speed; a product uses package tokensource.
package specimen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/clienttest"
)

// Fault is what a specimen does wrong. The zero Fault is a good client.
type Fault string

// The faults, each named after what the client does.
const (
	RenewsAtExpiry       Fault = "renews at expiry"
	KeepsTenSeconds      Fault = "takes tokens of less than 10 s for expired"
	FliesEachAlone       Fault = "sends a request for each caller"
	RenewsWithoutJitter  Fault = "renews at a fixed part of the life"
	TrustsClaims         Fault = "reads the expiry from the token"
	GivesExpired         Fault = "gives expired tokens"
	FailsWhileRenewing   Fault = "passes on the error of a renewal"
	NeverBacksOff        Fault = "does not back off"
	IgnoresRetryAfter    Fault = "ignores Retry-After"
	AsksDespiteRefusal   Fault = "does not remember invalid_client"
	RemembersAllFailures Fault = "remembers every failure"
	TellsSecret          Fault = "quotes the server's words with the secret"
	RepeatsTwice         Fault = "repeats a call twice"
	RepeatsAny401        Fault = "repeats on every 401"
	RepeatsOn403         Fault = "repeats on 403"
	LosesBody            Fault = "repeats without the body"
	ReplaysStreams       Fault = "repeats a stream that has been read"
	DropsForEachCall     Fault = "fetches a token for each refused call"
	DropsAnyToken        Fault = "drops whatever token it has"
	MixesScopes          Fault = "leaves the scopes out of the cache key"
	GuessesStyle         Fault = "tries the other authentication style"
	FollowsRedirects     Fault = "follows redirects with the secret"
	CannotLeave          Fault = "lets callers wait until the end"
	WaitsForEver         Fault = "has no time-out"
)

// Broken maps each fault to the one row that must fail because of it.
var Broken = map[Fault]string{
	RenewsAtExpiry:       "early renewal",
	KeepsTenSeconds:      "short lives",
	FliesEachAlone:       "one flight",
	RenewsWithoutJitter:  "jitter",
	TrustsClaims:         "clock skew",
	GivesExpired:         "expiry",
	FailsWhileRenewing:   "failed renewal",
	NeverBacksOff:        "back-off",
	IgnoresRetryAfter:    "Retry-After",
	AsksDespiteRefusal:   "negative cache",
	RemembersAllFailures: "other failures",
	TellsSecret:          "secrets",
	RepeatsTwice:         "repeat once",
	RepeatsAny401:        "challenges",
	RepeatsOn403:         "never on 403",
	LosesBody:            "replayed bodies",
	ReplaysStreams:       "streams",
	DropsForEachCall:     "interval",
	DropsAnyToken:        "compare and delete",
	MixesScopes:          "isolation",
	GuessesStyle:         "authentication style",
	FollowsRedirects:     "redirects",
	CannotLeave:          "leaving",
	WaitsForEver:         "time-out",
}

// Serve is the client process of the fault.
func Serve(fault Fault, in io.Reader, out io.Writer) error {
	c := &client{fault: fault, now: clienttest.Start, shared: map[string]*source{}}
	return clienttest.Client{
		Name:    "specimen",
		More:    []string{clienttest.CanTimeout, clienttest.CanShare},
		Open:    c.open,
		Advance: c.advance,
	}.Serve(in, out, true, true)
}

type client struct {
	fault  Fault
	shared map[string]*source

	mu  sync.Mutex
	now time.Time
}

func (c *client) advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

func (c *client) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *client) open(command clienttest.Command) (clienttest.Source, error) {
	s := &source{client: c, config: command, http: &http.Client{}}
	if c.fault != FollowsRedirects {
		s.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	if command.Shared {
		s = c.share(s)
	}
	return clienttest.Source{Token: s.Token, Invalidate: func(token string) { s.invalidate(token) }, Transport: s, Printed: "specimen"}, nil
}

func (c *client) share(s *source) *source {
	scopes := strings.Join(slices.Sorted(slices.Values(s.config.Scopes)), " ")
	if c.fault == MixesScopes {
		scopes = ""
	}
	key := strings.Join([]string{s.config.TokenURL, s.config.ClientID, s.config.ClientSecret, scopes, s.config.Audience}, "\n")
	if c.shared[key] == nil {
		c.shared[key] = s
	}
	return c.shared[key]
}

// source keeps one token.
type source struct {
	client *client
	config clienttest.Command
	http   *http.Client

	mu       sync.Mutex
	current  *token
	flight   *flight
	had      bool      // a token, ever
	refused  *refusal  // the last failure, if it is to be remembered
	failures int       // renewals that failed in a row
	renewal  time.Time // not before
	dropped  time.Time // when a token was last invalidated
}

type token struct {
	value               string
	renew, late, expiry time.Time
}

type flight struct {
	done  chan struct{}
	token *token
	err   error
}

// refusal is a failure, and until when it is remembered.
type refusal struct {
	err   error
	until time.Time
}

// Token gives the token in memory or a new one.
func (s *source) Token(ctx context.Context) (string, error) {
	current, flight, err := s.look()
	if flight == nil {
		return current, err
	}
	if s.client.fault == CannotLeave {
		ctx = context.Background()
	}
	select {
	case <-flight.done:
	case <-ctx.Done():
		return "", errors.New("the caller left")
	}
	if flight.err != nil && current == "" {
		return "", flight.err
	}
	if flight.err != nil {
		return current, nil
	}
	return flight.token.value, nil
}

// look decides: a token in memory, a flight to wait for, or an error.
func (s *source) look() (string, *flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.client.time()
	current := s.current
	valid := current != nil && (now.Before(current.expiry) || s.client.fault == GivesExpired && s.flight == nil)
	switch {
	case valid && now.Before(current.renew):
		return current.value, nil, nil
	case valid && s.client.fault == FailsWhileRenewing && now.Before(s.renewal):
		return "", nil, s.refused.err
	case valid && s.flight == nil && now.Before(s.renewal):
		return current.value, nil, nil
	case !valid && s.refused != nil && now.Before(s.refused.until):
		return "", nil, s.refused.err
	}
	flight := s.fly()
	switch {
	case !valid:
		return "", flight, nil
	case now.Before(current.late):
		return current.value, nil, nil
	case s.client.fault == GivesExpired:
		return current.value, nil, nil
	}
	return current.value, flight, nil
}

func (s *source) fly() *flight {
	if s.flight != nil && (s.client.fault != FliesEachAlone || s.had) {
		return s.flight
	}
	f := &flight{done: make(chan struct{})}
	s.flight = f
	go s.run(f) // ends with its time-out
	return f
}

func (s *source) run(f *flight) {
	limit := 30 * time.Second
	if s.config.RequestTimeout > 0 {
		limit = time.Duration(s.config.RequestTimeout) * time.Millisecond
	}
	if s.client.fault == WaitsForEver {
		limit = time.Hour
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	got, err := s.fetch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(f.done)
	if s.flight == f {
		s.flight = nil
	}
	f.token, f.err = got, err
	if err != nil {
		s.fail(err)
		return
	}
	s.current, s.had, s.failures, s.refused, s.renewal = got, true, 0, nil, time.Time{}
}

// fail notes what follows from a failure.
func (s *source) fail(err error) {
	now := s.client.time()
	step := min(time.Second<<min(s.failures, 5), 30*time.Second)
	wait := step/2 + rand.N(step/2) //nolint:gosec // jitter
	s.failures++
	remember := time.Duration(0)
	answered := &answerError{}
	switch {
	case errors.As(err, &answered) && answered.retryAfter > 0 && s.client.fault != IgnoresRetryAfter:
		wait, remember = answered.retryAfter, answered.retryAfter
	case errors.As(err, &answered) && slices.Contains([]string{"invalid_client", "unauthorized_client"}, answered.code) && s.client.fault != AsksDespiteRefusal:
		remember = 5 * time.Second
	case s.client.fault == RemembersAllFailures && (answered.code == "temporarily_unavailable" || errors.Is(err, io.EOF)):
		remember = time.Second
	}
	s.refused = &refusal{err: err, until: now.Add(remember)}
	if s.client.fault != NeverBacksOff || answered.retryAfter > 0 {
		s.renewal = now.Add(wait)
	}
}

// invalidate drops the token if it is the current one.
func (s *source) invalidate(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.client.time()
	switch {
	case s.current == nil || s.current.value != value && s.client.fault != DropsAnyToken:
	case now.Sub(s.dropped) < 5*time.Second && s.client.fault != DropsForEachCall:
	default:
		s.current, s.dropped = nil, now
	}
}

// Format keeps the source out of every print.
func (s *source) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "specimen") }
