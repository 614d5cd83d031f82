package tokensource

import (
	"math/rand/v2"
	"time"
)

const (
	maxMargin   = 10 * time.Second
	maxLifetime = 24 * time.Hour
	maxBackOff  = 30 * time.Second
)

// lease is a token with its times by the source's clock. It never changes.
type lease struct {
	value    string
	lifetime time.Duration
	renew    time.Time // from then on it is renewed in the background
	late     time.Time // from then on callers wait for its renewal
	expiry   time.Time
}

// newLease draws the time of renewal: between 0.6 and 0.8 of the life, so that
// processes that started together do not renew together.
func newLease(value string, lifetime time.Duration, issued time.Time) *lease {
	fraction := 0.6 + 0.2*rand.Float64() //nolint:gosec // spreads load, protects nothing
	return &lease{
		value:    value,
		lifetime: lifetime,
		renew:    issued.Add(time.Duration(float64(lifetime) * fraction)),
		late:     issued.Add(lifetime - margin(lifetime)),
		expiry:   issued.Add(lifetime),
	}
}

// margin is how long before its end a token is no longer served without an attempt
// to renew it: 10 seconds, and of a short life a fifth, so that even such a token
// is used more than once.
func margin(lifetime time.Duration) time.Duration {
	return min(maxMargin, lifetime/5)
}

// passed tells whether the time has come, by the monotonic clock or by the wall
// clock: the former stands still while a machine sleeps, the latter may be set back.
func passed(now, at time.Time) bool {
	return !now.Before(at) || now.UnixNano() >= at.UnixNano()
}

// backOff is the time after the n-th failure in a row until the next attempt.
func backOff(n int) time.Duration {
	full := min(time.Second<<min(n-1, 10), maxBackOff)
	return full/2 + rand.N(full/2) //nolint:gosec // spreads load, protects nothing
}

// patience is the time that the server asked for, and up to a tenth more.
func patience(asked time.Duration) time.Duration {
	return asked + rand.N(asked/10+1) //nolint:gosec // spreads load, protects nothing
}
