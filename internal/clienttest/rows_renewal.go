package clienttest

import (
	"fmt"
	"net/http"
	"time"
)

// Renewal is due between these parts of a lifetime.
const (
	renewFrom  = 0.6
	renewUntil = 0.8
	steps      = 10 // in which rows walk from the one to the other
)

func renewalRows() []Row {
	clock := []string{CanClock}
	return []Row{
		{Name: "early renewal", Says: "tokens of 600 and 60 s are kept until 0.6 of their life and renewed in the background before 0.8, the old one being served meanwhile", Needs: clock, check: earlyRenewal},
		{Name: "short lives", Says: "tokens of 5 s and of 1 s are used until 0.8 of their life, too", check: shortLives},
		{Name: "jitter", Says: "20 sources that got their tokens at once renew them spread over the time from 0.6 to 0.8 of the life", Needs: clock, check: jitter},
		{Name: "clock skew", Says: "a server whose clock is an hour ahead or behind changes nothing", Needs: clock, check: clockSkew},
		{Name: "hour of traffic", Says: "through an hour of calls with tokens of 60 s no caller gets an expired token, and few are fetched", Needs: clock, check: hourOfTraffic},
		{Name: "expiry", Says: "an expired token is not given, also when nobody asked for it meanwhile", Needs: clock, check: expiry},
	}
}

func part(lifetime time.Duration, of float64) time.Duration {
	return time.Duration(float64(lifetime) * of)
}

// walk goes from 0.6 of the life, at which the clock stands, to just before 0.8,
// in steps, and looks after each whether it shall end.
func (t *trial) walk(lifetime time.Duration, step func() (end bool)) {
	for i := range steps {
		by := part(lifetime, (renewUntil-renewFrom)/steps)
		if i == steps-1 {
			by -= max(part(lifetime, 0.0005), time.Millisecond)
		}
		t.advance(by.Truncate(time.Millisecond))
		if t.err != nil || step() {
			return
		}
	}
}

func earlyRenewal(t *trial) {
	for _, lifetime := range []time.Duration{600 * time.Second, 60 * time.Second} {
		t.renewsEarly(fmt.Sprint(lifetime), lifetime, 0)
	}
}

// shortLives looks at a token of 5 s twice, which a client in real time can do in
// time, and follows such tokens up to 0.8 of their life where the clock can be
// moved. Whether they are renewed early is another row's subject.
func shortLives(t *trial) {
	t.platform.setGrant(granting(5 * time.Second))
	t.open("a")
	t.same("a", t.token("a"), "of 5 s at the second call")
	if t.lacks([]string{CanClock}) != "" {
		return
	}
	for _, lifetime := range []time.Duration{5 * time.Second, time.Second} {
		name := fmt.Sprint("of ", lifetime)
		before := t.quiet()
		t.platform.setGrant(granting(lifetime))
		t.open(name)
		first := t.token(name)
		t.advance(part(lifetime, renewFrom) - time.Millisecond)
		t.same(name, first, "at 0.6 of "+fmt.Sprint(lifetime))
		t.noFurther(before+1, "at 0.6 of "+fmt.Sprint(lifetime))
		gate, open := t.hold()
		t.platform.setGrant(func(int, *tokenRequest) reply { return reply{lifetime: lifetime, hold: gate} })
		t.advance(time.Millisecond)
		t.walk(lifetime, func() bool {
			t.same(name, first, fmt.Sprintf("before 0.8 of %v", lifetime))
			return t.err != nil
		})
		open()
	}
}

// renewsEarly follows one token of a new source.
func (t *trial) renewsEarly(source string, lifetime, skew time.Duration) {
	before, _ := t.platform.requests()
	t.platform.setGrant(func(int, *tokenRequest) reply { return reply{lifetime: lifetime, skew: skew} })
	t.open(source)
	first := t.token(source)
	gate, open := t.hold()
	t.platform.setGrant(func(int, *tokenRequest) reply { return reply{lifetime: lifetime, skew: skew, hold: gate} })

	t.advance(part(lifetime, renewFrom) - time.Millisecond)
	t.same(source, first, fmt.Sprintf("at 0.6 of %v", lifetime))
	t.noFurther(before+1, fmt.Sprintf("at 0.6 of %v", lifetime))
	t.advance(time.Millisecond)
	t.walk(lifetime, func() bool {
		t.same(source, first, fmt.Sprintf("while the one of %v is renewed", lifetime))
		return t.arrives(before+2, grace)
	})
	t.until(before+2, fmt.Sprintf("at 0.8 of %v", lifetime))
	open()
	t.becomes(source, first, "after it was renewed")
	t.wantRequests(before+2, fmt.Sprintf("after one renewal of %v", lifetime))
}

// same asks for a token, which must be want, without waiting for the server.
func (t *trial) same(source, want, when string) {
	if got := t.token(source); t.err == nil && got != want {
		t.failf("another token %s, want the one in memory", when)
	}
}

func jitter(t *trial) {
	const sources, lifetime = 20, 600 * time.Second
	names := make([]string, sources)
	for i := range names {
		names[i] = fmt.Sprintf("source-%d", i)
		configuration := t.configuration(names[i])
		configuration.ClientID = fmt.Sprintf("sandbox-round-apple-%d", 100+i)
		t.openWith(configuration)
		t.token(names[i])
	}
	seen := t.quiet()
	t.advance(part(lifetime, renewFrom))
	spread := 0
	t.walk(lifetime, func() bool {
		for _, name := range names {
			t.token(name)
		}
		if now := t.quiet(); now > seen {
			seen, spread = now, spread+1
		}
		return false
	})
	if t.err == nil && spread > 0 && spread < 4 {
		t.failf("20 sources renewed in %d of 10 steps, want them spread", spread)
	}
}

func clockSkew(t *trial) {
	for name, skew := range map[string]time.Duration{"ahead": time.Hour, "behind": -time.Hour} {
		const lifetime = 600 * time.Second
		before, _ := t.platform.requests()
		t.platform.setGrant(func(int, *tokenRequest) reply { return reply{lifetime: lifetime, skew: skew} })
		t.open(name)
		first := t.token(name)
		t.advance(part(lifetime, 0.5))
		t.same(name, first, "at half its life, the server's clock being "+name)
		t.noFurther(before+1, "at half a life, the server's clock being "+name)
		t.advance(part(lifetime, 0.51))
		t.becomes(name, first, "after it expired, the server's clock being "+name)
	}
}

func hourOfTraffic(t *trial) {
	const lifetime = 60 * time.Second
	t.platform.setGrant(granting(lifetime))
	t.open("a")
	for range 720 {
		if t.err != nil {
			return
		}
		t.advance(5 * time.Second)
		if token := t.token("a"); t.err == nil && t.platform.isExpired(token) {
			t.failf("an expired token was given")
		}
	}
	if got, _ := t.platform.requests(); got > 150 { // at least 36 s lie between two, and 5 s between two calls
		t.failf("%d token requests in an hour, want at most 150", got)
	}
}

func expiry(t *trial) {
	const lifetime = 600 * time.Second
	t.open("a")
	first := t.token("a")
	t.advance(lifetime)
	if got := t.token("a"); t.err == nil && got == first {
		t.failf("the token was given when it had expired")
	}
	t.platform.setGrant(failing(http.StatusServiceUnavailable))
	t.advance(lifetime)
	t.noToken("a")
}
