package tokensource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// within a bubble: the clock is the bubble's, and stands while anybody works.

func TestTokenIsRenewedInTheBackground(t *testing.T) {
	for _, lifetime := range []time.Duration{time.Hour, time.Minute, 10 * time.Second, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			i := &issuer{lifetime: int(lifetime / time.Second)}
			s := source(t, i.serve)
			first := ask(t, s)
			time.Sleep(lifetime*6/10 - time.Nanosecond)
			if got := ask(t, s); got != first || i.count() != 1 {
				t.Errorf("%v: %q after %d requests before 0.6 of the life, want %q after one", lifetime, got, i.count(), first)
			}
			wait := make(chan struct{})
			i.wait = wait
			time.Sleep(lifetime * 2 / 10)
			if got := ask(t, s); got != first {
				t.Errorf("%v: %q during the renewal, want %q", lifetime, got, first)
			}
			close(wait)
			synctest.Wait()
			if got, want := ask(t, s), "token-2"; got != want {
				t.Errorf("%v: %q after the renewal, want %q", lifetime, got, want)
			}
		})
	}
}

func TestRenewalsOfManySourcesAreSpread(t *testing.T) {
	const sources, lifetime = 1000, time.Hour
	steps := map[int]int{}
	for range sources {
		l := newLease("t", lifetime, time.Time{}.Add(time.Hour))
		part := float64(l.renew.Sub(time.Time{}.Add(time.Hour))) / float64(lifetime)
		if part < 0.6 || part >= 0.8 {
			t.Fatalf("renewal at %f of the life, want 0.6 to 0.8", part)
		}
		steps[int(part*100)]++
	}
	for step := 60; step < 80; step++ { // 50 expected in each
		if n := steps[step]; n < 15 || n > 110 {
			t.Errorf("%d of %d renewals at %d %% of the life, want about 50", n, sources, step)
		}
	}
}

func TestCallersWaitInTheMarginAndKeepTheTokenIfRenewalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{lifetime: 600}
		var broken atomic.Bool
		s := source(t, func(r *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			if broken.Load() {
				return nil, errors.New("connection refused")
			}
			return i.serve(r)
		})
		ask(t, s)
		time.Sleep(594 * time.Second)
		broken.Store(true)
		began := time.Now()
		if got := ask(t, s); got != "token-1" || time.Since(began) != time.Second {
			t.Errorf("%q after %v, want token-1 once the renewal had failed", got, time.Since(began))
		}
		began = time.Now()
		if got := ask(t, s); got != "token-1" || time.Since(began) != 0 {
			t.Errorf("%q after %v, want token-1 at once since a renewal failed just now", got, time.Since(began))
		}
		time.Sleep(10 * time.Second)
		if got, err := s.Token(t.Context()); err == nil {
			t.Errorf("token %q after its expiry, want the error of the server", got)
		}
		broken.Store(false)
		if got, want := ask(t, s), "token-2"; got != want {
			t.Errorf("token = %q, want %q", got, want)
		}
	})
}

func TestBackOffGrowsToHalfAMinute(t *testing.T) {
	for n, full := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 6: 30 * time.Second, 1 << 20: 30 * time.Second} {
		for range 100 {
			if got := backOff(n); got < full/2 || got > full {
				t.Errorf("back-off after failure %d is %v, want %v to %v", n, got, full/2, full)
			}
		}
	}
}

func TestRetryAfterIsReadInBothForms(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, row := range map[string]struct {
		header http.Header
		want   time.Duration
	}{
		"absent":                   {http.Header{}, 0},
		"seconds":                  {http.Header{"Retry-After": {"120"}}, 2 * time.Minute},
		"date by our clock":        {http.Header{"Retry-After": {now.Add(time.Minute).Format(http.TimeFormat)}}, time.Minute},
		"date by the server's":     {http.Header{"Retry-After": {now.Add(time.Hour).Format(http.TimeFormat)}, "Date": {now.Add(59 * time.Minute).Format(http.TimeFormat)}}, time.Minute},
		"date that has passed":     {http.Header{"Retry-After": {now.Add(-time.Hour).Format(http.TimeFormat)}}, 0},
		"negative":                 {http.Header{"Retry-After": {"-5"}}, 0},
		"nonsense":                 {http.Header{"Retry-After": {"soon"}}, 0},
		"longer than any lifetime": {http.Header{"Retry-After": {"2000000000"}}, maxLifetime},
	} {
		if got := retryAfter(row.header, now); got != row.want {
			t.Errorf("%s: %v, want %v", name, got, row.want)
		}
	}
}

// A machine that sleeps has a monotonic clock that stood still, and a wall clock
// that went on.
func TestTimePassesByEitherClock(t *testing.T) {
	now := time.Now()
	at := now.Add(time.Minute)
	asleep := now.Add(time.Hour).Round(0) // no monotonic reading: the wall clock's hour
	for name, row := range map[string]struct {
		now  time.Time
		want bool
	}{
		"before":        {now, false},
		"after":         {now.Add(time.Minute), true},
		"after a sleep": {asleep, true},
	} {
		if got := passed(row.now, at); got != row.want {
			t.Errorf("%s: passed = %t, want %t", name, got, row.want)
		}
	}
}

// traffic is a simulated hour of calls by many goroutines, with a server that is
// sometimes slow and sometimes fails.
type traffic struct {
	issued  sync.Map // token to its expiry
	count   atomic.Int64
	failing atomic.Bool
	slow    time.Duration
}

func (s *traffic) serve(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(s.slow):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if s.failing.Load() {
		return answer(http.StatusServiceUnavailable, `{}`), nil
	}
	value := fmt.Sprintf("token-%d", s.count.Add(1))
	s.issued.Store(value, time.Now().Add(time.Minute))
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(`{"access_token":"` + value + `","expires_in":60,"token_type":"Bearer"}`)),
	}, nil
}

func TestHourOfTrafficHasNoExpiredTokenAndNoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &traffic{slow: 200 * time.Millisecond}
		s := source(t, server.serve)
		ask(t, s)
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		var callers sync.WaitGroup
		for range 16 {
			callers.Go(func() {
				for ctx.Err() == nil {
					time.Sleep(rand.N(2 * time.Second))
					began := time.Now()
					token := ask(t, s)
					if waited := time.Since(began); waited > 0 {
						t.Errorf("a caller waited %v", waited)
					}
					expiry, ok := server.issued.Load(token)
					if !ok || !time.Now().Before(expiry.(time.Time)) {
						t.Errorf("a caller got %q, which has expired", token)
					}
				}
			})
		}
		// However the back-off falls, an outage of 3 s is over before a token ends.
		for range 30 {
			time.Sleep(117 * time.Second)
			server.failing.Store(true)
			time.Sleep(3 * time.Second)
			server.failing.Store(false)
		}
		callers.Wait()
		if got := server.count.Load(); got < 3600/50 || got > 3600/36+1 {
			t.Errorf("%d tokens in an hour, want 72 to 101", got)
		}
	})
}

func TestWarmTokenAllocatesNothing(t *testing.T) {
	s := source(t, (&issuer{lifetime: 600}).serve)
	ask(t, s)
	ctx := t.Context()
	if got := testing.AllocsPerRun(1000, func() { _, _ = s.Token(ctx) }); got != 0 {
		t.Errorf("%f allocations, want none", got)
	}
}

func TestFiveHundredColdCallersCauseOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &traffic{slow: time.Second}
		s := source(t, server.serve)
		var callers sync.WaitGroup
		for range 500 {
			callers.Go(func() { ask(t, s) })
		}
		callers.Wait()
		if got := server.count.Load(); got != 1 {
			t.Errorf("%d token requests, want 1", got)
		}
	})
}
